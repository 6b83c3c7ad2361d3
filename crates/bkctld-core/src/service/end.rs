//! Ending the processes of a jail.

use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::error::{Error, Result};
use crate::jail::Jail;

/// How long a stop may take by itself: more than a listener gives its sessions.
const STOP_PATIENCE: Duration = Duration::from_secs(12);
/// How long after everything was killed.
const KILL_PATIENCE: Duration = Duration::from_secs(10);

/// How long between two looks whether they are gone.
const STEP: Duration = Duration::from_millis(5);

/// Asks all processes of a jail to end, kills those that have not after a while, and returns when the
/// last of them is gone.
pub(super) fn end(
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
    Err(Error::service("the jail has processes that cannot be killed")
        .in_jail(jail.name())
        .with_hint("the disk that they wait for may be broken"))
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
