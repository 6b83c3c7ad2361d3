//! The monitor's loop: it reads sshd's log, looks at the programs that start and end, and ends the session when
//! it is asked to.

use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use bkctld_core::session::Ending;
use bkctld_sys::seccomp::Notifications;
use bkctld_sys::signal::SignalFd;
use jiff::Timestamp;
use rustix::io::Errno;
use rustix::process::Signal;

use super::login::{Login, login};
use super::{Offence, Session, lastlog};
use crate::sandbox::Sandbox;
use crate::sandbox::link::Message;
use crate::sandbox::log_lines::LogLines;
use crate::wait::{self, Happened};

/// The time that a session gets to end when it is asked to: more than init gives its programs.
const GRACE: Duration = Duration::from_secs(7);

/// What a monitor waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    /// sshd has written to its log, or closed it.
    Log,
    /// A program of the session is about to start or to end.
    Program,
    /// The listener asks the session to end.
    Stop,
    /// The listener has died, so nobody may go on serving its jail.
    ListenerGone,
    /// Init has something to say, or has gone.
    Init,
}

/// What the loop has of its session so far.
#[derive(Default)]
struct Watch {
    lines: LogLines,
    log_ended: bool,
    /// There from when sshd is about to start until its last program has ended.
    notifications: Option<Notifications>,
    /// Set when the session was asked to end.
    deadline: Option<Instant>,
}

impl Session<'_> {
    /// Runs the sandbox to its end.
    pub(super) fn run(&mut self) -> Result<(), String> {
        let socket = self.connection.socket.try_clone().map_err(|error| error.to_string())?;
        let signals = SignalFd::new(&[Signal::TERM]).map_err(|error| error.to_string())?;
        let sandbox =
            Sandbox::start(&self.connection.blueprint, socket).map_err(|error| error.to_string())?;
        let mut watch = Watch::default();
        let watched = self.watch(&mut watch, &sandbox, &signals);
        sandbox.end();
        watched?;
        self.read_log(sandbox.log.as_fd(), &mut watch.lines);
        watch.lines.rest(|line| self.take_line(line));
        self.finish();
        Ok(())
    }

    /// Waits for whatever happens until init is gone.
    fn watch(&mut self, watch: &mut Watch, sandbox: &Sandbox, signals: &SignalFd) -> Result<(), String> {
        while !wait::is_over(watch.deadline) {
            // The log first: a login is written before the program that it lets start.
            let log = (!watch.log_ended).then(|| (Event::Log, sandbox.log.as_fd()));
            let programs = watch.notifications.as_ref().map(|all| (Event::Program, all.as_fd()));
            let others = [
                (Event::Stop, signals.as_fd()),
                (Event::ListenerGone, self.connection.listener),
                (Event::Init, sandbox.link.as_fd()),
            ];
            let happened = wait::until(watch.deadline, log.into_iter().chain(programs).chain(others))
                .map_err(|error| format!("cannot wait for the session: {error}"))?;
            for Happened { event, readable } in happened {
                match event {
                    Event::Log => watch.log_ended = !self.read_log(sandbox.log.as_fd(), &mut watch.lines),
                    Event::Program => {
                        let open = |all| readable && self.next_program(all);
                        if !watch.notifications.as_ref().is_some_and(open) {
                            watch.notifications = None;
                        }
                    }
                    Event::Stop if matches!(signals.next(), Ok(Some(_))) => {
                        self.ending.get_or_insert(Ending::Stopped);
                        let _ = sandbox.link.send(&Message::Stop);
                        watch.deadline.get_or_insert_with(|| Instant::now() + GRACE);
                    }
                    Event::Stop => {}
                    Event::ListenerGone => {
                        self.ending.get_or_insert(Ending::Killed);
                        return Ok(());
                    }
                    Event::Init if self.hear_init(sandbox, &mut watch.notifications)? => {}
                    Event::Init => return Ok(()),
                }
            }
        }
        Ok(())
    }

    /// Takes one message of init; false when init is gone.
    fn hear_init(
        &mut self,
        sandbox: &Sandbox,
        notifications: &mut Option<Notifications>,
    ) -> Result<bool, String> {
        match sandbox.link.receive() {
            Ok(Some(Message::Notifications(fd))) => *notifications = Some(Notifications::new(fd)),
            Ok(Some(Message::Failed(why))) => return Err(why),
            Ok(Some(Message::Warning(text))) => self.log.note(&text),
            Ok(Some(Message::SshdEnded { killed })) => {
                if killed {
                    self.offence = Offence::Crash;
                }
                let ending = match (killed, self.is_logged_in()) {
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

    /// Reads the available data; false at the end.
    fn read_log(&mut self, log: BorrowedFd<'_>, lines: &mut LogLines) -> bool {
        let mut buffer = [0; 4096];
        // Bounded, so that a flood does not keep the monitor from everything else.
        for _ in 0..16 {
            match rustix::io::read(log, &mut buffer) {
                Ok(0) => return false,
                Ok(len) => lines.take(&buffer[..len], |line| self.take_line(line)),
                Err(Errno::AGAIN) => return true,
                Err(Errno::INTR) => {}
                Err(_) => return false,
            }
        }
        true
    }

    fn take_line(&mut self, line: &[u8]) {
        if !self.is_logged_in() {
            match login(line) {
                Some(login) => self.log_in(login),
                None => self.offence = Offence::in_log_line(line).unwrap_or(self.offence),
            }
        }
        self.log.line(line);
    }

    fn log_in(&mut self, login: Login) {
        self.record.login = Some(Timestamp::now());
        self.record.key = login.key;
        let touched = lastlog::touch(&self.connection.blueprint.served.jail);
        self.log.log_in();
        if let Err(error) = touched {
            self.log.note(&error.to_string());
        }
        self.update_record();
    }
}
