//! The record of one session.

use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// One connection that reached sshd.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionRecord {
    /// Unique within the jail: the begin in microseconds since 1970 and the monitor's pid.
    pub id: String,
    /// When the connection was accepted.
    pub begin: Timestamp,
    /// When the last process of the session was gone; none while it is active.
    pub end: Option<Timestamp>,
    /// Where the client connected from.
    pub source: IpAddr,
    /// The client's port.
    pub source_port: u16,
    /// The SHA-256 fingerprint of the key that logged in; none before that, or without it.
    pub key: Option<String>,
    /// What the client did; none as long as it started nothing.
    pub kind: Option<Kind>,
    /// The command line of that, printable and shortened.
    pub command: Option<String>,
    /// The exit status of that; none while it runs, or when it was killed.
    pub exit: Option<u8>,
    /// Bytes of the connection from the client, as TCP counted them.
    pub bytes_in: u64,
    /// Bytes of the connection to the client that it acknowledged.
    pub bytes_out: u64,
    /// How the session ended; none while it is active.
    pub ending: Option<Ending>,
}

impl SessionRecord {
    /// The record of a session that begins: nothing but where it comes from is known.
    pub fn begun(id: String, begin: Timestamp, source: SocketAddr) -> SessionRecord {
        SessionRecord {
            id,
            begin,
            end: None,
            source: source.ip(),
            source_port: source.port(),
            key: None,
            kind: None,
            command: None,
            exit: None,
            bytes_in: 0,
            bytes_out: 0,
            ending: None,
        }
    }

    /// Whether the session brought files and its program ended well. What rsync calls vanished
    /// files (24) is the client's own living on while it is read. SFTP and scp do not tell the
    /// direction, but the bytes do.
    pub fn is_successful_push(&self) -> bool {
        match self.kind {
            Some(Kind::RsyncPush) => matches!(self.exit, Some(0 | 24)),
            Some(Kind::Sftp | Kind::Scp) => self.exit == Some(0) && self.bytes_in > self.bytes_out,
            _ => false,
        }
    }

    /// The finished session in one line for a log.
    pub fn summary(&self) -> String {
        let kind = self.kind.map_or("no command", Kind::name);
        let ending = self.ending.map_or("open", Ending::name);
        let mut line = format!("{ending}: {kind} from {} port {}", self.source, self.source_port);
        // Writing to a String cannot fail.
        if let Some(exit) = self.exit {
            let _ = write!(line, ", exit status {exit}");
        }
        let _ = write!(line, ", {} bytes in, {} out", self.bytes_in, self.bytes_out);
        if let Some(end) = self.end {
            let _ = write!(line, ", {:.1} s", end.duration_since(self.begin).as_secs_f64());
        }
        line
    }
}

/// What a session was for. Ordered: where a session starts several programs, the greatest counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// An interactive shell.
    Shell,
    /// Some command.
    Command,
    /// The old scp protocol (the new one is SFTP).
    Scp,
    /// SFTP, and scp since OpenSSH 9.
    Sftp,
    /// rsync sends files out of the jail.
    RsyncPull,
    /// rsync writes files into the jail.
    RsyncPush,
}

impl Kind {
    /// As JSON has it.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Shell => "shell",
            Kind::Command => "command",
            Kind::Scp => "scp",
            Kind::Sftp => "sftp",
            Kind::RsyncPull => "rsync-pull",
            Kind::RsyncPush => "rsync-push",
        }
    }
}

/// How a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ending {
    /// sshd ended by itself.
    Closed,
    /// Nobody logged in.
    Refused,
    /// `stop`, `restart` or the like ended it.
    Stopped,
    /// A process of it was killed, or its monitor died.
    Killed,
}

impl Ending {
    /// As JSON has it.
    pub fn name(self) -> &'static str {
        match self {
            Ending::Closed => "closed",
            Ending::Refused => "refused",
            Ending::Stopped => "stopped",
            Ending::Killed => "killed",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_says_what_json_says() {
        let begin: Timestamp = "2026-03-01T02:00:00Z".parse().unwrap();
        let mut record = SessionRecord::begun("1-2".into(), begin, "[2001:db8::1]:4711".parse().unwrap());
        record.ending = Some(Ending::Refused);
        assert_eq!(record.summary(), "refused: no command from 2001:db8::1 port 4711, 0 bytes in, 0 out");
        record.end = Some("2026-03-01T02:00:12.34Z".parse().unwrap());
        (record.exit, record.bytes_in) = (Some(23), 42);
        for kind in [Kind::Shell, Kind::Command, Kind::Scp, Kind::Sftp, Kind::RsyncPull, Kind::RsyncPush] {
            for ending in [Ending::Closed, Ending::Refused, Ending::Stopped, Ending::Killed] {
                (record.kind, record.ending) = (Some(kind), Some(ending));
                let words = [serde_json::to_value(ending).unwrap(), serde_json::to_value(kind).unwrap()];
                let [ending, kind] = words.map(|word| word.as_str().unwrap().to_owned());
                assert_eq!(
                    record.summary(),
                    format!(
                        "{ending}: {kind} from 2001:db8::1 port 4711, exit status 23, 42 bytes in, 0 out, 12.3 s"
                    )
                );
            }
        }
    }
}
