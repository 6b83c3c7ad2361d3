//! Whoever has started something that may have to wait, as the domain sees it.

use crate::error::Result;
use crate::jail::{Jail, JailName};
use crate::lock::Lock;

/// Hears of what keeps an operation waiting. The domain calls it; only the binary has a terminal.
pub trait Watch: Sync {
    /// Another command holds the lock of this jail: the operation goes on when that has finished.
    fn waiting_for(&self, jail: &JailName);

    /// The data of a jail are about to be copied, which takes long enough to be shown.
    fn copying(&self) {}
}

/// For whoever need not know.
impl Watch for () {
    fn waiting_for(&self, _: &JailName) {}
}

/// Takes the lock of whoever changes the jail or its configuration.
pub fn lock_config(jail: &Jail, watch: &dyn Watch) -> Result<Lock> {
    Lock::take(&jail.config_lock(), || watch.waiting_for(jail.name()))
}

/// Takes the lock of whoever makes or deletes incs of the jail.
pub fn lock_incs(jail: &Jail, watch: &dyn Watch) -> Result<Lock> {
    Lock::take(&jail.incs_lock(), || watch.waiting_for(jail.name()))
}
