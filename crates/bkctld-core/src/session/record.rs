//! The record of one session.

use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::text;

/// One connection that reached sshd.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SessionRecord {
    /// The id, unique within the jail: the start in microseconds since 1970, and the monitor's pid.
    pub id: String,
    /// The time at which the connection was accepted.
    pub begin: Timestamp,
    /// The time at which the last process of the session ended; none while the session is active.
    pub end: Option<Timestamp>,
    /// The address of the client.
    pub source: IpAddr,
    /// The client's port, which its own firewall may have logged.
    pub source_port: u16,
    /// The time of the login; none before it, and in records of earlier versions.
    #[serde(default)]
    pub login: Option<Timestamp>,
    /// The SHA-256 fingerprint of the key that logged in; none before the login, or without a key.
    pub key: Option<String>,
    /// The kind of the session; none while no program has been started.
    pub kind: Option<Kind>,
    /// The command line of the program of that kind, printable and shortened.
    pub command: Option<String>,
    /// The exit status of that program; none while it runs, or if it was killed.
    pub exit: Option<u8>,
    /// Bytes of the connection from the client, as TCP counted them.
    pub bytes_in: u64,
    /// Bytes of the connection to the client that it acknowledged.
    pub bytes_out: u64,
    /// The way in which the session ended; none while it is active.
    pub ending: Option<Ending>,
    /// Every program that sshd started for the client, in order, as far as they fit. Empty in records of
    /// earlier versions, and if the client started none.
    #[serde(default)]
    pub programs: Vec<Program>,
    /// The number of further programs, which did not fit.
    #[serde(default)]
    pub more_programs: u64,
}

/// One program that sshd started for the client: a shell with a command, or a login shell. Programs that it
/// starts itself are not examined.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Program {
    /// The kind of the program.
    pub kind: Kind,
    /// Its command line, printable and shortened.
    pub command: String,
    /// Its exit status; none while it runs, or if it was killed.
    pub exit: Option<u8>,
    /// Bytes of the connection from the client while it ran, as TCP counted them; 0 while it runs.
    pub bytes_in: u64,
}

/// The maximum number of programs in a record.
const PROGRAMS: usize = 16;
/// The maximum size of all their command lines together: the finished records are bounded, and a client must
/// not be able to displace older ones with a few sessions.
const COMMANDS: usize = 1024;
/// The maximum size of one command line, in bytes.
const COMMAND: usize = 512;

impl SessionRecord {
    /// The record of a new session, of which only the source is known.
    pub fn begun(id: String, begin: Timestamp, source: SocketAddr) -> SessionRecord {
        SessionRecord {
            id,
            begin,
            end: None,
            source: source.ip(),
            source_port: source.port(),
            login: None,
            key: None,
            kind: None,
            command: None,
            exit: None,
            bytes_in: 0,
            bytes_out: 0,
            ending: None,
            programs: Vec::new(),
            more_programs: 0,
        }
    }

    /// Whether somebody logged in. Records of earlier versions have only the key and the program.
    pub fn had_login(&self) -> bool {
        self.login.is_some() || self.key.is_some() || self.kind.is_some()
    }

    /// Adds a program that sshd starts, and returns its index in the list; none if it did not fit. The
    /// session has the kind of its greatest program, the first of several.
    pub fn started(&mut self, kind: Kind, command: &[u8]) -> Option<usize> {
        let used: usize = self.programs.iter().map(|program| program.command.len()).sum();
        let left = COMMANDS.saturating_sub(used).min(COMMAND);
        if self.programs.len() == PROGRAMS || left == 0 {
            self.more_programs = self.more_programs.saturating_add(1);
            return None;
        }
        let mut command = text::printable(&command[..command.len().min(left)]).into_owned();
        while command.len() > left {
            command.pop();
        }
        if self.kind.is_none_or(|known| kind > known) {
            self.kind = Some(kind);
            self.command = Some(command.clone());
            self.exit = None;
        }
        self.programs.push(Program { kind, command, exit: None, bytes_in: 0 });
        Some(self.programs.len() - 1)
    }

    /// Records the exit status of the program with this index, and the number of bytes received while it ran.
    pub fn exited(&mut self, at: usize, status: u8, bytes_in: u64) {
        let Some(program) = self.programs.get_mut(at) else { return };
        program.exit = Some(status);
        program.bytes_in = bytes_in;
        let kind = program.kind;
        if self.kind == Some(kind) && self.programs.iter().position(|other| other.kind == kind) == Some(at) {
            self.exit = Some(status);
        }
    }

    /// Whether the session was a successful push: one rsync that wrote into the jail, no other program on its
    /// connection, and bytes received while it ran. For SFTP and scp it is unknown whether they sent or
    /// fetched files, and whether all of them arrived; with several programs, it is unknown what the others
    /// did to the files.
    pub fn is_successful_push(&self) -> bool {
        match self.programs.as_slice() {
            [] => self.was_successful_push(),
            [only] => self.more_programs == 0 && only.is_push() && only.ended_well() && only.bytes_in > 0,
            _ => false,
        }
    }

    /// Whether an rsync that should write into the jail has failed.
    pub fn is_failed_push(&self) -> bool {
        match self.programs.as_slice() {
            [] => self.kind == Some(Kind::RsyncPush) && !self.was_successful_push(),
            programs => programs.iter().any(|program| program.is_push() && !program.ended_well()),
        }
    }

    /// Judges a record of an earlier version, which has only one program: a push by its rules remains one, or
    /// every jail would seem to have none on the day of the upgrade.
    fn was_successful_push(&self) -> bool {
        match self.kind {
            Some(Kind::RsyncPush) => ended_well(self.exit),
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
        let others = self.more_programs.saturating_add(self.programs.len().saturating_sub(1) as u64);
        if others > 0 {
            let _ = write!(line, ", and {others} more programs");
        }
        let _ = write!(line, ", {} bytes in, {} out", self.bytes_in, self.bytes_out);
        if let Some(end) = self.end {
            let _ = write!(line, ", {:.1} s", end.duration_since(self.begin).as_secs_f64());
        }
        line
    }
}

impl Program {
    fn is_push(&self) -> bool {
        self.kind == Kind::RsyncPush
    }

    fn ended_well(&self) -> bool {
        ended_well(self.exit)
    }
}

/// rsync's exit status for vanished files (24) means that the client went on working while it was read.
fn ended_well(exit: Option<u8>) -> bool {
    matches!(exit, Some(0 | 24))
}

/// The kind of a session or program. Ordered: if a session starts several programs, it has the greatest kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// An interactive shell.
    Shell,
    /// A command, or several on one line.
    Command,
    /// The old scp protocol (the new one is SFTP).
    Scp,
    /// SFTP, and scp since OpenSSH 9.
    Sftp,
    /// An rsync that reads files from the jail.
    RsyncPull,
    /// An rsync that writes files into the jail.
    RsyncPush,
}

impl Kind {
    /// The name in JSON, in tables and in the log.
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

/// The way in which a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Ending {
    /// sshd ended by itself.
    Closed,
    /// Nobody logged in.
    Refused,
    /// A command such as `stop` or `restart` ended it.
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

    fn record() -> SessionRecord {
        SessionRecord::begun("1-2".into(), Timestamp::UNIX_EPOCH, "192.0.2.1:4".parse().unwrap())
    }

    /// A record of programs with kind, exit status and bytes.
    fn of(programs: &[(Kind, Option<u8>, u64)]) -> SessionRecord {
        let mut record = record();
        for (kind, exit, bytes) in programs {
            let at = record.started(*kind, b"x").unwrap();
            if let Some(exit) = exit {
                record.exited(at, *exit, *bytes);
            }
        }
        record
    }

    #[test]
    fn a_push_is_one_rsync_alone_that_brought_bytes_and_ended_well() {
        use Kind::{Command, RsyncPull, RsyncPush, Scp, Sftp, Shell};
        for (programs, successful, failed) in [
            (&[(RsyncPush, Some(0), 9)][..], true, false),
            (&[(RsyncPush, Some(24), 9)], true, false),
            (&[(RsyncPush, Some(23), 9)], false, true),
            (&[(RsyncPush, None, 0)], false, true),
            (&[(RsyncPush, Some(0), 0)], false, false),
            (&[(RsyncPush, Some(0), 9), (Command, Some(0), 9)], false, false),
            (&[(Command, Some(0), 9), (RsyncPush, Some(0), 9)], false, false),
            (&[(RsyncPush, Some(0), 9), (RsyncPush, Some(12), 9)], false, true),
            (&[(RsyncPull, Some(0), 9)], false, false),
            (&[(Sftp, Some(0), 9000)], false, false),
            (&[(Scp, Some(0), 9000)], false, false),
            (&[(Shell, Some(0), 9)], false, false),
            (&[], false, false),
        ] {
            let record = of(programs);
            assert_eq!(
                (record.is_successful_push(), record.is_failed_push()),
                (successful, failed),
                "{programs:?}"
            );
        }
        let mut crowded = of(&[(RsyncPush, Some(0), 9)]);
        crowded.more_programs = 1;
        assert!(!crowded.is_successful_push());
    }

    #[test]
    fn the_session_is_for_its_greatest_program_and_ends_as_that() {
        let mut record =
            of(&[(Kind::Command, Some(1), 1), (Kind::RsyncPush, None, 0), (Kind::Command, Some(2), 2)]);
        assert_eq!((record.kind, record.exit), (Some(Kind::RsyncPush), None));
        record.exited(1, 23, 7);
        assert_eq!((record.exit, record.programs[1].bytes_in), (Some(23), 7));
        record.exited(99, 0, 0);
        assert_eq!(record.programs.len(), 3);
    }

    #[test]
    fn a_record_stays_small_whatever_is_started() {
        let mut record = record();
        assert_eq!(record.started(Kind::Command, &[0x1b; 9000]), Some(0));
        assert_eq!(record.command.as_ref().unwrap().len(), COMMAND / 6 * 6 + COMMAND % 6);
        for _ in 0..5000 {
            record.started(Kind::Command, &[0xff; 9000]);
        }
        assert!(record.programs.len() > 1 && record.programs.len() as u64 + record.more_programs == 5001);
        assert!(serde_json::to_string(&record).unwrap().len() < 6000);
        assert!(record.summary().contains("and 5000 more programs"), "{}", record.summary());
    }

    #[test]
    fn what_earlier_versions_wrote_is_read_and_judged_as_they_did() {
        let old = r#"{"id":"1-2","begin":"1970-01-01T00:00:00Z","end":"1970-01-01T00:01:00Z","source":"192.0.2.1",
            "source_port":4,"key":null,"kind":"KIND","command":"x","exit":0,"bytes_in":20,"bytes_out":10,
            "ending":"closed"}"#;
        for (kind, successful) in
            [("rsync-push", true), ("sftp", true), ("rsync-pull", false), ("command", false)]
        {
            let record: SessionRecord = serde_json::from_str(&old.replace("KIND", kind)).unwrap();
            assert_eq!((record.is_successful_push(), record.is_failed_push()), (successful, false), "{kind}");
            let failed = SessionRecord { exit: Some(12), ..record };
            assert_eq!(failed.is_failed_push(), kind == "rsync-push");
        }
    }

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
