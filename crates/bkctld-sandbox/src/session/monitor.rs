//! The monitor of one connection: makes its sandbox, reads sshd's log, is told which programs start
//! and end, and writes the record.

use std::fs::File;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use bkctld_core::session::{ActiveSession, Ending, LogWriter, SessionRecord};
use bkctld_core::syslog::{Entry, Severity};
use bkctld_sys::net::byte_counts;
use bkctld_sys::seccomp::Notifications;
use bkctld_sys::signal::SignalFd;
use jiff::Timestamp;
use rustix::io::Errno;
use rustix::process::{Signal, getpid};

use super::kind::Argv;
use super::{kind, lastlog};
use crate::bounds::Bounds;
use crate::bounds::id_range::IdRange;
use crate::listener::accept;
use crate::listener::penalty::Offence;
use crate::sandbox::Sandbox;
use crate::sandbox::filter::{Watched, watched};
use crate::sandbox::link::Message;
use crate::sandbox::sshd::{self, Lines, Login};
use crate::wait::{self, Happened};
use crate::{ListenerConfig, Service};

/// How long a session has to end when it is asked to: more than init gives its programs.
const GRACE: Duration = Duration::from_secs(7);

/// So much of the log of a connection is held back before the login, in bytes.
const HELD: usize = 64 << 10;
/// The exit code of a session that ended without a login, but not by the client's doing.
const NOBODYS_FAULT: i32 = 1;

/// What a monitor waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    /// sshd has written to its log, or closed it.
    Log,
    /// A program of the session is about to start or to end.
    Program,
    /// The listener asks the session to end.
    Stop,
    /// The listener has died.
    ListenerGone,
    /// Init has something to say, or has gone.
    Init,
}

/// What the monitor needs.
pub(crate) struct Connection<'a> {
    pub(crate) service: &'a Service,
    pub(crate) config: &'a ListenerConfig,
    pub(crate) ids: Option<&'a IdRange>,
    pub(crate) bounds: &'a Bounds,
    pub(crate) socket: OwnedFd,
    pub(crate) peer: SocketAddr,
    /// Closes when the listener dies.
    pub(crate) listener: BorrowedFd<'a>,
}

/// Serves the connection to its end; returns the exit code.
pub(crate) fn run(connection: Connection<'_>) -> i32 {
    let begin = Timestamp::now();
    let id = format!("{}-{}", begin.as_microsecond(), getpid().as_raw_nonzero());
    let record = SessionRecord::begun(id, begin, connection.peer);
    let mut session = Session {
        held: Vec::new(),
        log: LogWriter::without_login(&connection.service.jail, &record.id),
        active: ActiveSession::begin(&connection.service.jail, &record).ok(),
        record,
        offence: Offence::NoAttempt,
        programs: Vec::new(),
        ending: None,
        connection,
    };
    match session.serve() {
        Ok(()) => session.exit_code(),
        Err(error) => {
            session.note(&error);
            let text = "the backup server cannot serve this session; its log says why";
            accept::refuse(session.connection.socket.as_fd(), text);
            session.finish();
            NOBODYS_FAULT
        }
    }
}

/// A program of the record that runs.
struct Running {
    pid: i32,
    /// Its place in the record.
    at: usize,
    /// Bytes that had come when it started.
    bytes_in: u64,
}

struct Session<'a> {
    connection: Connection<'a>,
    record: SessionRecord,
    /// None where the state directory cannot be written: a backup is worth more than its record.
    active: Option<ActiveSession>,
    log: LogWriter,
    /// What there is to log before a login, or the end without one, tells where it belongs.
    held: Vec<(Timestamp, Severity, Vec<u8>)>,
    /// What it has cost the source so far, should there be no login.
    offence: Offence,
    /// Those of the record that run.
    programs: Vec<Running>,
    ending: Option<Ending>,
}

impl Session<'_> {
    fn serve(&mut self) -> Result<(), String> {
        let Connection { service, config, ids, bounds, .. } = &self.connection;
        let socket = self.connection.socket.try_clone().map_err(|error| error.to_string())?;
        let args = sshd::args(&service.sshd_config, &config.allowed, config.log_level.as_deref());
        let signals = SignalFd::new(&[Signal::TERM]).map_err(|error| error.to_string())?;
        let sandbox = Sandbox::start(service, config.isolation, *ids, bounds, socket, args)
            .map_err(|error| error.to_string())?;
        let watched = self.watch(&sandbox, &signals);
        sandbox.end();
        let mut lines = watched?;
        self.read_log(sandbox.log.as_fd(), &mut lines);
        lines.rest(|line| self.line(line));
        self.finish();
        Ok(())
    }

    /// Waits for whatever happens until init is gone. Returns the log's unfinished line.
    fn watch(&mut self, sandbox: &Sandbox, signals: &SignalFd) -> Result<Lines, String> {
        let mut lines = Lines::default();
        let mut notifications: Option<Notifications> = None;
        let mut deadline: Option<Instant> = None;
        let mut log_open = true;
        loop {
            if wait::is_over(deadline) {
                return Ok(lines);
            }
            // The log first: a login is written before the program that it lets start.
            let log = log_open.then(|| (Event::Log, sandbox.log.as_fd()));
            let programs = notifications.as_ref().map(|all| (Event::Program, all.as_fd()));
            let others = [
                (Event::Stop, signals.as_fd()),
                (Event::ListenerGone, self.connection.listener),
                (Event::Init, sandbox.link.as_fd()),
            ];
            let happened = wait::until(deadline, log.into_iter().chain(programs).chain(others))
                .map_err(|error| format!("cannot wait for the session: {error}"))?;
            for Happened { event, readable } in happened {
                match event {
                    Event::Log => log_open = self.read_log(sandbox.log.as_fd(), &mut lines),
                    Event::Program => {
                        if !notifications.as_ref().is_some_and(|all| readable && self.program(all)) {
                            notifications = None;
                        }
                    }
                    Event::Stop if matches!(signals.next(), Ok(Some(_))) => {
                        self.ending.get_or_insert(Ending::Stopped);
                        let _ = sandbox.link.send(&Message::Stop);
                        deadline.get_or_insert_with(|| Instant::now() + GRACE);
                    }
                    Event::Stop => {}
                    Event::ListenerGone => {
                        self.ending.get_or_insert(Ending::Killed);
                        return Ok(lines);
                    }
                    Event::Init if self.hear(sandbox, &mut notifications)? => {}
                    Event::Init => return Ok(lines),
                }
            }
        }
    }

    /// Takes one message of init; false when init is gone.
    fn hear(&mut self, sandbox: &Sandbox, notifications: &mut Option<Notifications>) -> Result<bool, String> {
        match sandbox.link.receive() {
            Ok(Some(Message::Notifications(fd))) => *notifications = Some(Notifications::new(fd)),
            Ok(Some(Message::Failed(why))) => return Err(why),
            Ok(Some(Message::Warning(text))) => self.note(&text),
            Ok(Some(Message::SshdEnded { killed })) => {
                if killed {
                    self.offence = Offence::Crash;
                }
                let ending = match (killed, self.logged_in()) {
                    (true, _) => Ending::Killed,
                    (false, true) => Ending::Closed,
                    (false, false) => Ending::Refused,
                };
                self.ending.get_or_insert(ending);
            }
            Ok(Some(Message::Stop)) => {}
            Ok(None) | Err(_) => return Ok(false),
        }
        Ok(true)
    }

    /// Reads what there is; false at the end.
    fn read_log(&mut self, log: BorrowedFd<'_>, lines: &mut Lines) -> bool {
        let mut buffer = [0; 4096];
        // Bounded, so that a flood does not keep the monitor from everything else.
        for _ in 0..16 {
            match rustix::io::read(log, &mut buffer) {
                Ok(0) => return false,
                Ok(len) => lines.take(&buffer[..len], |line| self.line(line)),
                Err(Errno::AGAIN) => return true,
                Err(Errno::INTR) => {}
                Err(_) => return false,
            }
        }
        true
    }

    fn line(&mut self, line: &[u8]) {
        if !self.logged_in() {
            match sshd::login(line) {
                Some(login) => self.log_in(login),
                None => self.offence = Offence::told_by(line).unwrap_or(self.offence),
            }
        }
        self.write_log(Severity::Info, line);
    }

    fn logged_in(&self) -> bool {
        self.record.login.is_some()
    }

    fn log_in(&mut self, login: Login) {
        let jail = &self.connection.service.jail;
        self.record.login = Some(Timestamp::now());
        self.record.key = login.key;
        self.log = LogWriter::new(jail, &self.record.id);
        let touched = lastlog::touch(jail);
        self.write_held();
        if let Err(error) = touched {
            self.note(&error.to_string());
        }
        self.update();
    }

    /// A line of our own in the jail's log.
    fn note(&mut self, text: &str) {
        self.write_log(Severity::Warning, format!("bkctld: {text}").as_bytes());
    }

    /// In the jail's log and the server's, neither of which a client can fill.
    fn write_log(&mut self, severity: Severity, line: &[u8]) {
        let now = Timestamp::now();
        if self.logged_in() {
            return self.write_log_of(now, severity, line);
        }
        let held: usize = self.held.iter().map(|(_, _, line)| line.len()).sum();
        if held < HELD {
            self.held.push((now, severity, line.to_vec()));
        }
    }

    /// Writes what was held back. Connections without a login are for who looks for them in the server's log:
    /// anybody can make many.
    fn write_held(&mut self) {
        for (time, severity, line) in std::mem::take(&mut self.held) {
            let severity = match severity {
                Severity::Info if !self.logged_in() => Severity::Debug,
                other => other,
            };
            self.write_log_of(time, severity, &line);
        }
    }

    fn write_log_of(&mut self, time: Timestamp, severity: Severity, line: &[u8]) {
        match self.log.append(time, line) {
            Ok(Some(shown)) => self.tell(severity, &shown),
            Ok(None) => {}
            // The session goes on: see `active`.
            Err(error) => self.tell(Severity::Warning, &error.to_string()),
        }
    }

    /// In the server's log, under the session's name.
    fn tell(&self, severity: Severity, text: &str) {
        let id = &self.record.id;
        let entry = Entry::new(severity, format_args!("{id} {text}")).by("session");
        self.connection.service.log(entry.with("BKCTLD_SESSION", id));
    }

    /// Deals with one program that starts or ends; false when no more can come.
    fn program(&mut self, notifications: &Notifications) -> bool {
        let call = match notifications.next() {
            Ok(Some(call)) => call,
            Ok(None) => return true,
            Err(_) => return false,
        };
        match watched(call.number, &call.args) {
            Some(Watched::Exec(argv)) if self.logged_in() && is_sshd(call.pid) => {
                let argv = read_argv(call.pid, argv);
                // Else what was read may have been another process.
                if notifications.is_waiting(&call) {
                    self.start(call.pid, &argv);
                }
            }
            Some(Watched::Exit(status)) => self.exit(call.pid, status),
            _ => {}
        }
        let _ = notifications.let_go(&call);
        true
    }

    fn start(&mut self, pid: i32, argv: &Argv) {
        let Some((kind, command)) = kind::classify(argv) else { return };
        self.count_bytes();
        if let Some(at) = self.record.started(kind, &command) {
            self.programs.push(Running { pid, at, bytes_in: self.record.bytes_in });
            self.update();
        }
    }

    fn exit(&mut self, pid: i32, status: u8) {
        // The kernel may give the number to another process now.
        if let Some(index) = self.programs.iter().position(|running| running.pid == pid) {
            let Running { at, bytes_in, .. } = self.programs.swap_remove(index);
            self.count_bytes();
            self.record.exited(at, status, self.record.bytes_in.saturating_sub(bytes_in));
        }
    }

    fn count_bytes(&mut self) {
        // Fails only for what is no TCP socket, which has nothing to count.
        if let Ok(counts) = byte_counts(self.connection.socket.as_fd()) {
            self.record.bytes_in = counts.received;
            self.record.bytes_out = counts.acknowledged;
        }
    }

    fn update(&mut self) {
        self.count_bytes();
        if let Some(active) = &mut self.active {
            // The next update or the end writes it again.
            let _ = active.update(&self.record);
        }
    }

    fn finish(&mut self) {
        self.count_bytes();
        // The monitor's copy is the last one: without this the client would wait for the record.
        let _ = rustix::net::shutdown(&self.connection.socket, rustix::net::Shutdown::Both);
        self.record.end = Some(Timestamp::now());
        let fallback = if self.logged_in() { Ending::Killed } else { Ending::Refused };
        self.record.ending = Some(self.ending.unwrap_or(fallback));
        self.write_held();
        // Not as the last thing, as journald asks what unit a process is of when it reads.
        let severity = if self.logged_in() { Severity::Info } else { Severity::Debug };
        self.tell(severity, &self.record.summary());
        if let Some(active) = self.active.take()
            && let Err(error) = active.finish(&self.record)
        {
            self.note(&error.to_string());
            self.write_held();
        }
    }

    /// Tells the listener whether there was a login; none where it was not the client who ended it.
    fn exit_code(&self) -> i32 {
        match self.ending {
            _ if self.logged_in() => 0,
            Some(Ending::Stopped) => NOBODYS_FAULT,
            _ => self.offence.exit_code(),
        }
    }
}

/// Whether the process runs sshd itself (before 9.8) or its part for a session: what those start
/// is what the client asked for.
fn is_sshd(pid: i32) -> bool {
    std::fs::read_link(format!("/proc/{pid}/exe"))
        .is_ok_and(|exe| exe.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"sshd")))
}

/// Arguments of a program that is about to start, at most this many bytes of each, and words.
const ARGV_BYTES: usize = 4096;
const ARGV_WORDS: usize = 16;

/// What can be read of them: a program whose arguments cannot be read is one nevertheless.
fn read_argv(pid: i32, address: u64) -> Argv {
    let mut argv = Argv { words: Vec::new(), whole: false };
    let Ok(memory) = File::open(format!("/proc/{pid}/mem")) else { return argv };
    for index in 0..ARGV_WORDS as u64 {
        let mut pointer = [0; size_of::<usize>()];
        let read = address
            .checked_add(index * size_of::<usize>() as u64)
            .is_some_and(|at| memory.read_exact_at(&mut pointer, at).is_ok());
        if !read {
            return argv;
        }
        let pointer = usize::from_ne_bytes(pointer) as u64;
        if pointer == 0 {
            argv.whole = true;
            return argv;
        }
        let (text, whole) = read_string(&memory, pointer);
        argv.words.push(text);
        if !whole {
            return argv;
        }
    }
    argv
}

/// A string, and whether that is all of it.
fn read_string(memory: &File, address: u64) -> (Vec<u8>, bool) {
    let mut text = Vec::new();
    let mut chunk = [0; 256];
    while text.len() < ARGV_BYTES {
        let Some(at) = address.checked_add(text.len() as u64) else { break };
        // Not over a page's end, behind which nothing may be mapped.
        let room = (4096 - (at % 4096)).min(chunk.len() as u64) as usize;
        let Some(len) = memory.read_at(&mut chunk[..room], at).ok().filter(|len| *len > 0) else { break };
        match chunk[..len].iter().position(|byte| *byte == 0) {
            Some(end) => {
                text.extend_from_slice(&chunk[..end]);
                return (text, true);
            }
            None => text.extend_from_slice(&chunk[..len]),
        }
    }
    (text, false)
}
