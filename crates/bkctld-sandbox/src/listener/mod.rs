//! The listener of one jail: holds the port, decides who gets a session, and starts its monitor.

mod admission;
mod config;
mod connections;
mod log;
mod penalty;
mod refusals;
mod reload;
mod sockets;
mod source;
mod upgrade;

use std::fs::File;
use std::io::Write;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use bkctld_core::error::{Error, IoContext, Result};
use bkctld_core::lock::{self, Lock};
use bkctld_core::service::ListenerState;
use bkctld_core::service::background::READY;
use bkctld_core::service::holder::sign;
use bkctld_core::session;
use bkctld_core::syslog::Severity;
use bkctld_core::text::printable;
use bkctld_sys::process::release_code;
use bkctld_sys::signal::SignalFd;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::Signal;

use self::config::ListenerConfig;
use self::connections::RunningSession;
use self::penalty::Penalties;
use self::refusals::{Refusals, RefusedClient};
use self::sockets::{ListeningSocket, listen_on};
use self::upgrade::OwnProgram;
use crate::bounds::Bounds;
use crate::bounds::id_range::IdRange;
use crate::notify;
use crate::sandbox::selftest;
use crate::served::{ServedJail, StartedBy};
use crate::wait::{self, Happened};

/// The time that sessions get to end at a stop: more than a monitor gives them.
const STOP_GRACE: Duration = Duration::from_secs(9);

/// The reason why a listener ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenerEnd {
    /// A signal has asked it to stop, and its sessions have ended.
    Stopped,
    /// The program at this path has been replaced, and no session is left: the process should execute the new
    /// one.
    Replaced(PathBuf),
}

/// Serves the jail until it is stopped (SIGTERM, SIGINT); SIGHUP reloads the configuration. If the program
/// has been replaced by then, the listener also ends, as soon as there is no session.
///
/// Takes the listener's lock once the port is bound and a sandboxed sshd has answered, and then reports that
/// it is ready: to systemd if that asks for it, on standard output if it is supervised.
///
/// # Errors
/// Any reason why the jail cannot be served; there is none once the listener is ready.
pub fn listen(served: &ServedJail) -> Result<ListenerEnd> {
    let started = Listener::start(served);
    if served.started_by == StartedBy::Supervisor {
        let word = match &started {
            Ok(_) => READY.to_owned(),
            Err(error) => error.to_string(),
        };
        // The jail is served even if the supervisor has died.
        let _ = writeln!(std::io::stdout(), "{word}");
        // The supervisor waits for the end of the pipe.
        let null = File::options().write(true).open("/dev/null").context("cannot open", "/dev/null")?;
        rustix::stdio::dup2_stdout(&null).context("cannot leave", "standard output")?;
    }
    let mut listener = match started {
        Ok(listener) => listener,
        Err(error) => {
            // `start` reads this text from systemd, because the journal is not available everywhere, nor at
            // once.
            notify::systemd(&format!("STATUS={}", printable(error.to_string().as_bytes())));
            return Err(error);
        }
    };
    notify::systemd(&listener.ready());
    listener.log(Severity::Info, &format!("listening on port {}", listener.state.port));
    listener.warn_of_other_ports();
    listener.serve()
}

/// What a listener waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    Signal,
    /// Somebody connects to this address of ours.
    Connection(SocketAddr),
    /// A client that was told why it gets no session has read it, and sends something or goes.
    Refused(RefusedClient),
}

struct Listener<'a> {
    served: &'a ServedJail,
    config: ListenerConfig,
    ids: Option<IdRange>,
    bounds: Bounds,
    sockets: Vec<ListeningSocket>,
    signals: SignalFd,
    sessions: Vec<RunningSession>,
    refusals: Refusals,
    penalties: Penalties,
    state: ListenerState,
    program: OwnProgram,
    /// Whether a reload has found a new program that would start.
    replaced: bool,
    /// The listener's own lock; monitors must not inherit it.
    lock: Option<Lock>,
    /// The lock that monitors and inits inherit: it is free once the last process of the jail is gone.
    _sessions_lock: File,
    /// The pipe whose end closes for monitors when the listener dies.
    life: OwnedFd,
    life_held: Option<OwnedFd>,
}

impl<'a> Listener<'a> {
    fn start(served: &'a ServedJail) -> Result<Listener<'a>> {
        let config = ListenerConfig::read(served)?;
        let sessions_lock = lock_sessions(served)?;
        // The remains of a dead listener's monitors.
        session::active(&served.jail)?;
        let mut sockets = Vec::new();
        listen_on(&mut sockets, config.port, &config.listen)?;
        let ids = config.take_ids(&served.settings.lock_dir)?;
        let (bounds, unbounded) = config.take_bounds(served);
        selftest::run(&config.blueprint(served, ids.as_ref(), &bounds))?;
        let signals = SignalFd::new(&[Signal::TERM, Signal::INT, Signal::HUP, Signal::CHILD])
            .map_err(cannot("signals"))?;
        let (life, life_held) = pipe_with(PipeFlags::CLOEXEC).map_err(cannot("pipe"))?;
        let lock = Lock::try_take(&served.jail.listener_lock())?
            .ok_or_else(|| Error::busy("another listener of this jail is running"))?;
        sign(&lock)?;
        let state = ListenerState { unbounded, ..ListenerState::first(&served.jail, config.port)? };
        let mut listener = Listener {
            served,
            config,
            ids,
            bounds,
            sockets,
            signals,
            sessions: Vec::new(),
            refusals: Refusals::new(Instant::now()),
            penalties: Penalties::default(),
            state,
            program: OwnProgram::of_this_process()?,
            replaced: false,
            lock: Some(lock),
            _sessions_lock: sessions_lock,
            life,
            life_held: Some(life_held),
        };
        listener.catch_up()?;
        Ok(listener)
    }

    fn serve(&mut self) -> Result<ListenerEnd> {
        loop {
            if self.is_idle() {
                if self.replaced {
                    // The configuration may have been broken since; then this listener continues.
                    self.reload();
                    if self.replaced {
                        return Ok(ListenerEnd::Replaced(self.program.path.clone()));
                    }
                }
                // A server has hundreds of mostly idle listeners. A failure only costs memory.
                let _ = release_code();
            }
            for happened in self.wait(None)? {
                match happened.event {
                    Event::Signal => {
                        while let Some(signal) = self.next_signal()? {
                            match signal {
                                Signal::CHILD => self.reap_monitors(),
                                Signal::HUP => self.reload(),
                                _ => return self.stop().map(|()| ListenerEnd::Stopped),
                            }
                        }
                    }
                    Event::Connection(address) => self.accept(address),
                    Event::Refused(client) => self.refusals.hear(client),
                }
            }
            let now = Instant::now();
            self.refusals.let_go(now);
            self.refusals.count(&self.served.jail, Some(now));
        }
    }

    fn is_idle(&self) -> bool {
        self.sessions.is_empty() && self.refusals.nobody_lingers()
    }

    /// Waits for signals and connections, with a deadline only while a client is being refused.
    fn wait(&self, deadline: Option<Instant>) -> Result<Vec<Happened<Event>>> {
        let deadline = self.refusals.deadline().into_iter().chain(deadline).min();
        let signals = std::iter::once((Event::Signal, self.signals.as_fd()));
        let sockets =
            self.sockets.iter().map(|socket| (Event::Connection(socket.address), socket.fd.as_fd()));
        let refused = self.refusals.watched().map(|(client, fd)| (Event::Refused(client), fd));
        // Signals first: a connection that comes with a reload is judged by the new configuration.
        wait::until(deadline, signals.chain(sockets).chain(refused)).map_err(cannot("wait"))
    }

    fn next_signal(&self) -> Result<Option<Signal>> {
        self.signals.next().map_err(cannot("signals"))
    }

    /// Ends the sessions and waits for their monitors.
    fn stop(&mut self) -> Result<()> {
        notify::systemd("STOPPING=1");
        self.sockets.clear();
        self.refusals.clear();
        self.refusals.count(&self.served.jail, None);
        self.signal_monitors(Signal::TERM);
        self.wait_for_monitors(Some(Instant::now() + STOP_GRACE))?;
        // Their inits notice this, and the kernel kills the rest.
        self.signal_monitors(Signal::KILL);
        self.wait_for_monitors(None)?;
        self.log(Severity::Info, "stopped");
        Ok(())
    }

    fn wait_for_monitors(&mut self, deadline: Option<Instant>) -> Result<()> {
        while !self.sessions.is_empty() && !wait::is_over(deadline) {
            self.wait(deadline)?;
            while self.next_signal()?.is_some() {}
            self.reap_monitors();
        }
        Ok(())
    }
}

/// Shared with the remains of an earlier listener, which notice that it died and end by themselves.
fn lock_sessions(served: &ServedJail) -> Result<File> {
    let path = served.jail.sessions_lock();
    let lock = lock::open(&path)?;
    lock.lock_shared().context("cannot lock", &path)?;
    Ok(lock)
}

fn cannot<E: Into<std::io::Error>>(what: &'static str) -> impl Fn(E) -> Error {
    move |error| Error::kernel(format!("the listener cannot continue: {what}"), error)
}
