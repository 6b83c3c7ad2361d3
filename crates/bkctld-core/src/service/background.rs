//! The listener of a jail as a background process of our own, where systemd does not run it: a supervisor that
//! starts it, and starts it again when it dies. What is on is told by locks, which the kernel takes from the dead.

use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};

use bkctld_sys::process::close_on_exec_from_3;
use rustix::process::{Signal, pidfd_send_signal};

use super::end::end;
use super::holder;
use crate::error::{Error, IoContext, Result};
use crate::jail::Jail;

/// What a supervisor, and the listener under it, say on standard output when they are ready; anything else is why
/// they are not.
pub const READY: &str = "ready";

/// Starts a supervisor by this command (`bkctld supervise J`), and waits until its listener is ready. A jail whose
/// listener runs stays as it is.
///
/// # Errors
/// What the listener says against starting: a port in use, no host keys, …
pub fn start(jail: &Jail, mut supervisor: Command) -> Result<()> {
    if jail.is_listening()? {
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
    let read = supervisor.stdout.take().map(|out| out.take(4096).read_to_string(&mut word));
    if matches!(read, Some(Ok(_))) && word.trim_end() == READY {
        return Ok(());
    }
    // It ends by itself; until then it would be a zombie of a caller that goes on.
    let _ = supervisor.wait();
    match word.trim_end() {
        // Somebody else was faster.
        _ if jail.is_listening()? => Ok(()),
        "" => Err(Error::service("the supervisor died while it was starting")),
        why => Err(Error::service(why)),
    }
}

/// Ends supervisor, listener and sessions, and returns when the last process of the jail is gone.
/// A jail that is off stays as it is.
pub fn stop(jail: &Jail) -> Result<()> {
    end(jail, &|signal| signal_all(jail, signal), &|| Ok(!jail.has_processes()?))
}

fn signal_all(jail: &Jail, signal: Signal) -> Result<()> {
    // The supervisor first, or it would start what was just ended.
    for lock in [jail.supervisor_lock(), jail.listener_lock()] {
        signal_holder(&lock, signal)?;
    }
    Ok(())
}

fn signal_holder(lock: &Path, signal: Signal) -> Result<()> {
    if let Some(process) = holder::find(lock)? {
        // Gone already is as good.
        let _ = pidfd_send_signal(&process, signal);
    }
    Ok(())
}
