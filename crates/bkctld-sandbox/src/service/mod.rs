//! Starting and stopping a jail's listener: by systemd, or as a background process of our own.
//! Whichever runs it, whether it is on is told by the listener's lock.

mod chroot;
mod systemd;

use std::process::Command;

use bkctld_core::config::ServiceManager;
use bkctld_core::error::{IoContext, JailContext, Result};
use bkctld_core::jail::layout;
use bkctld_core::lifecycle::ServiceBefore;
use bkctld_core::lock::Lock;
use bkctld_core::original::{self, ServedBy, nspawn};
use bkctld_core::{Error, Jail, Settings, systemctl};

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
/// A jail that our listener serves stays as it is; where the original's container runs, it is stopped
/// and its port taken over.
///
/// # Errors
/// [`Error::WrongVersion`]; what the listener says against starting: a port in use, no host keys, an `sshd_config` that sshd
/// does not take. The original's container then runs again, if it did before.
pub fn start(settings: &Settings, jail: &Jail) -> Result<Change> {
    // Nothing is laid out for the second format among what a client of the first one may have made.
    jail.require_current_format()?;
    if jail.is_listening()? {
        return Ok(Change::NotNeeded);
    }
    layout::make_ready(settings, jail).for_jail(jail.name())?;
    let takes_over = nspawn::is_active(jail)?;
    if takes_over {
        nspawn::stop(jail).for_jail(jail.name())?;
    }
    let started = match manager(settings) {
        Manager::Systemd => systemd::start(settings, jail),
        Manager::Background => start_background(settings, jail),
    };
    match started {
        Err(error) if takes_over => Err(give_back(jail, &error)),
        started => started,
    }
    .for_jail(jail.name())?;
    Ok(Change::Made)
}

/// A backup by the original is better than none.
fn give_back(jail: &Jail, error: &Error) -> Error {
    Error::Refused(match nspawn::start(jail) {
        Ok(()) => format!("{error}; {} serves it again", nspawn::unit(jail)),
        Err(again) => format!("{error}; and {} could not be started again: {again}", nspawn::unit(jail)),
    })
}

/// Stops what serves the jail, and starts its listener.
pub fn restart(settings: &Settings, jail: &Jail) -> Result<()> {
    // `start` stops the original's container by itself, and starts it again where it has to.
    if jail.served_by()? != Some(ServedBy::Nspawn) {
        stop(settings, jail)?;
    }
    start(settings, jail).map(|_| ())
}

/// Stops what serves the jail, our listener or the original, ends its sessions, and returns when the
/// last process is gone.
pub fn stop(settings: &Settings, jail: &Jail) -> Result<Change> {
    // A supervisor without a listener is one that is about to start the next.
    let runs = jail.is_listening()? || Lock::is_held(&jail.supervisor_lock())?;
    let mut change = if runs { Change::Made } else { Change::NotNeeded };
    // Also where no process is there now: systemd may be about to start the next.
    if manager(settings) == Manager::Systemd && systemd::has(settings, jail)? {
        change = Change::Made;
        systemd::stop(jail).for_jail(jail.name())?;
    }
    control::stop(jail).for_jail(jail.name())?;
    let by_original = original::serves(jail)?;
    if by_original == Some(ServedBy::Nspawn) {
        nspawn::stop(jail).for_jail(jail.name())?;
    } else if jail.has_old_layout() {
        // Also where no process is there: it may have left its mounts.
        chroot::stop(jail).for_jail(jail.name())?;
    }
    Ok(if by_original.is_some() { Change::Made } else { change })
}

/// Stops what serves the jail, and has the server's init know nothing of it any more.
pub fn stop_for_good(settings: &Settings, jail: &Jail) -> Result<()> {
    stop(settings, jail)?;
    nspawn::clear(jail).for_jail(jail.name())?;
    match manager(settings) {
        Manager::Systemd => systemd::forget(settings, jail).for_jail(jail.name()),
        Manager::Background => Ok(()),
    }
}

/// What [`stop_for_good`] takes from the jail, to be given to [`restore`].
pub fn before(settings: &Settings, jail: &Jail) -> Result<ServiceBefore> {
    let at_boot = match manager(settings) {
        Manager::Systemd => systemd::is_enabled(jail).for_jail(jail.name())?,
        Manager::Background => false,
    };
    Ok(ServiceBefore { on: jail.is_on()?, at_boot })
}

/// Gives the jail, perhaps under another name, the service that it had.
pub fn restore(settings: &Settings, jail: &Jail, before: ServiceBefore) -> Result<()> {
    if before.at_boot && manager(settings) == Manager::Systemd {
        systemd::enable(jail).for_jail(jail.name())?;
    }
    if before.on {
        start(settings, jail)?;
    }
    Ok(())
}

/// Has what serves the jail pick up the changed configuration; sessions go on.
///
/// # Errors
/// Why it could not: it goes on with the old one then.
pub fn reload(jail: &Jail) -> Result<()> {
    let reload = match jail.served_by()? {
        Some(ServedBy::Nspawn) => nspawn::reload,
        _ => control::reload,
    };
    reload(jail).for_jail(jail.name())
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
        ServiceManager::Auto if systemctl::is_init() => Manager::Systemd,
        ServiceManager::Auto => Manager::Background,
    }
}
