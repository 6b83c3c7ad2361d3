//! Deletes incs, and the remains of interrupted runs.

use std::fs;
use std::io;
use std::num::NonZeroUsize;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::atomic::Ordering::Relaxed;

use rustix::fs::{RenameFlags, renameat_with};
use rustix::io::Errno;

use super::IncName;
use super::files::Hidden;
use super::list::entries;
use crate::error::{Error, IoContext, Result};
use crate::jail::Jail;
use crate::progress::Progress;

/// What became of the incs that were to be deleted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Deleted {
    /// The deleted incs, in the given order, without those that did not exist.
    pub incs: Vec<IncName>,
    /// Whether `INCDIR/J` became empty and was deleted too.
    pub dir_removed: bool,
}

/// Deletes these incs. All of them lose their names first, so that an interruption leaves no inc half
/// deleted; then their contents are deleted on this many threads, with the remains of interrupted runs. The
/// caller holds the jail's [`Jail::incs_lock`].
pub fn delete(jail: &Jail, names: &[IncName], threads: NonZeroUsize, progress: &Progress) -> Result<Deleted> {
    let dir_path = jail.inc_dir();
    let dir = match fs::File::open(dir_path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Deleted::default()),
        opened => opened.context("cannot open", dir_path)?,
    };
    let mut deleted = Deleted::default();
    for &name in names {
        let from = name.to_string();
        // A link or file with that name is not an inc.
        if !fs::symlink_metadata(dir_path.join(&from)).is_ok_and(|meta| meta.is_dir()) {
            continue;
        }
        let to = Hidden::Deleting(name).file_name();
        match renameat_with(&dir, from.as_str(), &dir, &to, RenameFlags::NOREPLACE) {
            Ok(()) => deleted.incs.push(name),
            Err(Errno::NOENT) => {}
            Err(error) => return Err(error).context("cannot rename", dir_path.join(&from)),
        }
    }
    clear(jail, &dir, threads, progress)?;
    deleted.dir_removed = remove_if_empty(dir_path)?;
    Ok(deleted)
}

/// Deletes the remains of an interrupted [`make`](super::make()) or [`delete`] from `INCDIR/J`; both do so
/// themselves. The caller holds the jail's [`Jail::incs_lock`].
pub fn clear_leftovers(jail: &Jail, threads: NonZeroUsize, progress: &Progress) -> Result<()> {
    match fs::File::open(jail.inc_dir()) {
        Ok(dir) => clear(jail, &dir, threads, progress),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error).context("cannot open", jail.inc_dir()),
    }
}

fn clear(jail: &Jail, dir: &fs::File, threads: NonZeroUsize, progress: &Progress) -> Result<()> {
    let dir_path = jail.inc_dir();
    let mut failed = Ok(());
    for entry in entries(dir_path)? {
        let file_name = entry.file_name();
        let leftover = match Hidden::parse(&file_name) {
            Some(Hidden::Making(_) | Hidden::MakingIndex(_) | Hidden::Deleting(_) | Hidden::NewFile) => true,
            Some(Hidden::Record(name) | Hidden::Index(name)) => {
                !fs::exists(dir_path.join(name.to_string())).context("cannot look at", dir_path)?
            }
            None => false,
        };
        if leftover {
            // A failure (because of a mount point, for example) does not stop the others.
            failed = failed.and(remove_tree(dir, dir_path, &file_name, threads, progress));
        }
    }
    failed
}

/// Deletes one name of `INCDIR/J` with its contents.
pub(super) fn remove_tree(
    dir: impl AsFd,
    dir_path: &Path,
    name: &std::ffi::OsStr,
    threads: NonZeroUsize,
    progress: &Progress,
) -> Result<()> {
    let count = |files| {
        progress.files.fetch_add(files, Relaxed);
    };
    bkctld_tree::remove(dir, name, threads, &count)
        .map_err(|failed| Error::io("cannot delete", &dir_path.join(failed.path), failed.source))
}

fn remove_if_empty(dir: &Path) -> Result<bool> {
    match fs::remove_dir(dir) {
        Ok(()) => Ok(true),
        Err(error) if matches!(error.kind(), io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::NotFound) => {
            Ok(false)
        }
        Err(error) => Err(error).context("cannot remove", dir),
    }
}
