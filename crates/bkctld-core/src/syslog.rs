//! The server's log: journald with its native protocol if it runs, otherwise syslog.
//!
//! `tracing` and `tracing-journald` were rejected: they wait for a busy journal, which must not delay a
//! backup, do not support syslog, and are a dozen crates for a thousand idle listeners.

use std::fmt::{Display, Write};
use std::path::{Path, PathBuf};

use jiff::civil::DateTime;
use rustix::net::{AddressFamily, SendFlags, SocketAddrUnix, SocketFlags, SocketType};

use crate::jail::JailName;
use crate::text::printable;

/// The name under which everything is logged.
pub const IDENTIFIER: &str = "bkctld";
/// syslog(3): daemon.
const FACILITY: u8 = 3;
/// The longest message in bytes: what rsyslog takes by default, less the header.
const MESSAGE_LIMIT: usize = 7 << 10;
const JOURNAL: &str = "/run/systemd/journal/socket";
const SYSLOG: &str = "/dev/log";

/// The severity of a message, with syslog's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// A command or a jail failed.
    Error = 3,
    /// Something needs attention.
    Warning = 4,
    /// Something was changed.
    Notice = 5,
    /// Something happened as usual.
    Info = 6,
    /// Details for debugging.
    Debug = 7,
}

/// One message, with fields for programs.
#[derive(Clone, Debug)]
pub struct Entry {
    severity: Severity,
    text: String,
    topic: Option<String>,
    jail: Option<JailName>,
    fields: Vec<(&'static str, String)>,
}

impl Entry {
    /// A message with this text. It may come from a client, so it is made printable.
    pub fn new(severity: Severity, text: impl Display) -> Entry {
        Entry { severity, text: text.to_string(), topic: None, jail: None, fields: Vec::new() }
    }

    /// Adds the command, or the part of the program.
    pub fn by(mut self, topic: &str) -> Entry {
        self.topic = Some(topic.to_owned());
        self
    }

    /// Adds the jail, if there is one.
    pub fn about(mut self, jail: Option<&JailName>) -> Entry {
        self.jail = jail.cloned();
        self
    }

    /// Adds a field of the journal; its name begins with `BKCTLD_`.
    pub fn with(mut self, name: &'static str, value: impl Display) -> Entry {
        self.fields.push((name, value.to_string()));
        self
    }

    /// One line, `TOPIC JAIL: TEXT`, the same in the journal and in syslog.
    pub fn message(&self) -> String {
        let jail = self.jail.as_ref().map(JailName::as_str);
        let head: Vec<&str> = self.topic.as_deref().into_iter().chain(jail).collect();
        let text = printable(self.text.trim_end().as_bytes());
        let mut message =
            if head.is_empty() { text.into_owned() } else { format!("{}: {text}", head.join(" ")) };
        if message.len() > MESSAGE_LIMIT {
            let end = (0..=MESSAGE_LIMIT).rev().find(|end| message.is_char_boundary(*end)).unwrap_or(0);
            message.truncate(end);
            message.push('…');
        }
        message
    }

    /// systemd's `JOURNAL_NATIVE_PROTOCOL`: lines `NAME=value`. No value has a line end, as all of
    /// them are printable.
    fn for_journal(&self, pid: u32) -> String {
        let mut out = format!(
            "MESSAGE={}\nPRIORITY={}\nSYSLOG_FACILITY={FACILITY}\nSYSLOG_IDENTIFIER={IDENTIFIER}\nSYSLOG_PID={pid}\n",
            self.message(),
            self.severity as u8
        );
        let jail = self.jail.as_ref().map(ToString::to_string);
        let named = [("BKCTLD_COMMAND", &self.topic), ("BKCTLD_JAIL", &jail)];
        let named = named.into_iter().filter_map(|(name, value)| Some((name, value.as_ref()?)));
        for (name, value) in named.chain(self.fields.iter().map(|(name, value)| (*name, value))) {
            // Writing to a String cannot fail.
            let _ = writeln!(out, "{name}={}", printable(value.as_bytes()));
        }
        out
    }

    /// RFC 3164 as syslog(3) sends it: local time, no host name.
    fn for_syslog(&self, pid: u32, now: DateTime) -> String {
        let priority = (FACILITY << 3) | self.severity as u8;
        format!("<{priority}>{} {IDENTIFIER}[{pid}]: {}", now.strftime("%b %e %H:%M:%S"), self.message())
    }
}

/// The destination of messages, and the level of those that are sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SystemLog {
    level: u8,
    journal: PathBuf,
    syslog: PathBuf,
}

impl SystemLog {
    /// The log of this server, for messages up to this level (`LOGLEVEL`).
    pub fn new(level: u8) -> SystemLog {
        SystemLog { level, journal: JOURNAL.into(), syslog: SYSLOG.into() }
    }

    /// Whether this server has a journal.
    pub fn has_journal() -> bool {
        Path::new(JOURNAL).exists()
    }

    /// Sends the message. If nobody accepts it at once, it is lost: the program neither waits for its log nor
    /// fails because of it. Returns false if it was lost; a message below the level counts as sent. The local
    /// time is determined only when it is needed, for syslog.
    pub fn send(&self, entry: &Entry, now: impl FnOnce() -> DateTime) -> bool {
        if entry.severity as u8 > self.level {
            return true;
        }
        let pid = std::process::id();
        send_to(&self.journal, &entry.for_journal(pid))
            || send_to(&self.syslog, &entry.for_syslog(pid, now()))
    }
}

/// Each message gets its own socket: a listener must not keep one for months, while the journal may be
/// restarted.
fn send_to(path: &Path, text: &str) -> bool {
    let send = || -> rustix::io::Result<usize> {
        let socket = rustix::net::socket_with(
            AddressFamily::UNIX,
            SocketType::DGRAM,
            SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
            None,
        )?;
        // MSG_NOSIGNAL, because a missing reader must not kill the process.
        rustix::net::sendto(&socket, text.as_bytes(), SendFlags::NOSIGNAL, &SocketAddrUnix::new(path)?)
    };
    send().is_ok()
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixDatagram;
    use std::time::{Duration, Instant};

    use super::*;

    fn now() -> DateTime {
        "2026-03-01T02:05:09".parse().unwrap()
    }

    fn entry(text: &str) -> Entry {
        Entry::new(Severity::Warning, text).by("inc").about(Some(&"web01".parse().unwrap()))
    }

    fn log(dir: &Path, level: u8) -> SystemLog {
        SystemLog { level, journal: dir.join("journal"), syslog: dir.join("syslog") }
    }

    fn received(socket: &UnixDatagram) -> Option<String> {
        let mut buffer = vec![0; 64 << 10];
        socket.set_nonblocking(true).unwrap();
        let len = socket.recv(&mut buffer).ok()?;
        Some(String::from_utf8(buffer[..len].to_vec()).unwrap())
    }

    #[test]
    fn the_journal_gets_fields_and_syslog_the_jail_in_the_text() {
        let entry = entry("disk full").with("BKCTLD_RESULT", "failed");
        assert_eq!(
            entry.for_journal(7),
            "MESSAGE=inc web01: disk full\nPRIORITY=4\nSYSLOG_FACILITY=3\nSYSLOG_IDENTIFIER=bkctld\n\
             SYSLOG_PID=7\nBKCTLD_COMMAND=inc\nBKCTLD_JAIL=web01\nBKCTLD_RESULT=failed\n"
        );
        assert_eq!(entry.for_syslog(7, now()), "<28>Mar  1 02:05:09 bkctld[7]: inc web01: disk full");
        let bare = Entry::new(Severity::Error, "no such file");
        assert_eq!(bare.for_syslog(7, now()), "<27>Mar  1 02:05:09 bkctld[7]: no such file");
    }

    #[test]
    fn a_clients_text_can_neither_add_a_field_nor_a_line_nor_grow_without_end() {
        let hostile = entry("x\nPRIORITY=0\x1b[2J").with("BKCTLD_SESSION", "1\nMESSAGE=y");
        let sent = hostile.for_journal(7);
        assert_eq!(sent.lines().filter(|line| line.starts_with("MESSAGE=")).count(), 1);
        assert_eq!(sent.lines().filter(|line| line.starts_with("PRIORITY=")).count(), 1);
        assert!(!hostile.for_syslog(7, now()).contains(['\n', '\x1b']));
        let long = entry(&"é".repeat(1 << 20)).message();
        assert!(long.len() < 8 << 10 && long.ends_with('…'));
    }

    #[test]
    fn the_journal_wins_then_syslog_then_nothing_and_the_level_decides() {
        let dir = tempfile::tempdir().unwrap();
        let log = log(dir.path(), 4);
        assert!(!log.send(&entry("nobody listens"), now));
        let syslog = UnixDatagram::bind(&log.syslog).unwrap();
        assert!(log.send(&entry("for syslog"), now));
        assert!(received(&syslog).unwrap().ends_with(": inc web01: for syslog"));
        let journal = UnixDatagram::bind(&log.journal).unwrap();
        assert!(log.send(&entry("for the journal"), now));
        assert!(received(&journal).unwrap().starts_with("MESSAGE=inc web01: for the journal\n"));
        assert!(log.send(&Entry::new(Severity::Notice, "below the level"), now));
        assert_eq!((received(&journal), received(&syslog)), (None, None));
        // A dead journal leaves its socket behind.
        drop(journal);
        assert!(log.send(&entry("after its death"), now));
        assert!(received(&syslog).unwrap().contains("after its death"));
    }

    #[test]
    fn a_reader_that_does_not_read_holds_nobody_up() {
        let dir = tempfile::tempdir().unwrap();
        let log = log(dir.path(), 7);
        let _idle = UnixDatagram::bind(&log.journal).unwrap();
        let began = Instant::now();
        let sent = (0..2000).filter(|_| log.send(&entry(&"x".repeat(2000)), now)).count();
        assert!(sent < 2000, "the socket took all of them, which proves nothing");
        // A blocking send would wait forever.
        assert!(began.elapsed() < Duration::from_secs(60));
    }
}
