//! Who serves a jail now.

use schemars::JsonSchema;
use serde::Serialize;

use super::original::{chroot, nspawn};
use crate::error::Result;
use crate::jail::Jail;

/// Who answers on a jail's port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub enum ServedBy {
    /// A listener of this program.
    #[serde(rename = "bkctld")]
    Bkctld,
    /// The original's container of a jail of the second format.
    #[serde(rename = "systemd-nspawn")]
    Nspawn,
    /// The original's sshd in the root file system of a jail of the first format.
    #[serde(rename = "chroot")]
    Chroot,
}

/// Whether a client can connect to the jail: whether our listener serves it, or still the original.
pub fn is_on(jail: &Jail) -> Result<bool> {
    Ok(served_by(jail)?.is_some())
}

/// Who serves the jail now; none where it is off.
pub fn served_by(jail: &Jail) -> Result<Option<ServedBy>> {
    if jail.is_listening()? {
        return Ok(Some(ServedBy::Bkctld));
    }
    served_by_the_original(jail)
}

/// Which service of the original serves the jail; none where none does.
pub(super) fn served_by_the_original(jail: &Jail) -> Result<Option<ServedBy>> {
    if jail.has_old_layout() {
        let runs = !chroot::processes(jail)?.is_empty();
        return Ok(runs.then_some(ServedBy::Chroot));
    }
    Ok(nspawn::is_active(jail)?.then_some(ServedBy::Nspawn))
}
