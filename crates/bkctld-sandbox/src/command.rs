//! What a session is for, told by the program that sshd starts in it.

use bkctld_core::session::Kind;
use bkctld_core::text::printable;

/// The longest command that a record keeps, in bytes.
const COMMAND_LIMIT: usize = 512;

/// What the arguments of a program say that sshd has started: the user's shell, with `-c COMMAND`
/// or as a login shell. None for what sshd starts on its own account.
pub(crate) fn classify(argv: &[Vec<u8>]) -> Option<(Kind, String)> {
    let shown = |bytes: &[u8]| printable(&bytes[..bytes.len().min(COMMAND_LIMIT)]).into_owned();
    let first = argv.first()?;
    if argv.get(1).map(Vec::as_slice) == Some(b"-c") {
        let command = argv.get(2)?;
        let kind = kind_of(command)?;
        return Some((kind, shown(command)));
    }
    let name = base_name(first);
    if own_program(name) || argv.get(1).is_some_and(|arg| is_rc_file(arg)) {
        return None;
    }
    // A login shell's name begins with `-`.
    let kind = if first.starts_with(b"-") { Kind::Shell } else { kind_of(&argv.join(&b' '))? };
    Some((kind, shown(&argv.join(&b' '))))
}

fn kind_of(command: &[u8]) -> Option<Kind> {
    let words: Vec<&[u8]> =
        command.split(|byte| byte.is_ascii_whitespace()).filter(|word| !word.is_empty()).collect();
    let has = |wanted: &[u8]| words.iter().skip(1).any(|word| *word == wanted);
    if words.iter().any(|word| is_rc_file(word)) {
        return None;
    }
    Some(match base_name(words.first().copied().unwrap_or_default()) {
        b"rsync" if has(b"--server") && has(b"--sender") => Kind::RsyncPull,
        b"rsync" if has(b"--server") => Kind::RsyncPush,
        b"scp" if has(b"-t") || has(b"-f") => Kind::Scp,
        b"sftp-server" | b"internal-sftp" => Kind::Sftp,
        _ => Kind::Command,
    })
}

/// The programs of which sshd consists, and what it calls at a login.
fn own_program(name: &[u8]) -> bool {
    name.starts_with(b"sshd") || matches!(name, b"ssh-keygen" | b"xauth")
}

/// sshd runs these through a shell before the client's command.
fn is_rc_file(word: &[u8]) -> bool {
    word == b"/etc/ssh/sshrc" || word.ends_with(b".ssh/rc")
}

fn base_name(path: &[u8]) -> &[u8] {
    path.rsplit(|byte| *byte == b'/').next().unwrap_or(path)
}

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod properties;

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(argv: &[&str]) -> Option<Kind> {
        let argv: Vec<Vec<u8>> = argv.iter().map(|arg| arg.as_bytes().to_vec()).collect();
        classify(&argv).map(|(kind, _)| kind)
    }

    #[test]
    fn the_first_program_tells_what_the_session_is_for() {
        for (argv, expected) in [
            (&["bash", "-c", "rsync --server -logDtpre.iLsfxCIvu . /data"][..], Some(Kind::RsyncPush)),
            (&["sh", "-c", "/usr/bin/rsync --server --sender -vlogDtpre . /data"], Some(Kind::RsyncPull)),
            (&["sh", "-c", "rsync --version"], Some(Kind::Command)),
            (&["sh", "-c", "scp -r -t /data"], Some(Kind::Scp)),
            (&["sh", "-c", "/usr/lib/openssh/sftp-server"], Some(Kind::Sftp)),
            (&["sh", "-c", "ls -l"], Some(Kind::Command)),
            (&["sh", "-c", ""], Some(Kind::Command)),
            (&["-bash"], Some(Kind::Shell)),
            (&["/usr/sbin/sshd", "-i", "-R"], None),
            (&["/usr/lib/openssh/sshd-session", "-i", "-R"], None),
            (&["sh", "-c", "/bin/sh /etc/ssh/sshrc"], None),
            (&["/bin/sh", "/etc/ssh/sshrc"], None),
            (&["sh", "-c"], None),
            (&[], None),
        ] {
            assert_eq!(kind(argv), expected, "{argv:?}");
        }
    }

    #[test]
    fn the_command_is_shortened_and_printable() {
        let long = [b"x\x1b".to_vec(), vec![b'y'; 9000]].concat();
        let (_, shown) = classify(&[b"sh".to_vec(), b"-c".to_vec(), long]).unwrap();
        assert!(shown.starts_with("x\\u{1b}yy") && shown.len() < 600);
    }
}
