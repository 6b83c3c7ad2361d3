//! Programs of this server that are run: how one is found and started, what it is given and says, and the error
//! where it is missing or fails.

use std::fmt;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use crate::error::{Error, IoContext, Result};
use crate::text;

/// Where the server's programs are looked for. Not in the environment's `PATH`: cron's is shorter.
const DIRS: [&str; 6] = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/// The most of what a program says that is kept in memory, in bytes: a node with thousands of jails says less, and
/// one that was taken over may say anything.
const ANSWER_LIMIT: u64 = 64 << 20;

/// Runs the loader of a new runtime inside of it.
pub const CHROOT: Program = Program::of_root("chroot", "coreutils");
/// Tells the full name of this server, as the resolver knows it.
pub const HOSTNAME: Program = Program::of_all("hostname", "hostname");
/// Evolix' firewall; an init script, so it has a path instead of a name.
pub const MINIFIREWALL: Program = Program::of_all("/etc/init.d/minifirewall", "minifirewall");
/// Writes and lists rules of nftables.
pub const NFT: Program = Program::of_root("nft", "nftables");
/// Sends files to a node.
pub const RSYNC: Program = Program::of_all("rsync", "rsync");
/// Connects to a node; everything that is asked of it goes through that connection.
pub const SSH: Program = Program::of_all("ssh", "openssh-client");
/// Makes a jail's host keys.
pub const SSH_KEYGEN: Program = Program::of_all("ssh-keygen", "openssh-client");
/// Starts, stops and asks about units; called by [`crate::systemctl`] alone.
pub const SYSTEMCTL: Program = Program::of_all("systemctl", "systemd");

/// A program of this server, with the Debian package to install where it is missing.
#[derive(Clone, Copy, Debug)]
pub struct Program {
    name: &'static str,
    package: &'static str,
    /// Whether it is root's only, so that `PATH` need not lead to it.
    of_root: bool,
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl Program {
    const fn of_all(name: &'static str, package: &'static str) -> Program {
        Program { name, package, of_root: false }
    }

    const fn of_root(name: &'static str, package: &'static str) -> Program {
        Program { name, package, of_root: true }
    }

    /// Where the program is, if it has a path of its own.
    pub fn path(self) -> &'static Path {
        Path::new(self.name)
    }

    /// A run of it in the making. It speaks English, since its words are looked at and shown beside ours.
    pub fn command(self) -> Command {
        let found = if self.of_root { find(self.name) } else { None };
        let mut command = Command::new(found.unwrap_or_else(|| self.name.into()));
        command.env("LC_ALL", "C");
        command
    }

    /// Starts it, with its output for us.
    ///
    /// # Errors
    /// [`missing`], where it is.
    pub fn spawn(self, command: &mut Command) -> Result<Child> {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => missing(self.name, self.package),
            _ => Error::io("cannot run", self.path(), error),
        })
    }

    /// Runs it with nothing to read, whatever its exit status.
    ///
    /// # Errors
    /// As [`Program::spawn`].
    pub fn output(self, command: &mut Command) -> Result<Output> {
        let child = self.spawn(command.stdin(Stdio::null()))?;
        output_of(child, ANSWER_LIMIT).context("cannot run", self.name)
    }

    /// Runs it with this to read, whatever its exit status.
    ///
    /// # Errors
    /// As [`Program::spawn`].
    pub fn talk(self, command: &mut Command, input: &[u8]) -> Result<Output> {
        let mut child = self.spawn(command.stdin(Stdio::piped()))?;
        let stdin = child.stdin.take();
        std::thread::scope(|scope| {
            // Beside the reading: a program may answer before it has read everything. What it did not read, it
            // tells about itself.
            scope.spawn(move || stdin.map(|mut stdin| stdin.write_all(input)));
            output_of(child, ANSWER_LIMIT)
        })
        .context("cannot run", self.name)
    }

    /// Makes an exit status that is not 0 an error; `action` is what the program was to do, where its name alone
    /// does not tell.
    pub fn check(self, action: &str, output: &Output) -> Result<()> {
        if output.status.success() {
            return Ok(());
        }
        let reason = first_line(&output.stderr).unwrap_or_else(|| output.status.to_string());
        let blank = if action.is_empty() { "" } else { " " };
        Err(Error::program(format_args!("{self}{blank}{action}"), reason))
    }
}

/// The server's program of this name.
pub fn find(name: &str) -> Option<PathBuf> {
    DIRS.iter().map(|dir| Path::new(dir).join(name)).find(|path| path.is_file())
}

/// For a program that is not there, with the Debian package that has it.
pub fn missing(program: &str, package: &str) -> Error {
    Error::new(crate::ErrorKind::Program, format!("cannot find {program} on this server"))
        .with_hint(format!("install the package {package}: apt install {package}"))
}

/// All that a program says, when it has ended. One that says more than `limit` bytes is ended, which is an
/// error.
fn output_of(mut child: Child, limit: u64) -> io::Result<Output> {
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let (stdout, stderr) = std::thread::scope(|scope| {
        let stderr = scope.spawn(move || read_all(stderr, limit));
        let stdout = read_all(stdout, limit).inspect_err(|_| {
            let _ = child.kill();
        });
        (stdout, stderr.join().unwrap_or_else(|_| Err(io::Error::other("the reader of its messages failed"))))
    });
    let status = child.wait()?;
    Ok(Output { status, stdout: stdout?, stderr: stderr? })
}

fn read_all(output: Option<impl Read>, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(output) = output {
        output.take(limit + 1).read_to_end(&mut bytes)?;
    }
    if bytes.len() as u64 > limit {
        return Err(io::Error::other(format!("it sent more than {} MiB", limit >> 20)));
    }
    Ok(bytes)
}

/// The first line of a program's words that says anything, fit for a message.
pub fn first_line(words: &[u8]) -> Option<String> {
    lines(words).next()
}

/// The last line of a program's words that says anything, fit for a message.
pub fn last_line(words: &[u8]) -> Option<String> {
    lines(words).next_back()
}

fn lines(words: &[u8]) -> impl DoubleEndedIterator<Item = String> {
    words
        .split(|byte| matches!(byte, b'\n' | b'\r'))
        .map(<[u8]>::trim_ascii)
        .filter(|line| !line.is_empty())
        .map(|line| text::printable(line).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    const SH: Program = Program::of_all("sh", "dash");

    fn sh(script: &str) -> Command {
        let mut command = SH.command();
        command.args(["-c", script]);
        command
    }

    #[test]
    fn a_program_that_speaks_for_ever_is_ended_and_fills_no_memory() {
        let run = |script: &str| output_of(SH.spawn(&mut sh(script)).unwrap(), 1 << 20);
        for endless in ["exec yes", "exec yes >&2"] {
            assert_eq!(run(endless).unwrap_err().to_string(), "it sent more than 1 MiB");
        }
        let said = run("echo one; echo two >&2; exit 3").unwrap();
        assert_eq!((said.stdout.as_slice(), said.stderr.as_slice()), (&b"one\n"[..], &b"two\n"[..]));
        assert_eq!(said.status.code(), Some(3));
    }

    #[test]
    fn a_program_that_reads_nothing_or_answers_while_it_reads_is_no_obstacle() {
        let input = vec![b'x'; 1 << 20];
        assert!(SH.talk(&mut sh("exit 0"), &input).unwrap().status.success());
        assert_eq!(SH.talk(&mut sh("exec cat"), &input).unwrap().stdout, input);
    }

    #[test]
    fn a_missing_program_is_named_with_its_package() {
        const NONE: Program = Program::of_all("bkctld-has-no-such-program", "no-such-package");
        let error = NONE.output(&mut NONE.command()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Program);
        assert_eq!(error.message(), "cannot find bkctld-has-no-such-program on this server");
        assert_eq!(error.hint(), Some("install the package no-such-package: apt install no-such-package"));
    }

    #[test]
    fn a_failure_is_told_in_the_first_words_of_the_program_or_by_its_exit_status() {
        let failure = |script: &str| {
            SH.check("start", &SH.output(&mut sh(script)).unwrap()).map_err(|error| error.to_string())
        };
        assert_eq!(failure("exit 0"), Ok(()));
        assert_eq!(
            failure("echo; echo 'no \x1b[1m' >&2; exit 1"),
            Err("sh start failed: no \\u{1b}[1m".into())
        );
        assert_eq!(failure("exit 3"), Err("sh start failed: exit status: 3".into()));
    }

    #[test]
    fn the_line_that_tells_why_is_one_with_something_in_it() {
        assert_eq!(last_line(b"banner\nssh: no route\r\n\n"), Some("ssh: no route".to_owned()));
        assert_eq!(first_line(b"\n\x1b[1mno\nmore"), Some("\\u{1b}[1mno".to_owned()));
        assert_eq!(last_line(b" \n"), None);
    }
}
