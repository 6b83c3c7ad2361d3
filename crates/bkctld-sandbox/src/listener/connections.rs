//! Connections, from their acceptance to the end of their monitors.

use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use bkctld_core::session;
use bkctld_core::syslog::Severity;
use bkctld_sys::process::fork;
use rustix::io::Errno;
use rustix::net::{SocketFlags, acceptfrom_with};
use rustix::process::{Pid, Signal, WaitOptions, kill_process, wait};

use super::source::Source;
use super::{Listener, admission};
use crate::session::{Connection, LoginResult, serve};

/// A session whose monitor has not been waited for yet.
pub(super) struct RunningSession {
    monitor: Pid,
    source: Source,
    /// Whether no penalty is for this source.
    exempt: bool,
}

impl Listener<'_> {
    /// Takes one connection that waits at this address of ours.
    pub(super) fn accept(&mut self, address: SocketAddr) {
        // A reload that came with the connection may have closed the socket.
        let Some(socket) = self.sockets.iter().find(|socket| socket.address == address) else { return };
        let (socket, peer) = match acceptfrom_with(&socket.fd, SocketFlags::CLOEXEC) {
            Ok((socket, Some(peer))) => (socket, peer),
            Ok(_) | Err(Errno::AGAIN | Errno::INTR | Errno::CONNABORTED) => return,
            Err(error) => {
                self.complain(&format!("cannot accept a connection: {error}"));
                // The connection still waits, so this would come again at once.
                std::thread::sleep(Duration::from_millis(100));
                return;
            }
        };
        let Ok(peer) = SocketAddr::try_from(peer) else { return };
        self.admit_or_refuse(socket, peer);
    }

    fn admit_or_refuse(&mut self, socket: OwnedFd, peer: SocketAddr) {
        let running: Vec<Source> = self.sessions.iter().map(|session| session.source).collect();
        let now = Instant::now();
        let source = match admission::decide(&self.config, &self.penalties, &running, peer.ip(), now) {
            Ok(source) => source,
            Err(refusal) => {
                let reason = refusal.reason();
                self.log_refusal(refusal.severity(), peer, &reason);
                if refusal.is_told() {
                    self.refusals.tell(socket, &reason, now);
                }
                return;
            }
        };
        let exempt = admission::is_exempt(&self.config, peer.ip());
        match self.start_monitor(socket, peer) {
            Ok(monitor) => self.sessions.push(RunningSession { monitor, source, exempt }),
            Err(error) => self.log_refusal(Severity::Warning, peer, &format!("cannot be served: {error}")),
        }
    }

    fn start_monitor(&mut self, socket: OwnedFd, peer: SocketAddr) -> std::io::Result<Pid> {
        fork(|| {
            self.leave_to_the_listener();
            let blueprint = self.config.blueprint(self.served, self.ids.as_ref(), &self.bounds);
            serve(Connection { blueprint, socket, peer, listener: self.life.as_fd() }).exit_code()
        })
    }

    /// In a monitor: closes what only the listener may hold.
    fn leave_to_the_listener(&mut self) {
        self.sockets.clear();
        self.refusals.clear();
        self.lock.take();
        self.life_held.take();
    }

    /// Collects the monitors that have ended.
    pub(super) fn reap_monitors(&mut self) {
        let mut crashed = false;
        loop {
            match wait(WaitOptions::NOHANG) {
                Ok(Some((pid, status))) => {
                    crashed |= status.exit_status().is_none();
                    if let Some(at) = self.sessions.iter().position(|session| session.monitor == pid) {
                        let session = self.sessions.swap_remove(at);
                        self.remember(&session, LoginResult::from_exit_code(status.exit_status()));
                    }
                }
                Err(Errno::INTR) => {}
                Ok(None) | Err(_) => break,
            }
        }
        // The record of a session whose monitor was killed is finished by whoever looks.
        if crashed && let Err(error) = session::active(&self.served.jail) {
            self.complain(&error.to_string());
        }
    }

    /// Remembers for its source whether somebody has logged in.
    fn remember(&mut self, session: &RunningSession, result: LoginResult) {
        let now = Instant::now();
        match result {
            LoginResult::LoggedIn => self.penalties.logged_in(session.source, now),
            LoginResult::Offence(offence) if !session.exempt => {
                let max = Duration::from_secs(self.config.limits.max_penalty.into());
                if let Some(left) = self.penalties.add(session.source, offence, max, now) {
                    self.complain(&format!(
                        "no sessions for {} for {} s or more: it connects and does not log in",
                        session.source,
                        left.as_secs()
                    ));
                }
            }
            LoginResult::Offence(_) | LoginResult::Excused => {}
        }
    }

    pub(super) fn signal_monitors(&self, signal: Signal) {
        for session in &self.sessions {
            // Not reaped yet, so the number is still its own.
            let _ = kill_process(session.monitor, signal);
        }
    }
}
