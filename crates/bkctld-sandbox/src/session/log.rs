//! Where the lines of a session go: to the jail's log and the server's, neither of which a client can fill.

use bkctld_core::session::LogWriter;
use bkctld_core::syslog::{Entry, Severity};
use jiff::Timestamp;

use crate::served::ServedJail;

/// So much of the log of a connection is held back before the login, in bytes.
const HELD: usize = 64 << 10;

/// The log of one session.
pub(super) struct SessionLog<'a> {
    served: &'a ServedJail,
    session: String,
    writer: LogWriter,
    logged_in: bool,
    /// A login, or the end without one, decides to which log these lines belong.
    held: Vec<(Timestamp, Severity, Vec<u8>)>,
}

impl<'a> SessionLog<'a> {
    /// The log of a session that nobody has logged in to yet.
    pub(super) fn before_login(served: &'a ServedJail, session: &str) -> SessionLog<'a> {
        SessionLog {
            served,
            session: session.to_owned(),
            writer: LogWriter::without_login(&served.jail, session),
            logged_in: false,
            held: Vec::new(),
        }
    }

    /// From here on this is the log of somebody who has logged in.
    pub(super) fn log_in(&mut self) {
        self.writer = LogWriter::new(&self.served.jail, &self.session);
        self.logged_in = true;
        self.release();
    }

    /// Writes a line of sshd's.
    pub(super) fn line(&mut self, line: &[u8]) {
        self.write(Severity::Info, line);
    }

    /// Writes a line of our own.
    pub(super) fn note(&mut self, text: &str) {
        self.write(Severity::Warning, format!("bkctld: {text}").as_bytes());
    }

    /// Writes what was held back.
    pub(super) fn release(&mut self) {
        for (time, severity, line) in std::mem::take(&mut self.held) {
            let severity = if severity == Severity::Info { self.quieter() } else { severity };
            self.append(time, severity, &line);
        }
    }

    /// Writes how the session has ended, to the server's log: the jail has its record.
    pub(super) fn summary(&self, text: &str) {
        self.send(self.quieter(), text);
    }

    /// Connections without a login are for who looks for them in the server's log: anybody can make many.
    fn quieter(&self) -> Severity {
        if self.logged_in { Severity::Info } else { Severity::Debug }
    }

    fn write(&mut self, severity: Severity, line: &[u8]) {
        let now = Timestamp::now();
        if self.logged_in {
            return self.append(now, severity, line);
        }
        let held: usize = self.held.iter().map(|(_, _, line)| line.len()).sum();
        if held < HELD {
            self.held.push((now, severity, line.to_vec()));
        }
    }

    fn append(&mut self, time: Timestamp, severity: Severity, line: &[u8]) {
        match self.writer.append(time, line) {
            Ok(Some(shown)) => self.send(severity, &shown),
            Ok(None) => {}
            // The session goes on: a backup is worth more than its log.
            Err(error) => self.send(Severity::Warning, &error.to_string()),
        }
    }

    /// Writes to the server's log, under the session's name.
    fn send(&self, severity: Severity, text: &str) {
        let session = &self.session;
        let entry = Entry::new(severity, format_args!("{session} {text}")).by("session");
        self.served.log(entry.with("BKCTLD_SESSION", session));
    }
}
