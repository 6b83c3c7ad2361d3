//! The kind of a session, derived from the programs that sshd starts in it.

use bkctld_core::session::Kind;

/// A program that is about to start, as far as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Argv {
    pub(crate) words: Vec<Vec<u8>>,
    /// Whether the arguments are complete: the effect of the rest is unknown.
    pub(crate) whole: bool,
}

/// A program that sshd starts for the client: the user's shell, with `-c COMMAND` or as a login shell. None
/// for programs that sshd starts for itself. Every other program has a kind, if only that of a command: a
/// client must not be able to keep a program out of the record by its words.
pub(crate) fn classify(argv: &Argv) -> Option<(Kind, Vec<u8>)> {
    let words = &argv.words;
    let first = words.first().map_or(&b""[..], Vec::as_slice);
    if let [_, option, command, ..] = words.as_slice()
        && option == b"-c"
    {
        let kind = match argv.whole {
            true if is_rc_file(command) => return None,
            true => kind_of(command),
            false => Kind::Command,
        };
        return Some((kind, command.clone()));
    }
    // A client cannot choose the name of its shell.
    if own_program(base_name(first)) {
        return None;
    }
    // A login shell's name begins with `-`.
    let kind = if first.starts_with(b"-") { Kind::Shell } else { Kind::Command };
    Some((kind, words.join(&b' ')))
}

/// The kind of a command line that is one plain command; anything else is just a command.
fn kind_of(command: &[u8]) -> Kind {
    let Some(words) = plain_words(command) else { return Kind::Command };
    let Some((program, arguments)) = words.split_first() else { return Kind::Command };
    let has = |wanted: &[u8]| arguments.iter().any(|word| word == wanted);
    match base_name(program) {
        b"rsync" => rsync(arguments),
        b"scp" if has(b"-t") || has(b"-f") => Kind::Scp,
        b"sftp-server" | b"internal-sftp" => Kind::Sftp,
        _ => Kind::Command,
    }
}

/// The kind of an rsync that was started by another one. Its first argument is `--server`; further back, it
/// might be the value of another option. Users may put `--fake-super` before it with `--rsync-path`.
fn rsync(arguments: &[Vec<u8>]) -> Kind {
    let arguments = match arguments {
        [first, rest @ ..] if first == b"--fake-super" => rest,
        all => all,
    };
    let Some((server, options)) = arguments.split_first() else { return Kind::Command };
    if server != b"--server" {
        return Kind::Command;
    }
    if options.iter().any(|word| word == b"--sender") {
        return Kind::RsyncPull;
    }
    if options.iter().any(|word| writes_nothing(word)) { Kind::Command } else { Kind::RsyncPush }
}

/// Options with which a receiver ends well and has written nothing, or with which it gets its arguments from
/// the client later, where nobody sees them (`-s`). Their letters stand before `e`, whose value follows it.
fn writes_nothing(word: &[u8]) -> bool {
    const LONG: [&[u8]; 8] = [
        b"--version",
        b"--help",
        b"--dry-run",
        b"--list-only",
        b"--daemon",
        b"--secluded-args",
        b"--protect-args",
        b"--only-write-batch",
    ];
    if word.starts_with(b"--") {
        let name = word.split(|byte| *byte == b'=').next().unwrap_or_default();
        return LONG.contains(&name);
    }
    match word.strip_prefix(b"-") {
        Some(letters) => letters.iter().take_while(|byte| **byte != b'e').any(|byte| b"nshV".contains(byte)),
        None => false,
    }
}

/// The words of a command line, as any shell splits it, if all that the shell does with it is to start one
/// program: no second command, no redirection, nothing expanded that could become another option. Patterns
/// of file names and `~` are left as they are.
fn plain_words(command: &[u8]) -> Option<Vec<Vec<u8>>> {
    let (mut words, mut word) = (Vec::new(), None::<Vec<u8>>);
    let mut bytes = command.iter().copied();
    while let Some(byte) = bytes.next() {
        match byte {
            b' ' | b'\t' => words.extend(word.take()),
            b'\\' => {
                let escaped = bytes.next().filter(|byte| *byte != b'\n')?;
                word.get_or_insert_default().push(escaped);
            }
            quote @ (b'\'' | b'"') => {
                let word = word.get_or_insert_default();
                loop {
                    match bytes.next()? {
                        end if end == quote => break,
                        b'$' | b'`' | b'\\' | b'!' if quote == b'"' => return None,
                        inside => word.push(inside),
                    }
                }
            }
            b'_'
            | b'-'
            | b'.'
            | b'/'
            | b','
            | b':'
            | b'='
            | b'+'
            | b'@'
            | b'%'
            | b'^'
            | b'~'
            | b'*'
            | b'?'
            | b'['
            | b']'
            | 0x80.. => word.get_or_insert_default().push(byte),
            _ if byte.is_ascii_alphanumeric() => word.get_or_insert_default().push(byte),
            _ => return None,
        }
    }
    words.extend(word);
    // `A=b program` sets a variable first, and might so change which program is found.
    (!words.first().is_some_and(|first| first.contains(&b'='))).then_some(words)
}

/// The programs of which sshd consists, and what it calls at a login.
fn own_program(name: &[u8]) -> bool {
    name.starts_with(b"sshd") || matches!(name, b"ssh-keygen" | b"xauth")
}

/// sshd runs these through a shell before the client's command, in exactly these words: the server's file, or
/// root's own by root's shell. A client that sends the same words starts the same files, which it cannot write.
fn is_rc_file(command: &[u8]) -> bool {
    const SYSTEM: &[u8] = b"/bin/sh /etc/ssh/sshrc";
    const USER: [&[u8]; 2] = [b"/bin/sh .ssh/rc", b"/bin/sh /root/.ssh/rc"];
    let by_shell = || {
        let words = plain_words(command)?;
        let [shell, option, script] = words.as_slice() else { return None };
        let is_shell = shell.starts_with(b"/") && shell.ends_with(b"sh") && option == b"-c";
        Some(is_shell && USER.contains(&script.as_slice()))
    };
    command == SYSTEM || by_shell().unwrap_or(false)
}

fn base_name(path: &[u8]) -> &[u8] {
    path.rsplit(|byte| *byte == b'/').next().unwrap_or(path)
}

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod properties;

#[cfg(test)]
mod tests {
    use super::*;

    fn argv(words: &[&str]) -> Argv {
        Argv { words: words.iter().map(|word| word.as_bytes().to_vec()).collect(), whole: true }
    }

    fn kind(words: &[&str]) -> Option<Kind> {
        classify(&argv(words)).map(|(kind, _)| kind)
    }

    #[test]
    fn a_program_tells_what_the_session_is_for() {
        for (words, expected) in [
            (&["sh", "-c", "/usr/lib/openssh/sftp-server"][..], Some(Kind::Sftp)),
            (&["sh", "-c", "scp -r -t /data"], Some(Kind::Scp)),
            (&["sh", "-c", "scp -v -f -- '/data/a b'"], Some(Kind::Scp)),
            (&["sh", "-c", "scp -t /data; rm -rf /data"], Some(Kind::Command)),
            (&["sh", "-c", "ls -l"], Some(Kind::Command)),
            (&["sh", "-c", ""], Some(Kind::Command)),
            (&["-bash"], Some(Kind::Shell)),
            (&["bash"], Some(Kind::Command)),
            (&["/usr/sbin/sshd", "-i", "-R"], None),
            (&["/usr/lib/openssh/sshd-session", "-i", "-R"], None),
            (&["sh", "-c"], Some(Kind::Command)),
            (&[], Some(Kind::Command)),
        ] {
            assert_eq!(kind(words), expected, "{words:?}");
        }
    }

    #[test]
    fn a_push_is_one_plain_rsync_that_receives() {
        use Kind::{Command, RsyncPull, RsyncPush};
        for (command, expected) in [
            ("rsync --server -logDtpre.iLsfxCIvu . /data", RsyncPush),
            (r"rsync --server -logDtpre.iLsfxCIvu . /data/a\ b\$x", RsyncPush),
            (
                "/usr/bin/rsync --server -vbe.LsfxCIvu --log-format=%i --backup-dir /x --delete --partial-dir .p . '/data/a b'",
                RsyncPush,
            ),
            (r"rsync --fake-super --server -ltpre.iLsfx --usermap=\*:root . ~/x", RsyncPush),
            ("rsync --server --sender -vlogDtpre.iLsfx . /data/web*", RsyncPull),
            ("rsync --server -logDtpre.iLsfx --sender . /data", RsyncPull),
            // Another command with it.
            ("rsync --server --version; rm -rf /data/*", Command),
            ("rsync --server -logDtpre . /data; true", Command),
            ("rsync --server -logDtpre . /data && true", Command),
            ("rsync --server -logDtpre . /data || true", Command),
            ("rsync --server -logDtpre . /data | cat", Command),
            ("rsync --server -logDtpre . /data & true", Command),
            ("rsync --server -logDtpre . /data\ntrue", Command),
            ("rsync --server -logDtpre . /data\\\ntrue", Command),
            ("rsync --server -logDtpre . /data > /data/x", Command),
            ("rsync --server -logDtpre . /data < /data/x", Command),
            ("rsync --server -logDtpre . $(rm -rf /data)", Command),
            ("rsync --server -logDtpre . `rm -rf /data`", Command),
            ("rsync --server -logDtpre . \"$(rm -rf /data)\"", Command),
            ("(rsync --server -logDtpre . /data)", Command),
            ("PATH=/data rsync --server -logDtpre . /data", Command),
            ("rsync --server -logDtpre . 'unfinished", Command),
            // Options that write nothing, also in disguise.
            ("rsync --server --version", Command),
            (r"rsync --server \--version", Command),
            ("rsync --server --vers'io'n", Command),
            ("rsync --server --vers{ion,ion}", Command),
            ("rsync --server -nlogDtpre.iLsfx . /data", Command),
            ("rsync --server -logDtpren.iLsfx . /data", RsyncPush),
            ("rsync --server -slogDtpre.iLsfx", Command),
            ("rsync --server -logDtpre.iLsfx --list-only . /data", Command),
            ("rsync --server -logDtpre.iLsfx --only-write-batch=X . /data", Command),
            ("rsync --version", Command),
            ("rsync --backup-dir --server -a . /data", Command),
            ("rsync -a --server . /data", Command),
            ("rsync", Command),
            ("echo rsync --server . /data", Command),
        ] {
            assert_eq!(kind(&["bash", "-c", command]), Some(expected), "{command}");
        }
        // The rest of a cut-off command is unknown.
        let mut cut = argv(&["bash", "-c", "rsync --server -logDtpre.iLsfx . /data"]);
        cut.whole = false;
        assert_eq!(classify(&cut).unwrap().0, Command);
    }

    #[test]
    fn only_what_sshd_itself_runs_at_a_login_is_left_out() {
        for command in
            ["/bin/sh /etc/ssh/sshrc", "/bin/bash -c '/bin/sh .ssh/rc'", "/bin/sh -c '/bin/sh /root/.ssh/rc'"]
        {
            assert_eq!(kind(&["sh", "-c", command]), None, "{command}");
        }
        for command in [
            "rm -rf /data .ssh/rc",
            "rm -rf /data /etc/ssh/sshrc",
            "/bin/sh /etc/ssh/sshrc; rm -rf /data",
            "/bin/sh -c '/bin/sh /data/.ssh/rc'",
            "/bin/sh -c '/bin/sh .ssh/rc' x",
            "/bin/rm -c '/bin/sh .ssh/rc'",
            "/bin/sh .ssh/rc",
        ] {
            assert_eq!(kind(&["sh", "-c", command]), Some(Kind::Command), "{command}");
        }
    }
}
