//! The format of a jail on disk.

use super::{FORMAT_VERSION, Jail};
use crate::error::{Error, Result};
use crate::file;
use crate::text;

impl Jail {
    /// The version in the jail's `version` file; `1` if there is none, because the first format had no such
    /// file.
    pub fn format_version(&self) -> Result<String> {
        let content = file::read_if_there(&self.version_file())?;
        Ok(match content {
            Some(content) => text::printable(content.trim_ascii()).into_owned(),
            None => "1".to_owned(),
        })
    }

    /// Refuses a jail whose format is not the current one.
    ///
    /// # Errors
    /// [`WrongFormat`](crate::ErrorKind::WrongFormat); [`NoSuchJail`](crate::ErrorKind::NoSuchJail) where another command has taken it away meanwhile,
    /// which would else look like one of the first format.
    pub fn require_current_format(&self) -> Result<()> {
        if !self.exists() {
            return Err(Error::no_such_jail(self.name()));
        }
        let found = self.format_version()?;
        if found == FORMAT_VERSION.to_string() {
            return Ok(());
        }
        Err(Error::wrong_format(self.name(), &found, FORMAT_VERSION))
    }
}
