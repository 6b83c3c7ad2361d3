//! Keeps a listener alive on servers without systemd.

use std::ffi::OsString;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use bkctld_core::Jail;
use bkctld_core::error::{Error, IoContext, Result};
use bkctld_core::lock::Lock;
use bkctld_core::service::background::READY;
use bkctld_core::service::holder::sign;
use bkctld_core::syslog::{Entry, Severity, SystemLog};
use bkctld_sys::process::release_code;
use bkctld_sys::signal::SignalFd;
use rustix::process::{Pid, Signal, kill_process, setsid};

use crate::{notify, wait};

const SHORTEST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// The lifetime after which a listener is considered to have started successfully.
const STEADY: Duration = Duration::from_secs(60);

/// Runs `program args` (which must end in [`crate::listen`] with `supervised`) until SIGTERM, starting it
/// again when it dies, each time after a longer pause. Standard output gets [`READY`] or the reason
/// against it once, and is then closed.
///
/// # Errors
/// When the first listener does not become ready, or another supervisor has the jail.
pub fn supervise(jail: &Jail, log: &SystemLog, program: &Path, args: &[OsString]) -> Result<()> {
    // A session of its own outlives the shell and terminal that started it.
    let _ = setsid();
    let begun = Supervisor::begin(jail, log, program, args);
    let word = match &begun {
        Ok(_) => READY.to_owned(),
        Err(error) => error.to_string(),
    };
    let _ = writeln!(std::io::stdout(), "{word}");
    let mut supervisor = begun?;
    let null = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/null")
        .context("cannot open", "/dev/null")?;
    // The last copy of the pipe to whoever waits for the word.
    rustix::stdio::dup2_stdout(&null).context("cannot leave", "standard output")?;
    rustix::stdio::dup2_stderr(&null).context("cannot leave", "standard error")?;
    supervisor.keep()
}

/// What a supervisor waits for: nothing else.
enum Event {
    Signal,
}

struct Supervisor<'a> {
    jail: &'a Jail,
    log: &'a SystemLog,
    program: &'a Path,
    args: &'a [OsString],
    signals: SignalFd,
    child: Option<(Child, Instant)>,
    pause: Duration,
    _lock: Lock,
}

impl<'a> Supervisor<'a> {
    fn begin(
        jail: &'a Jail,
        log: &'a SystemLog,
        program: &'a Path,
        args: &'a [OsString],
    ) -> Result<Supervisor<'a>> {
        let lock = Lock::try_take(&jail.supervisor_lock())?
            .ok_or_else(|| Error::busy("another process starts or supervises this jail"))?;
        sign(&lock)?;
        let signals = SignalFd::new(&[Signal::TERM, Signal::INT, Signal::HUP, Signal::CHILD])
            .context("cannot receive", "signals")?;
        let pause = SHORTEST_PAUSE;
        let mut supervisor =
            Supervisor { jail, log, program, args, signals, child: None, pause, _lock: lock };
        supervisor.start_listener()?;
        Ok(supervisor)
    }

    /// Starts a listener and waits for its word.
    fn start_listener(&mut self) -> Result<()> {
        let mut child = Command::new(self.program)
            .args(self.args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("cannot start", self.program)?;
        let mut word = String::new();
        let told = child.stdout.take().map(|out: ChildStdout| out.take(4096).read_to_string(&mut word));
        if !matches!(told, Some(Ok(_))) || word.trim_end() != READY {
            let _ = child.wait();
            let why = if word.is_empty() { "it died at once" } else { word.trim_end() };
            return Err(Error::service(why));
        }
        self.child = Some((child, Instant::now()));
        Ok(())
    }

    fn keep(&mut self) -> Result<()> {
        let mut start_at: Option<Instant> = None;
        loop {
            // It waits for months; failing only costs memory.
            let _ = release_code();
            self.wait(start_at)?;
            while let Some(signal) = self.signals.next().context("cannot receive", "signals")? {
                match signal {
                    Signal::CHILD => {}
                    Signal::HUP => self.pass_on(Signal::HUP),
                    _ => return self.stop(),
                }
            }
            if let Some((child, since)) = &mut self.child
                && child.try_wait().context("cannot wait for", "the listener")?.is_some()
            {
                if since.elapsed() >= STEADY {
                    self.pause = SHORTEST_PAUSE;
                }
                self.child = None;
                start_at = Some(Instant::now() + self.pause);
                self.say("the listener died and is started again");
            }
            if self.child.is_none() && start_at.is_some_and(|at| at <= Instant::now()) {
                self.pause = (self.pause * 2).min(LONGEST_PAUSE);
                start_at = match self.start_listener() {
                    Ok(()) => None,
                    Err(error) => {
                        self.say(&format!("the listener cannot be started again: {error}"));
                        Some(Instant::now() + self.pause)
                    }
                };
            }
        }
    }

    /// Waits for a signal; has a deadline only while there is no listener.
    fn wait(&self, deadline: Option<Instant>) -> Result<()> {
        let watched = [(Event::Signal, self.signals.as_fd())];
        wait::until(deadline, watched).map(|_| ()).context("cannot wait for", "signals")
    }

    /// In the jail's log and the server's.
    fn say(&self, text: &str) {
        notify::say(self.jail, text);
        let entry = Entry::new(Severity::Warning, text).by("supervisor").about(Some(self.jail.name()));
        self.log.send(&entry, notify::local_time);
    }

    fn pass_on(&self, signal: Signal) {
        if let Some((child, _)) = &self.child
            && let Some(pid) = Pid::from_raw(child.id() as i32)
        {
            // Not waited for yet, so the number is still the listener's.
            let _ = kill_process(pid, signal);
        }
    }

    fn stop(&mut self) -> Result<()> {
        self.pass_on(Signal::TERM);
        if let Some((mut child, _)) = self.child.take() {
            child.wait().context("cannot wait for", "the listener")?;
        }
        Ok(())
    }
}
