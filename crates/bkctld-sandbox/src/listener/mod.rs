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

/// How long sessions have to end at a stop: more than a monitor gives them.
const STOP_GRACE: Duration = Duration::from_secs(9);

/// Why a listener has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenerEnd {
    /// A signal has asked it to stop, and its sessions have ended.
    Stopped,
    /// The program at this path is another one than this process runs. No session was left: the process
    /// is to run it in its place.
    Replaced(PathBuf),
}

/// Serves the jail until it is told to stop (SIGTERM, SIGINT); SIGHUP reads the configuration again.
/// Where the program was replaced by then, it also ends, as soon as there is no session.
///
/// Takes the listener's lock once the port is bound and a sandboxed sshd has answered, and says then
/// that it is ready: to systemd where that asks, on standard output where the listener is supervised.
///
/// # Errors
/// Whatever keeps the jail from being served; after it was ready, nothing does.
pub fn listen(served: &ServedJail) -> Result<ListenerEnd> {
    let started = Listener::start(served);
    if served.started_by == StartedBy::Supervisor {
        let word = match &started {
            Ok(_) => READY.to_owned(),
            Err(error) => error.to_string(),
        };
        // A supervisor that died is no reason not to serve.
        let _ = writeln!(std::io::stdout(), "{word}");
        // The supervisor waits for the end of the pipe.
        let null = File::options().write(true).open("/dev/null").context("cannot open", "/dev/null")?;
        rustix::stdio::dup2_stdout(&null).context("cannot leave", "standard output")?;
    }
    let mut listener = match started {
        Ok(listener) => listener,
        Err(error) => {
            // `start` asks systemd for this text: the journal is not everywhere, nor at once.
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
    /// A reload has found that the program was replaced, and that it would start.
    replaced: bool,
    /// The listener's own lock; monitors must not inherit it.
    lock: Option<Lock>,
    /// Inherited by monitors and inits: free when the last process of the jail is gone.
    _sessions_lock: File,
    /// Monitors see their end of this pipe close when the listener dies.
    life: OwnedFd,
    life_held: Option<OwnedFd>,
}

impl<'a> Listener<'a> {
    fn start(served: &'a ServedJail) -> Result<Listener<'a>> {
        let config = ListenerConfig::read(served)?;
        let sessions_lock = lock_sessions(served)?;
        // Whatever a dead listener's monitors left.
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
                    // The configuration may have been broken since: then this listener goes on.
                    self.reload();
                    if self.replaced {
                        return Ok(ListenerEnd::Replaced(self.program.path.clone()));
                    }
                }
                // A server has hundreds of these that mostly wait. Failing only costs memory.
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

    /// Waits for signals and connections. Has a deadline only while somebody is being refused.
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
        // Their inits see that, and the kernel ends the rest.
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

/// Shared with what an earlier listener may have left, which sees that it died and ends by itself.
fn lock_sessions(served: &ServedJail) -> Result<File> {
    let path = served.jail.sessions_lock();
    let lock = lock::open(&path)?;
    lock.lock_shared().context("cannot lock", &path)?;
    Ok(lock)
}

fn cannot<E: Into<std::io::Error>>(what: &'static str) -> impl Fn(E) -> Error {
    move |error| Error::kernel(format!("the listener cannot go on: {what}"), error)
}
