//! What the configuration and the environment say of the runs of commands, as options of the command line do.

use super::values::{self, Values};
use crate::error::Result;

/// Options that need not be typed each time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Switches {
    /// `FORCE`: no confirmation.
    pub force: bool,
    /// `HEADER`: a header line above tables.
    pub header: bool,
    /// `DRY_RUN`: change nothing.
    pub dry_run: bool,
}

impl Default for Switches {
    fn default() -> Switches {
        Switches { force: false, header: true, dry_run: false }
    }
}

impl Switches {
    pub(super) fn take(&mut self, values: &mut Values<'_>) -> Result<()> {
        values.set("FORCE", &mut self.force, values::switch)?;
        values.set("HEADER", &mut self.header, values::switch)?;
        values.set("DRY_RUN", &mut self.dry_run, values::switch)
    }
}
