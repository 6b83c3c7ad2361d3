//! Lists incs.

use std::fs::{self, DirEntry};
use std::io;
use std::path::Path;

use super::IncName;
use crate::config::Settings;
use crate::error::{IoContext, Result};
use crate::jail::{Jail, JailName};

/// The jail's incs, oldest first: the directories in `INCDIR/J` whose name is that of an inc. Without
/// `INCDIR/J`, a jail has none.
pub fn list(jail: &Jail) -> Result<Vec<IncName>> {
    let mut names: Vec<IncName> = directories(jail.inc_dir())?
        .iter()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect();
    names.sort_unstable();
    Ok(names)
}

/// The jails that have a directory in `INCDIR`, sorted, including archived ones and possibly jails that no
/// longer exist.
pub fn jails_with_incs(settings: &Settings) -> Result<Vec<JailName>> {
    let mut names: Vec<JailName> = directories(&settings.inc_dir)?
        .iter()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect();
    names.sort_unstable();
    Ok(names)
}

/// The entries of the directory that are directories themselves (a link to one is none); nothing
/// where the directory is missing.
fn directories(dir: &Path) -> Result<Vec<DirEntry>> {
    let mut found = Vec::new();
    for entry in entries(dir)? {
        // A directory that an `rm` deletes at the same time counts as missing.
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            found.push(entry);
        }
    }
    Ok(found)
}

/// The entries of the directory; none if it is missing.
pub(super) fn entries(dir: &Path) -> Result<Vec<DirEntry>> {
    match fs::read_dir(dir).and_then(Iterator::collect) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        done => done.context("cannot read directory", dir),
    }
}
