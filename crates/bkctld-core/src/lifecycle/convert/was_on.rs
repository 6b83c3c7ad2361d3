//! That a jail was on when its conversion began.

use std::fs;
use std::io;
use std::path::PathBuf;

use crate::error::{IoContext, Result};
use crate::file;
use crate::jail::Jail;

/// The note of it, kept outside of the jail until it is on again, as the one who remembers may be killed.
#[derive(Debug)]
pub(super) struct WasOn(PathBuf);

impl WasOn {
    /// The note of the jail, made or not.
    pub(super) fn note_of(jail: &Jail) -> WasOn {
        WasOn(jail.state_dir().join("on-before-conversion"))
    }

    /// Whether the jail was on when its conversion began.
    pub(super) fn is_noted(&self) -> bool {
        self.0.exists()
    }

    /// Notes that the jail is on.
    pub(super) fn note(&self) -> Result<()> {
        if let Some(dir) = self.0.parent() {
            file::make_private_dir(dir, 0o700)?;
        }
        file::replace(&self.0, 0o600, b"")
    }

    /// The jail is on again, or the administrator was told that it is not.
    pub(super) fn forget(&self) -> Result<()> {
        match fs::remove_file(&self.0) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            deleted => deleted.context("cannot delete", &self.0),
        }
    }
}
