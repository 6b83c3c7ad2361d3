//! What a jail's service was before it was stopped for good, so that it can be so again.

use serde::{Deserialize, Serialize};

use super::{Manager, is_on, manager, start, unit};
use crate::config::Settings;
use crate::error::{JailContext, Result};
use crate::jail::Jail;

/// What [`stop_for_good`](super::stop_for_good) takes from a jail, to be given to [`restore`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedService {
    /// Clients could connect.
    pub on: bool,
    /// The server's init starts it at boot.
    pub at_boot: bool,
}

impl SavedService {
    /// On, or started at boot, where either of the two was.
    pub fn or(self, other: SavedService) -> SavedService {
        SavedService { on: self.on || other.on, at_boot: self.at_boot || other.at_boot }
    }
}

/// Notes how the jail's service is now.
pub fn save(settings: &Settings, jail: &Jail) -> Result<SavedService> {
    let at_boot = match manager(settings) {
        Manager::Systemd => unit::is_enabled(jail).for_jail(jail.name())?,
        Manager::Background => false,
    };
    Ok(SavedService { on: is_on(jail)?, at_boot })
}

/// Gives the jail, perhaps under another name, the service that it had.
pub fn restore(settings: &Settings, jail: &Jail, saved: SavedService) -> Result<()> {
    if saved.at_boot && manager(settings) == Manager::Systemd {
        unit::enable(jail).for_jail(jail.name())?;
    }
    if saved.on {
        start(settings, jail)?;
    }
    Ok(())
}
