//! One connection, from its sandbox to its record: the work of the monitor, a separate process.

mod argv;
mod disconnect;
pub(crate) mod kind;
mod lastlog;
mod log;
pub(crate) mod login;
mod monitor;
mod offence;
mod programs;

use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use bkctld_core::session::{ActiveSession, Ending, SessionRecord};
use bkctld_sys::net::byte_counts;
use jiff::Timestamp;
use rustix::process::getpid;

pub(crate) use self::disconnect::disconnect;
use self::log::SessionLog;
pub(crate) use self::offence::{LoginResult, Offence};
use self::programs::RunningProgram;
use crate::sandbox::Blueprint;

/// A connection that gets a session.
pub(crate) struct Connection<'a> {
    pub(crate) blueprint: Blueprint<'a>,
    pub(crate) socket: OwnedFd,
    pub(crate) peer: SocketAddr,
    /// Closes when the listener dies.
    pub(crate) listener: BorrowedFd<'a>,
}

/// Serves the connection to its end.
pub(crate) fn serve(connection: Connection<'_>) -> LoginResult {
    let mut session = Session::begin(connection);
    match session.run() {
        Ok(()) => session.login_result(),
        Err(error) => {
            session.log.note(&error);
            let text = "the backup server cannot serve this session; its log says why";
            disconnect(session.connection.socket.as_fd(), text);
            session.finish();
            LoginResult::Excused
        }
    }
}

/// A session, as its monitor knows it.
struct Session<'a> {
    connection: Connection<'a>,
    record: SessionRecord,
    /// None where the state directory cannot be written: a backup is worth more than its record.
    active: Option<ActiveSession>,
    log: SessionLog<'a>,
    /// What it has cost the source so far, should there be no login.
    offence: Offence,
    /// The programs of the record that still run.
    running: Vec<RunningProgram>,
    ending: Option<Ending>,
}

impl<'a> Session<'a> {
    fn begin(connection: Connection<'a>) -> Session<'a> {
        let begin = Timestamp::now();
        let id = format!("{}-{}", begin.as_microsecond(), getpid().as_raw_nonzero());
        let record = SessionRecord::begun(id, begin, connection.peer);
        let served = connection.blueprint.served;
        Session {
            log: SessionLog::before_login(served, &record.id),
            active: ActiveSession::begin(&served.jail, &record).ok(),
            record,
            offence: Offence::NoAttempt,
            running: Vec::new(),
            ending: None,
            connection,
        }
    }

    fn is_logged_in(&self) -> bool {
        self.record.login.is_some()
    }

    /// Reads from the socket what has come and gone so far.
    fn count_bytes(&mut self) {
        // Fails only for what is no TCP socket, which has nothing to count.
        if let Ok(counts) = byte_counts(self.connection.socket.as_fd()) {
            self.record.bytes_in = counts.received;
            self.record.bytes_out = counts.acknowledged;
        }
    }

    /// Shows the session as it is now to whoever looks at those that run.
    fn update_record(&mut self) {
        self.count_bytes();
        if let Some(active) = &mut self.active {
            // The next update or the end writes it again.
            let _ = active.update(&self.record);
        }
    }

    /// Lets the client go, and moves the record to the finished ones.
    fn finish(&mut self) {
        self.count_bytes();
        // The monitor's copy is the last one: without this the client would wait for the record.
        let _ = rustix::net::shutdown(&self.connection.socket, rustix::net::Shutdown::Both);
        self.record.end = Some(Timestamp::now());
        let fallback = if self.is_logged_in() { Ending::Killed } else { Ending::Refused };
        self.record.ending = Some(self.ending.unwrap_or(fallback));
        self.log.release();
        // Not as the last thing, as journald asks what unit a process is of when it reads.
        self.log.summary(&self.record.summary());
        if let Some(active) = self.active.take()
            && let Err(error) = active.finish(&self.record)
        {
            self.log.note(&error.to_string());
            self.log.release();
        }
    }

    fn login_result(&self) -> LoginResult {
        match self.ending {
            _ if self.is_logged_in() => LoginResult::LoggedIn,
            Some(Ending::Stopped) => LoginResult::Excused,
            _ => LoginResult::Offence(self.offence),
        }
    }
}
