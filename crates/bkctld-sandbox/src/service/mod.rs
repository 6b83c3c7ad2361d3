//! Starting and stopping a jail's listener: by systemd, or as a background process of our own.
//! Whichever runs it, whether it is on is told by the listener's lock.

mod systemd;

use std::process::Command;

use bkctld_core::config::ServiceManager;
use bkctld_core::error::{IoContext, JailContext, Result};
use bkctld_core::lock::Lock;
use bkctld_core::{Jail, Settings};

use crate::control;

/// Whether there was anything to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It was done.
    Made,
    /// It was so already.
    NotNeeded,
}

/// Starts the jail's listener, and returns when it has the port and a sandboxed sshd has answered.
/// A jail that is on stays as it is.
///
/// # Errors
/// What the listener says against starting: a port in use, no host keys, an `sshd_config` that sshd
/// does not take, a runtime that is missing.
pub fn start(settings: &Settings, jail: &Jail) -> Result<Change> {
    if jail.is_on()? {
        return Ok(Change::NotNeeded);
    }
    let started = match manager(settings) {
        Manager::Systemd => systemd::start(settings, jail),
        Manager::Background => start_background(settings, jail),
    };
    started.for_jail(jail.name())?;
    Ok(Change::Made)
}

/// Stops the jail's listener, ends its sessions, and returns when the last process is gone.
pub fn stop(settings: &Settings, jail: &Jail) -> Result<Change> {
    // A supervisor without a listener is one that is about to start the next.
    let runs = jail.is_on()? || Lock::is_held(&jail.supervisor_lock())?;
    let mut change = if runs { Change::Made } else { Change::NotNeeded };
    // Also where no process is there now: systemd may be about to start the next.
    if manager(settings) == Manager::Systemd && systemd::has(settings, jail)? {
        change = Change::Made;
        systemd::stop(jail).for_jail(jail.name())?;
    }
    control::stop(jail).for_jail(jail.name())?;
    Ok(change)
}

/// Stops the jail's listener, and has the server's init know nothing of it any more.
pub fn stop_for_good(settings: &Settings, jail: &Jail) -> Result<()> {
    stop(settings, jail)?;
    match manager(settings) {
        Manager::Systemd => systemd::forget(settings, jail).for_jail(jail.name()),
        Manager::Background => Ok(()),
    }
}

/// Has the listener pick up the changed configuration; sessions go on.
///
/// # Errors
/// Why it could not: it goes on with the old one then.
pub fn reload(jail: &Jail) -> Result<()> {
    control::reload(jail).for_jail(jail.name())
}

/// Runs this very program again, as `supervise J`. The configuration goes through the environment,
/// which sessions cannot read; they can read the arguments that their first process inherits.
fn start_background(settings: &Settings, jail: &Jail) -> Result<()> {
    let program = std::env::current_exe().context("cannot find", "this program")?;
    let mut supervisor = Command::new(program);
    supervisor.args(["supervise", jail.name().as_str()]);
    if let Some(file) = &settings.file {
        supervisor.env("BKCTLD_CONFIG", file);
    }
    control::start_background(jail, supervisor)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manager {
    Systemd,
    Background,
}

fn manager(settings: &Settings) -> Manager {
    match settings.service {
        ServiceManager::Systemd => Manager::Systemd,
        ServiceManager::Background => Manager::Background,
        ServiceManager::Auto if systemd::is_init() => Manager::Systemd,
        ServiceManager::Auto => Manager::Background,
    }
}
