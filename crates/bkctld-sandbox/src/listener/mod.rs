//! The listener of one jail: holds the port, decides who gets a session, and starts its monitor.

pub(crate) mod accept;
pub(crate) mod penalty;
mod refusals;
mod sockets;
mod upgrade;

use std::fs::File;
use std::io::Write;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use bkctld_core::config::Isolation;
use bkctld_core::error::{Error, IoContext, Result};
use bkctld_core::lock::{self, Lock};
use bkctld_core::service::ListenerState;
use bkctld_core::service::background::READY;
use bkctld_core::service::holder::sign;
use bkctld_core::session;
use bkctld_core::syslog::{Entry, Severity};
use bkctld_core::text::printable;
use bkctld_sys::process::{fork, release_code};
use bkctld_sys::signal::SignalFd;
use rustix::io::Errno;
use rustix::net::{SocketFlags, acceptfrom_with};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, Signal, WaitOptions, kill_process};

use self::penalty::{Offence, Penalties};
use self::refusals::{Refusals, RefusedClient};
use self::sockets::{ListeningSocket, listen_on};
use self::upgrade::Program;
use crate::bounds::cgroup::Cgroup;
use crate::bounds::id_range::IdRange;
use crate::bounds::{self, Bounds};
use crate::sandbox::selftest;
use crate::session::monitor;
use crate::wait::{self, Happened};
use crate::{ListenerConfig, Service, notify};

/// How long sessions have to end at a stop: more than a monitor gives them.
const STOP_GRACE: Duration = Duration::from_secs(9);

/// Why a listener has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It was told to.
    Stopped,
    /// The program at this path is another one than this process runs. No session was left: the process
    /// is to run it in its place.
    Replaced(PathBuf),
}

/// Serves the jail until it is told to stop (SIGTERM, SIGINT); SIGHUP reads the configuration again.
/// Where the program was replaced by then, it also ends, as soon as there is no session.
///
/// Takes the listener's lock once the port is bound and a sandboxed sshd has answered, and says then
/// that it is ready: to systemd where that asks, on standard output where the service is supervised.
///
/// # Errors
/// Whatever keeps the jail from being served; after it was ready, nothing does.
pub fn run(service: &Service, load: &dyn Fn() -> Result<ListenerConfig>) -> Result<Ended> {
    let started = Listener::start(service, load);
    if service.supervised {
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
    listener.serve(load)
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

struct RunningSession {
    monitor: Pid,
    source: IpAddr,
    /// Whether no penalty is for this source.
    exempt: bool,
}

struct Listener<'a> {
    service: &'a Service,
    config: ListenerConfig,
    ids: Option<IdRange>,
    bounds: Bounds,
    sockets: Vec<ListeningSocket>,
    signals: SignalFd,
    sessions: Vec<RunningSession>,
    refusals: Refusals,
    penalties: Penalties,
    state: ListenerState,
    program: Program,
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
    fn start(service: &'a Service, load: &dyn Fn() -> Result<ListenerConfig>) -> Result<Listener<'a>> {
        let config = load()?;
        let sessions_lock = lock_sessions(service)?;
        // Whatever a dead listener's monitors left.
        session::active(&service.jail)?;
        let mut sockets = Vec::new();
        listen_on(&mut sockets, config.port, &config.listen)?;
        let ids = take_ids(service, &config)?;
        let (bounds, unbounded) = take_bounds(service, &config);
        selftest::run(service, &config, ids.as_ref(), &bounds)?;
        let signals = SignalFd::new(&[Signal::TERM, Signal::INT, Signal::HUP, Signal::CHILD])
            .map_err(cannot("signals"))?;
        let (life, life_held) = pipe_with(PipeFlags::CLOEXEC).map_err(cannot("pipe"))?;
        let lock = Lock::try_take(&service.jail.listener_lock())?
            .ok_or_else(|| Error::Refused("another listener of this jail is running".into()))?;
        sign(&lock)?;
        let state = ListenerState { unbounded, ..ListenerState::first(&service.jail, config.port)? };
        let mut listener = Listener {
            service,
            config,
            ids,
            bounds,
            sockets,
            signals,
            sessions: Vec::new(),
            refusals: Refusals::new(Instant::now()),
            penalties: Penalties::default(),
            state,
            program: Program::of_this_process()?,
            replaced: false,
            lock: Some(lock),
            _sessions_lock: sessions_lock,
            life,
            life_held: Some(life_held),
        };
        listener.catch_up(load)?;
        Ok(listener)
    }

    /// What was changed while this listener started found nobody to tell: before it held its lock the
    /// jail was off. Where that cannot be served, the listener goes on as it has started.
    fn catch_up(&mut self, load: &dyn Fn() -> Result<ListenerConfig>) -> Result<()> {
        let change = |now| if now == self.config { Ok(()) } else { self.change_to(now) };
        if let Err(error) = load().and_then(change) {
            self.say(Severity::Warning, &format!("a change during the start is not in force: {error}"));
            self.state.error = Some(error.to_string());
        }
        self.state.port = self.config.port.get();
        self.state.write(&self.service.jail)
    }

    fn serve(&mut self, load: &dyn Fn() -> Result<ListenerConfig>) -> Result<Ended> {
        loop {
            if self.is_idle() {
                if self.replaced {
                    // The configuration may have been broken since: then this listener goes on.
                    self.reload(load);
                    if self.replaced {
                        return Ok(Ended::Replaced(self.program.path.clone()));
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
                                Signal::CHILD => self.reap(),
                                Signal::HUP => self.reload(load),
                                _ => return self.stop().map(|()| Ended::Stopped),
                            }
                        }
                    }
                    Event::Connection(address) => self.accept(address),
                    Event::Refused(client) => self.refusals.hear(client),
                }
            }
            let now = Instant::now();
            self.refusals.let_go(now);
            self.refusals.count(&self.service.jail, Some(now));
        }
    }

    fn is_idle(&self) -> bool {
        self.sessions.is_empty() && self.refusals.nobody_lingers()
    }

    /// Waits for signals and connections. Has a deadline only while somebody is being refused.
    fn wait(&self, deadline: Option<Instant>) -> Result<Vec<Happened<Event>>> {
        let deadline = self.refusals.deadline().into_iter().chain(deadline).min();
        let signals: (Event, BorrowedFd<'_>) = (Event::Signal, self.signals.as_fd());
        let sockets =
            self.sockets.iter().map(|socket| (Event::Connection(socket.address), socket.fd.as_fd()));
        let refused = self.refusals.watched().map(|(client, fd)| (Event::Refused(client), fd));
        // Signals first: a connection that comes with a reload is judged by the new configuration.
        wait::until(deadline, std::iter::once(signals).chain(sockets).chain(refused)).map_err(cannot("wait"))
    }

    fn next_signal(&self) -> Result<Option<Signal>> {
        self.signals.next().map_err(cannot("signals"))
    }

    fn accept(&mut self, address: SocketAddr) {
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
        if !accept::is_allowed(&self.config.allowed, peer.ip()) {
            return self.report(Severity::Info, peer, "not an allowed address");
        }
        let source = accept::source(peer.ip());
        let now = Instant::now();
        if let Some(left) = self.penalties.left(source, now) {
            let why = accept::penalty(left);
            self.report(Severity::Info, peer, &why);
            return self.refusals.tell(socket, &why, now);
        }
        let running: Vec<IpAddr> = self.sessions.iter().map(|session| session.source).collect();
        if let Some(why) = accept::too_many(&self.config.limits, &running, source) {
            self.report(Severity::Warning, peer, why);
            return self.refusals.tell(socket, why, now);
        }
        let exempt = accept::is_exempt(&self.config.limits.penalty_exempt, peer.ip());
        match self.start_monitor(socket, peer) {
            Ok(monitor) => self.sessions.push(RunningSession { monitor, source, exempt }),
            Err(error) => self.report(Severity::Warning, peer, &format!("cannot be served: {error}")),
        }
    }

    fn start_monitor(&mut self, socket: OwnedFd, peer: SocketAddr) -> std::io::Result<Pid> {
        fork(|| {
            self.leave_to_the_listener();
            monitor::run(monitor::Connection {
                service: self.service,
                config: &self.config,
                ids: ids_for(self.config.isolation, self.ids.as_ref()),
                bounds: &self.bounds,
                socket,
                peer,
                listener: self.life.as_fd(),
            })
        })
    }

    /// In a monitor: closes what only the listener may hold.
    fn leave_to_the_listener(&mut self) {
        self.sockets.clear();
        self.refusals.clear();
        self.lock.take();
        self.life_held.take();
    }

    fn reap(&mut self) {
        let mut crashed = false;
        loop {
            match rustix::process::wait(WaitOptions::NOHANG) {
                Ok(Some((pid, status))) => {
                    crashed |= status.exit_status().is_none();
                    if let Some(at) = self.sessions.iter().position(|session| session.monitor == pid) {
                        let session = self.sessions.swap_remove(at);
                        self.judge(&session, status.exit_status());
                    }
                }
                Err(Errno::INTR) => {}
                Ok(None) | Err(_) => break,
            }
        }
        if crashed && let Err(error) = session::active(&self.service.jail) {
            self.complain(&error.to_string());
        }
    }

    /// Takes note of whether there was a login, which the monitor's exit code tells.
    fn judge(&mut self, session: &RunningSession, code: Option<i32>) {
        let now = Instant::now();
        let source = session.source;
        match code {
            Some(0) => self.penalties.logged_in(source, now),
            Some(code) if !session.exempt => {
                let Some(offence) = Offence::from_exit_code(code) else { return };
                let max = Duration::from_secs(self.config.limits.max_penalty.into());
                if let Some(left) = self.penalties.add(source, offence, max, now) {
                    let seconds = left.as_secs();
                    self.complain(&format!(
                        "no sessions for {} for {seconds} s or more: it connects and does not log in",
                        accept::shown(source)
                    ));
                }
            }
            _ => {}
        }
    }

    fn reload(&mut self, load: &dyn Fn() -> Result<ListenerConfig>) {
        notify::reloading();
        let outcome = load().and_then(|config| self.change_to(config));
        self.replaced = outcome.is_ok() && self.program.is_replaced();
        self.state.generation += 1;
        self.state.port = self.config.port.get();
        self.state.error = outcome.err().map(|error| error.to_string());
        match self.state.error.clone() {
            Some(error) => self.say(Severity::Warning, &format!("reload has changed nothing: {error}")),
            None => self.log(Severity::Info, &format!("reloaded, listening on port {}", self.state.port)),
        }
        if let Err(error) = self.state.write(&self.service.jail) {
            self.say(Severity::Warning, &error.to_string());
        }
        notify::systemd(&self.ready());
    }

    /// What systemd is told, and shows in `systemctl status`.
    fn ready(&self) -> String {
        match &self.state.error {
            None => format!("READY=1\nSTATUS=listening on port {}", self.state.port),
            Some(error) => format!(
                "READY=1\nSTATUS=listening on port {}; the last reload has changed nothing: {}",
                self.state.port,
                printable(error.as_bytes())
            ),
        }
    }

    fn change_to(&mut self, config: ListenerConfig) -> Result<()> {
        let fresh = if self.ids.is_none() { take_ids(self.service, &config)? } else { None };
        let ids = ids_for(config.isolation, fresh.as_ref().or(self.ids.as_ref()));
        selftest::run(self.service, &config, ids, &self.bounds)?;
        let processes = bounds::processes(&config.limits);
        let other = processes != self.bounds.processes;
        let bounded = self.ids.as_ref().filter(|_| other).map(|ids| ids.bounded(processes)).transpose()?;
        // The last that can fail: until here nothing has changed.
        listen_on(&mut self.sockets, config.port, &config.listen)?;
        if let (Some(ids), Some(bounded)) = (&mut self.ids, bounded) {
            ids.change_to(bounded);
        }
        self.ids = fresh.or(self.ids.take());
        if other {
            self.change_bounds(&config);
        }
        self.config = config;
        Ok(())
    }

    /// More or fewer sessions need more or fewer processes.
    fn change_bounds(&mut self, config: &ListenerConfig) {
        let bounds = Bounds::new(&config.limits, all_files(), self.bounds.cgroup.take());
        if let Some(cgroup) = &bounds.cgroup
            && let Err(error) = cgroup.set_processes(bounds.processes)
        {
            let text = format!("the control group goes on with the processes that it had: {error}");
            self.complain(&text);
        }
        self.bounds = bounds;
    }

    /// Ends the sessions and waits for their monitors.
    fn stop(&mut self) -> Result<()> {
        notify::systemd("STOPPING=1");
        self.sockets.clear();
        self.refusals.clear();
        self.refusals.count(&self.service.jail, None);
        self.signal_monitors(Signal::TERM);
        let deadline = Instant::now() + STOP_GRACE;
        while !self.sessions.is_empty() && Instant::now() < deadline {
            self.wait(Some(deadline))?;
            while self.next_signal()?.is_some() {}
            self.reap();
        }
        // Their inits see that, and the kernel ends the rest.
        self.signal_monitors(Signal::KILL);
        while !self.sessions.is_empty() {
            self.wait(None)?;
            while self.next_signal()?.is_some() {}
            self.reap();
        }
        self.log(Severity::Info, "stopped");
        Ok(())
    }

    fn signal_monitors(&self, signal: Signal) {
        for session in &self.sessions {
            // Not reaped yet, so the number is still its own.
            let _ = kill_process(session.monitor, signal);
        }
    }

    /// Counts a connection that gets no session. Few of them get a line in the logs.
    fn report(&mut self, severity: Severity, peer: SocketAddr, why: &str) {
        if let Some(left_out) = self.refusals.note(peer.ip().to_canonical(), Instant::now()) {
            let text = format!("connection from {peer} refused: {why}");
            self.say_without_login(severity, &text, left_out);
        }
    }

    /// A warning that connections can cause.
    fn complain(&mut self, text: &str) {
        if let Some(left_out) = self.refusals.admit(Instant::now()) {
            self.say_without_login(Severity::Warning, text, left_out);
        }
    }

    fn say_without_login(&self, severity: Severity, text: &str, left_out: u64) {
        let text = match left_out {
            0 => text.to_owned(),
            some => format!("{text} ({some} such lines were left out)"),
        };
        notify::say_without_login(&self.service.jail, &text);
        self.log(severity, &text);
    }

    /// In the jail's log and the server's.
    fn say(&self, severity: Severity, text: &str) {
        notify::say(&self.service.jail, text);
        self.log(severity, text);
    }

    /// In the server's log.
    fn log(&self, severity: Severity, text: &str) {
        self.service.log(Entry::new(severity, text).by("listener"));
    }
}

/// The ids of a session: those of the jail may be there from before a reload to `compat`.
fn ids_for(isolation: Isolation, ids: Option<&IdRange>) -> Option<&IdRange> {
    ids.filter(|_| isolation == Isolation::Full)
}

fn take_ids(service: &Service, config: &ListenerConfig) -> Result<Option<IdRange>> {
    let lock_dir = service.jail.listener_lock();
    let lock_dir = lock_dir.parent().unwrap_or(std::path::Path::new("/"));
    match config.isolation {
        Isolation::Full => IdRange::take(lock_dir, config.port, bounds::processes(&config.limits)).map(Some),
        Isolation::Compat => Ok(None),
    }
}

/// What bounds the jail's sessions, and why nothing bounds their memory, if so. Where systemd is, the unit does.
fn take_bounds(service: &Service, config: &ListenerConfig) -> (Bounds, Option<String>) {
    let processes = bounds::processes(&config.limits);
    let (cgroup, unbounded) = match service.supervised.then(|| Cgroup::make(service.jail.name(), processes)) {
        None => (None, None),
        Some(Ok(cgroup)) => (Some(cgroup), None),
        Some(Err(why)) => (None, Some(why)),
    };
    (Bounds::new(&config.limits, all_files(), cgroup), unbounded)
}

/// How many descriptors there are on this server.
fn all_files() -> u64 {
    let text = std::fs::read_to_string("/proc/sys/fs/file-max").unwrap_or_default();
    text.trim().parse().unwrap_or(u64::MAX)
}

/// Shared with what an earlier listener may have left, which sees that it died and ends by itself.
fn lock_sessions(service: &Service) -> Result<File> {
    let path = service.jail.sessions_lock();
    let lock = lock::open(&path)?;
    lock.lock_shared().context("cannot lock", &path)?;
    Ok(lock)
}

fn cannot<E: Into<std::io::Error>>(what: &'static str) -> impl Fn(E) -> Error {
    move |error| Error::Refused(format!("the listener cannot go on: {what}: {}", error.into()))
}
