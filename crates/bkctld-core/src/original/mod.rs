//! What the original still serves on this server, and what it has left behind.
//!
//! A jail of the second format ran as a container, `systemd-nspawn@J.service`; one of the first
//! format as an sshd in a chroot.

pub mod chroot;
pub mod nspawn;
pub mod sources;

use serde::Serialize;

use crate::error::Result;
use crate::jail::Jail;

/// Who answers on a jail's port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum ServedBy {
    /// Our listener.
    #[serde(rename = "bkctld")]
    Bkctld,
    /// The original's container of a jail of the second format.
    #[serde(rename = "systemd-nspawn")]
    Nspawn,
    /// The original's sshd in the root file system of a jail of the first format.
    #[serde(rename = "chroot")]
    Chroot,
}

/// Which service of the original serves the jail; none where none does.
pub fn serves(jail: &Jail) -> Result<Option<ServedBy>> {
    if jail.has_old_layout() {
        let runs = !chroot::processes(jail)?.is_empty();
        return Ok(runs.then_some(ServedBy::Chroot));
    }
    Ok(nspawn::is_active(jail)?.then_some(ServedBy::Nspawn))
}
