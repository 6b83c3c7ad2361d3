//! One ssh connection to a node, which carries all commands and files.

use std::fs;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use bkctld_sys::process::die_with_the_caller;

use crate::error::{Error, IoContext, Result};
use crate::program::{RSYNC, SSH, last_line};

/// The mark that a script or the connection prints first: a login shell may have printed something before it.
pub(super) const MARK: &str = "--- bkctld ---";

/// Nobody can answer questions, and a node that is down must not delay the others for minutes. Everything
/// else (user, port, key, jump host) is configured by the administrator in root's `.ssh/config`.
const OPTIONS: [&str; 10] = [
    "BatchMode=yes",
    "ConnectTimeout=15",
    "ServerAliveInterval=15",
    "ServerAliveCountMax=4",
    "ControlPersist=no",
    "ForwardAgent=no",
    "ForwardX11=no",
    "LogLevel=ERROR",
    "RemoteCommand=none",
    "RequestTTY=no",
];

/// The time that a node gets from the connection to the first output of its login shell.
const PATIENCE: Duration = Duration::from_secs(90);

/// The maximum output of a login shell before the mark, in bytes, also on one line.
const GREETING_LIMIT: u64 = 1 << 20;

/// A connected node; disconnected when dropped.
pub(super) struct Connection<'a> {
    node: &'a str,
    dir: &'a Path,
    socket: String,
    master: Child,
    // The master waits only for the far end of this pipe: it ends when we end, however that happens.
    input: Option<ChildStdin>,
}

impl<'a> Connection<'a> {
    /// Connects. The control socket is in `dir`, which is private to us, under this number.
    pub(super) fn open(node: &'a str, dir: &'a Path, number: usize) -> Result<Connection<'a>> {
        let socket = format!("node{number}");
        let mut command = ssh(dir, &socket, "yes");
        command.args(["-o", "ClearAllForwardings=yes", "--", node]);
        command.arg(format!("echo '{MARK}'; exec cat >/dev/null"));
        let mut master = SSH.spawn(command.stdin(Stdio::piped()))?;
        let input = master.stdin.take();
        let said = master.stdout.take().map(|output| hear_mark(output, PATIENCE));
        let mut connection = Connection { node, dir, socket, master, input };
        match said {
            Some(Ok(true)) => Ok(connection),
            Some(Err(_)) => {
                let _ = connection.master.kill();
                let seconds = PATIENCE.as_secs();
                Err(Error::node(format!("root's login shell there says nothing for {seconds} seconds"))
                    .with_hint("try ssh by hand"))
            }
            _ => Err(connection.refused()),
        }
    }

    /// The reason why there is no connection, in ssh's words.
    fn refused(&mut self) -> Error {
        drop(self.input.take());
        let mut words = Vec::new();
        if let Some(errors) = self.master.stderr.take() {
            let _ = errors.take(4096).read_to_end(&mut words);
        }
        let _ = self.master.wait();
        let why = last_line(&words).unwrap_or_else(|| "the connection ended at once".to_owned());
        Error::node(format!("cannot connect by ssh as root: {why}"))
    }

    /// Whether the connection still works. If it broke, ssh itself makes another one.
    pub(super) fn answers(&self) -> bool {
        self.run(&format!("echo '{MARK}'")).is_ok()
    }

    /// Runs a script with `sh` on the node and returns the lines that it prints after [`MARK`].
    pub(super) fn run(&self, script: &str) -> Result<Vec<String>> {
        let mut command = ssh(self.dir, &self.socket, "no");
        command.args(["--", self.node, "sh -s"]);
        let answer = SSH.talk(&mut command, script.as_bytes())?;
        let text = String::from_utf8_lossy(&answer.stdout);
        let mut lines = text.lines().skip_while(|line| line.trim_end() != MARK).skip(1);
        if !answer.status.success() {
            let why = last_line(&answer.stderr).unwrap_or_else(|| answer.status.to_string());
            return Err(Error::node(format!("the connection or a script there failed: {why}")));
        }
        Ok(lines.by_ref().map(str::to_owned).collect())
    }

    /// An `rsync` to the node through this connection, without sources and destination.
    pub(super) fn rsync(&self) -> Command {
        let mut command = RSYNC.command();
        let shell = ssh(self.dir, &self.socket, "no");
        // No word of it has a blank or a quote in it.
        let words: Vec<_> = shell.get_args().map(|word| word.to_string_lossy()).collect();
        command.arg("-e").arg(format!("ssh {}", words.join(" ")));
        command.current_dir(self.dir);
        die_with_the_caller(&mut command);
        command
    }

    /// A directory on the node, as rsync names it.
    pub(super) fn place(&self, dir: &str) -> String {
        let (user, host) = self.node.rsplit_once('@').unzip();
        let host = host.unwrap_or(self.node);
        let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
        format!("{}{host}:{dir}/", user.map(|user| format!("{user}@")).unwrap_or_default())
    }
}

impl Drop for Connection<'_> {
    fn drop(&mut self) {
        drop(self.input.take());
        // It ends by itself unless the node has vanished.
        let _ = self.master.kill();
        let _ = self.master.wait();
    }
}

/// Whether the mark is printed before the end; an error if neither happens in time.
fn hear_mark(
    said: impl Read + Send + 'static,
    patience: Duration,
) -> std::result::Result<bool, RecvTimeoutError> {
    let (tell, heard) = channel();
    // Left alone after the time: it ends with what it listens to.
    std::thread::spawn(move || {
        let said = BufReader::new(said.take(GREETING_LIMIT));
        let marked = said.lines().map_while(Result::ok).any(|line| line.trim_end() == MARK);
        let _ = tell.send(marked);
    });
    heard.recv_timeout(patience)
}

/// `ssh` by the socket of this name. It is named relative to `dir`: a socket's path must be short, and
/// whatever LOCKDIR has in it would have to be quoted for ssh and for rsync.
fn ssh(dir: &Path, socket: &str, master: &str) -> Command {
    let mut command = SSH.command();
    command.current_dir(dir);
    command.args(["-o", &format!("ControlMaster={master}"), "-o", &format!("ControlPath=./{socket}")]);
    command.args(OPTIONS.iter().flat_map(|option| ["-o", option]));
    die_with_the_caller(&mut command);
    command
}

/// An empty private directory for the sockets. The caller holds the lock of `sync`, so what is in it is
/// nobody's any more.
pub(super) fn socket_dir(lock_dir: &Path) -> Result<PathBuf> {
    let dir = lock_dir.join("sync.sockets");
    match fs::remove_dir_all(&dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error).context("cannot delete", &dir)?,
        _ => crate::file::make_private_dir(&dir, 0o700)?,
    }
    Ok(dir)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_that_never_speaks_is_not_waited_for() {
        let hear = |said: &'static str| hear_mark(said.as_bytes(), Duration::from_secs(60));
        assert_eq!(hear("hello\n--- bkctld ---\nmore"), Ok(true));
        assert_eq!(hear("hello\n"), Ok(false));
        let (silent, _speaker) = std::io::pipe().unwrap();
        let patience = Duration::from_millis(10);
        assert_eq!(hear_mark(silent, patience), Err(RecvTimeoutError::Timeout));
        // Nor is one listened to that speaks for ever, and never ends its line.
        assert_eq!(hear_mark(io::repeat(b'x'), Duration::from_secs(60)), Ok(false));
    }
}
