//! Starting, stopping and reloading the listener of a jail from outside, where systemd does not.
//! What is on is told by locks, which the kernel takes from the dead.

use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use bkctld_core::Jail;
use bkctld_core::error::{Error, IoContext, Result};
use bkctld_core::lock::Lock;
use bkctld_sys::process::close_on_exec_from_3;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::state::ListenerState;
use crate::supervisor::READY;

/// How long a stop may take by itself: more than a listener gives its sessions.
const STOP_PATIENCE: Duration = Duration::from_secs(12);
/// How long after everything was killed.
const KILL_PATIENCE: Duration = Duration::from_secs(10);
const RELOAD_PATIENCE: Duration = Duration::from_secs(15);
const STEP: Duration = Duration::from_millis(5);

/// Whether a listener of the jail holds its port.
pub fn is_on(jail: &Jail) -> Result<bool> {
    Lock::is_held(&jail.listener_lock())
}

/// Starts a supervisor in the background by this command (`bkctld supervise J`), and waits until its
/// listener is ready. A jail that is on stays as it is.
///
/// # Errors
/// What the listener says against starting: a port in use, no host keys, …
pub fn start_background(jail: &Jail, mut supervisor: Command) -> Result<()> {
    if is_on(jail)? {
        return Ok(());
    }
    // The supervisor stays for long and must not hold what this process happens to have open.
    close_on_exec_from_3().context("cannot close", "descriptors")?;
    let mut supervisor = supervisor
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .context("cannot start", "the supervisor")?;
    let mut word = String::new();
    let told = supervisor.stdout.take().map(|out| out.take(4096).read_to_string(&mut word));
    if matches!(told, Some(Ok(_))) && word.trim_end() == READY {
        return Ok(());
    }
    // It ends by itself; until then it would be a zombie of a caller that goes on.
    let _ = supervisor.wait();
    match word.trim_end() {
        // Somebody else was faster.
        _ if is_on(jail)? => Ok(()),
        "" => Err(Error::Refused("the supervisor died at its start".into())),
        why => Err(Error::Refused(why.to_owned())),
    }
}

/// Ends supervisor, listener and sessions, and returns when the last process of the jail is gone.
/// A jail that is off stays as it is.
pub fn stop(jail: &Jail) -> Result<()> {
    end(jail, &|signal| signal_all(jail, signal), &|| all_gone(jail))
}

/// Asks all processes of a jail to end, kills those that have not after a while, and returns when the
/// last of them is gone.
pub(crate) fn end(
    jail: &Jail,
    signal_all: &dyn Fn(Signal) -> Result<()>,
    all_gone: &dyn Fn() -> Result<bool>,
) -> Result<()> {
    signal_all(Signal::TERM)?;
    if within(STOP_PATIENCE, all_gone)? {
        return Ok(());
    }
    let deadline = Instant::now() + KILL_PATIENCE;
    while Instant::now() < deadline {
        // Again and again, as the first of them may just have started another.
        signal_all(Signal::KILL)?;
        if within(Duration::from_millis(200), all_gone)? {
            return Ok(());
        }
    }
    Err(Error::Refused(format!(
        "jail '{}' has processes that cannot be killed: the disk they wait for may be broken",
        jail.name()
    )))
}

/// Has the listener read its configuration again, and waits until it has.
///
/// # Errors
/// Why the listener could not change to it; it goes on with the old one then.
pub fn reload(jail: &Jail) -> Result<()> {
    let before = ListenerState::read(jail)?.map_or(0, |state| state.generation);
    let lock = jail.listener_lock();
    let Some(listener) = holder(&lock)? else {
        return Err(Error::Refused(format!("jail '{}' is off: there is nothing to reload", jail.name())));
    };
    let _ = pidfd_send_signal(&listener, Signal::HUP);
    let deadline = Instant::now() + RELOAD_PATIENCE;
    while Instant::now() < deadline {
        // Before the state is read, so that what a listener wrote before it went is seen.
        let alive = Lock::is_held(&lock)?;
        match ListenerState::read(jail)? {
            Some(ListenerState { generation, error, .. }) if generation > before => {
                return match error {
                    None => Ok(()),
                    Some(why) => Err(Error::Refused(why)),
                };
            }
            _ if !alive => {
                return Err(Error::Refused("the listener died while it was reloading".into()));
            }
            _ => sleep(STEP),
        }
    }
    Err(Error::Refused("the listener has not answered to the reload in time".into()))
}

fn signal_all(jail: &Jail, signal: Signal) -> Result<()> {
    // The supervisor first, or it would start what was just ended.
    for lock in [jail.supervisor_lock(), jail.listener_lock()] {
        if let Some(process) = holder(&lock)? {
            // Gone already is as good.
            let _ = pidfd_send_signal(&process, signal);
        }
    }
    Ok(())
}

fn all_gone(jail: &Jail) -> Result<bool> {
    // The sessions' lock is shared by their processes, so only who could have it alone knows.
    let sessions = jail.sessions_lock();
    let busy = Lock::is_held(&jail.supervisor_lock())?
        || Lock::is_held(&jail.listener_lock())?
        || Lock::is_shared(&sessions)?;
    Ok(!busy)
}

fn within(patience: Duration, holds: &dyn Fn() -> Result<bool>) -> Result<bool> {
    let deadline = Instant::now() + patience;
    loop {
        if holds()? {
            return Ok(true);
        }
        if Instant::now() >= deadline {
            return Ok(false);
        }
        sleep(STEP);
    }
}

/// The process that holds the lock. Its number stands in the file, and is believed only of a
/// process that has that very file open, so that a number given anew to a stranger harms nobody.
fn holder(lock: &Path) -> Result<Option<OwnedFd>> {
    if !Lock::is_held(lock)? {
        return Ok(None);
    }
    let content = std::fs::read_to_string(lock).context("cannot read", lock)?;
    let Some(pid) = content.trim_end().parse().ok().and_then(Pid::from_raw) else { return Ok(None) };
    let Ok(process) = pidfd_open(pid, PidfdFlags::empty()) else { return Ok(None) };
    // After the descriptor was opened, so that it is of the process that is looked at.
    Ok(has_open(pid, lock).then_some(process))
}

fn has_open(pid: Pid, path: &Path) -> bool {
    let Ok(wanted) = std::fs::metadata(path) else { return false };
    let Ok(fds) = std::fs::read_dir(format!("/proc/{}/fd", pid.as_raw_nonzero())) else { return false };
    fds.filter_map(|fd| std::fs::metadata(fd.ok()?.path()).ok())
        .any(|meta| meta.dev() == wanted.dev() && meta.ino() == wanted.ino())
}
