//! Bringing a jail up to the programs that all jails share, and away from what the original left of it.

use crate::config::Settings;
use crate::error::Result;
use crate::jail::{Jail, JailName, layout};
use crate::runtime::RuntimeStore;
use crate::service::original::nspawn::{self, Leftovers};
use crate::service::{self, ServedBy};
use crate::watch::{Watch, lock_config};

/// What an update of one jail comes to.
#[derive(Debug)]
pub struct Update {
    /// Whether the original's container runs: the jail is taken over from it, and its sessions end.
    pub takes_over: bool,
    /// What the original has left outside of the jail, which goes.
    pub leftovers: Leftovers,
}

/// Looks what an update of the jail comes to. Nothing is done yet.
pub fn plan(jail: &Jail) -> Result<Update> {
    Ok(Update { takes_over: is_in_container(jail)?, leftovers: Leftovers::find(jail)? })
}

/// Makes the jail use the shared programs, which the caller has brought up to date, and takes it over from the
/// original's container if that runs. Returns what the original had left outside of the jail.
///
/// # Errors
/// [`NoSuchJail`](crate::ErrorKind::NoSuchJail); [`WrongFormat`](crate::ErrorKind::WrongFormat); what the listener
/// says against taking over.
pub fn run(settings: &Settings, name: &JailName, watch: &dyn Watch) -> Result<Leftovers> {
    let jail = Jail::open_current(settings, name)?;
    let _lock = lock_config(&jail, watch)?;
    layout::lay_out(&jail, &RuntimeStore::new(settings))?;
    // Before the programs go that the original's container runs.
    if is_in_container(&jail)? {
        service::start(settings, &jail)?;
    }
    layout::clear_old_programs(&jail)?;
    nspawn::clear(&jail)
}

fn is_in_container(jail: &Jail) -> Result<bool> {
    Ok(service::served_by(jail)? == Some(ServedBy::Nspawn))
}
