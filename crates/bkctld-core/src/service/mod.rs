//! The service of a jail, as everybody but the listener itself sees it: starting, stopping and reloading it, who
//! serves the jail, and what its listener says of itself. The listener is run by systemd (`unit`) or as a
//! background process of our own ([`background`]); whichever runs it, whether it is on is told by its lock. What the
//! original runs ([`original`]) is stopped and taken over.
//!
//! How a listener serves a jail is another crate's. It has nothing in common with this but its locks, its state file
//! and the word that it is ready.

pub mod background;
mod end;
pub mod holder;
pub mod original;
mod reload;
mod saved;
mod served_by;
pub(crate) mod state;
mod unit;

use std::process::Command;

pub use saved::{SavedService, restore, save};
pub use served_by::{ServedBy, is_on, served_by};
pub use state::ListenerState;

use self::original::{chroot, nspawn};
use self::served_by::served_by_the_original;
use crate::config::{ServiceManager, Settings};
use crate::error::{Error, IoContext, JailContext, Result};
use crate::jail::{Jail, layout};
use crate::lock::Lock;
use crate::systemctl;

/// Whether there was anything to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// The service is not what it was before.
    Changed,
    /// The service was so already.
    Unchanged,
}

/// Starts the jail's listener, and returns when it has the port and a sandboxed sshd has answered.
/// A jail that our listener serves stays as it is; where the original's container runs, it is stopped
/// and its port taken over.
///
/// # Errors
/// [`WrongFormat`](crate::ErrorKind::WrongFormat); what the listener says against starting: a port in use, no host keys, an `sshd_config` that sshd
/// does not take. The original's container then runs again, if it did before.
pub fn start(settings: &Settings, jail: &Jail) -> Result<Effect> {
    // Nothing is laid out for the second format among what a client of the first one may have made.
    jail.require_current_format()?;
    if jail.is_listening()? {
        return Ok(Effect::Unchanged);
    }
    layout::make_ready(settings, jail).for_jail(jail.name())?;
    let takes_over = nspawn::is_active(jail)?;
    if takes_over {
        nspawn::stop(jail).for_jail(jail.name())?;
    }
    let started = match manager(settings) {
        Manager::Systemd => unit::start(settings, jail),
        Manager::Background => start_background(settings, jail),
    };
    match started {
        Err(error) if takes_over => Err(give_back(jail, error)),
        started => started,
    }
    .for_jail(jail.name())?;
    Ok(Effect::Changed)
}

/// A backup by the original is better than none.
fn give_back(jail: &Jail, error: Error) -> Error {
    let unit = nspawn::unit(jail);
    error.also(match nspawn::start(jail) {
        Ok(()) => format!("{unit} serves it again"),
        Err(again) => format!("and {unit} could not be started again: {again}"),
    })
}

/// Stops what serves the jail, and starts its listener.
pub fn restart(settings: &Settings, jail: &Jail) -> Result<()> {
    // `start` stops the original's container by itself, and starts it again where it has to.
    if served_by(jail)? != Some(ServedBy::Nspawn) {
        stop(settings, jail)?;
    }
    start(settings, jail).map(|_| ())
}

/// Stops what serves the jail, our listener or the original, ends its sessions, and returns when the
/// last process is gone.
pub fn stop(settings: &Settings, jail: &Jail) -> Result<Effect> {
    // A supervisor without a listener is one that is about to start the next.
    let runs = jail.is_listening()? || Lock::is_held(&jail.supervisor_lock())?;
    let mut effect = if runs { Effect::Changed } else { Effect::Unchanged };
    // Also where no process is there now: systemd may be about to start the next.
    if manager(settings) == Manager::Systemd && unit::has(settings, jail)? {
        effect = Effect::Changed;
        unit::stop(jail).for_jail(jail.name())?;
    }
    background::stop(jail).for_jail(jail.name())?;
    let by_original = served_by_the_original(jail)?;
    if by_original == Some(ServedBy::Nspawn) {
        nspawn::stop(jail).for_jail(jail.name())?;
    } else if jail.has_old_layout() {
        // Also where no process is there: it may have left its mounts.
        chroot::stop(jail).for_jail(jail.name())?;
    }
    Ok(if by_original.is_some() { Effect::Changed } else { effect })
}

/// Stops what serves the jail, and has the server's init know nothing of it any more.
pub fn stop_for_good(settings: &Settings, jail: &Jail) -> Result<()> {
    stop(settings, jail)?;
    nspawn::clear(jail).for_jail(jail.name())?;
    match manager(settings) {
        Manager::Systemd => unit::forget(settings, jail).for_jail(jail.name()),
        Manager::Background => Ok(()),
    }
}

/// Lets the service of the jail apply the changed configuration; sessions continue.
///
/// # Errors
/// Why it could not: it goes on with the old one then.
pub fn reload(jail: &Jail) -> Result<()> {
    let reload: fn(&Jail) -> Result<()> = match served_by(jail)? {
        Some(ServedBy::Nspawn) => nspawn::reload,
        _ => reload::reload,
    };
    reload(jail).for_jail(jail.name())
}

/// The same for a jail that may be off, which then reads its configuration when it starts.
pub fn reload_if_on(jail: &Jail) -> Result<()> {
    if is_on(jail)? { reload(jail) } else { Ok(()) }
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
    background::start(jail, supervisor)
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
