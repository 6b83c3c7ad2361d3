//! What a rename is about to do, written down before it begins: by this an interrupted one is known and finished.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::super::hidden::jails_with;
use crate::config::Settings;
use crate::error::{Error, IoContext, Result};
use crate::jail::{Jail, JailName};
use crate::service::SavedService;
use crate::{file, text};

/// What the file in `JAILDIR` that says what is meant begins with; the old name follows. No jail has
/// such a name.
const INTENT: &str = ".rename-";

/// The content of `JAILDIR/.rename-OLD`, as JSON.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Intent {
    /// The name that the jail is to have.
    pub(super) to: String,
    /// How the service was before it was stopped.
    pub(super) service: SavedService,
}

/// The jails that an interrupted rename has left half way, and their new names, fit for a terminal.
pub(crate) fn unfinished(settings: &Settings) -> Result<Vec<(JailName, String)>> {
    let mut found = Vec::new();
    for from in jails_with(settings, INTENT)? {
        if let Some(intent) = Intent::read(&Jail::new(settings, from.clone()))? {
            found.push((from, text::printable(intent.to.as_bytes()).into_owned()));
        }
    }
    Ok(found)
}

impl Intent {
    fn path(from: &Jail) -> PathBuf {
        from.dir().with_file_name(format!("{INTENT}{}", from.name()))
    }

    pub(super) fn read(from: &Jail) -> Result<Option<Intent>> {
        let path = Intent::path(from);
        let Some(content) = file::read_if_there(&path)? else { return Ok(None) };
        match serde_json::from_slice(&content) {
            Ok(intent) => Ok(Some(intent)),
            // The run was interrupted while it wrote this, before anything else.
            Err(_) if from.exists() => Ok(None),
            Err(error) => Err(Error::bad_file(&path, "cannot be read, so the interrupted rename is unknown")
                .because(error)
                .with_hint("check the jails and delete the file")),
        }
    }

    /// In place, not beside it and renamed: what an interruption leaves is overwritten by the next run
    /// under the same name, and one that is not whole says that nothing has happened yet.
    pub(super) fn write(&self, from: &Jail) -> Result<()> {
        let path = Intent::path(from);
        let write = || -> io::Result<()> {
            let mut file =
                OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path)?;
            file.write_all(&serde_json::to_vec(self)?)?;
            file.write_all(b"\n")?;
            file.sync_all()
        };
        write().context("cannot write", &path).inspect_err(|_| {
            // Not to be found by the next run, which would begin anew all the same.
            let _ = fs::remove_file(&path);
        })?;
        file::sync_dir_of(&path)
    }
}

/// Forgets a rename of the jail, which is done, undone, or was interrupted. What takes the jail away does so first:
/// without the jail, the rename would seem to be half done.
pub(crate) fn forget(from: &Jail) -> Result<()> {
    let path = Intent::path(from);
    match fs::remove_file(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed.context("cannot delete", &path),
    }
}
