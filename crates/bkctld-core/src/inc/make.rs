//! Makes an inc.

use std::fs::{self, File};
use std::io;
use std::num::NonZeroUsize;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use bkctld_sys::btrfs;
use jiff::Timestamp;
use rustix::fs::{RenameFlags, fsync, renameat_with};
use rustix::io::Errno;

use super::delete::{clear_leftovers, remove_tree};
use super::files::Hidden;
use super::list::list;
use super::record::{Backend, Counts, Record};
use super::{IncName, detached};
use crate::error::{IoContext, JailContext, Result};
use crate::file;
use crate::jail::Jail;
use crate::progress::Progress;

/// Values from the caller, which the domain does not determine itself.
pub struct MakeOptions<'a> {
    /// The number of threads that build a tree.
    pub threads: NonZeroUsize,
    /// The time, which is read at the start and at the end.
    pub now: &'a dyn Fn() -> Timestamp,
    /// Whether a session of the jail is open, which is also checked at the start and at the end.
    pub session_active: &'a dyn Fn() -> bool,
}

/// The result of making an inc.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The inc is there now, and whole.
    Made(Made),
    /// An inc of this name exists; nothing was done.
    AlreadyThere,
}

/// An inc that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Made {
    /// The name that it has in `INCDIR/J`.
    pub name: IncName,
    /// Its record.
    pub record: Record,
}

/// Makes the inc `name` of the jail: a snapshot where the jail is a btrfs subvolume and `INCDIR` is
/// on the same file system, else a detached tree. The caller holds the jail's [`Jail::incs_lock`].
///
/// Files of the live tree that vanished, changed or could not be read are in the record's warnings. On an
/// error, nothing has the inc's name, and the incomplete inc is deleted.
pub fn make(jail: &Jail, name: IncName, options: &MakeOptions<'_>, progress: &Progress) -> Result<Outcome> {
    make_named(jail, name, options, progress).for_jail(jail.name())
}

fn make_named(jail: &Jail, name: IncName, options: &MakeOptions<'_>, progress: &Progress) -> Result<Outcome> {
    let live = jail.open_dir()?;
    let inc_dir = jail.inc_dir();
    // Nobody but root: what a client stored may be setuid to anyone.
    file::make_private_dir(inc_dir, 0o700)?;
    jail.close_to_others()?;
    let path = inc_dir.join(name.to_string());
    match fs::symlink_metadata(&path) {
        Ok(_) => return Ok(Outcome::AlreadyThere),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error).context("cannot look at", &path),
    }
    let mut warnings = Vec::new();
    // Remains that cannot be deleted must not prevent an inc.
    if let Err(error) = clear_leftovers(jail, options.threads, &Progress::default()) {
        warnings.push(format!("the remains of an earlier run cannot be deleted: {error}"));
    }
    let begun = (options.now)();
    let active_at_begin = (options.session_active)();
    let dir = File::open(inc_dir).context("cannot open", inc_dir)?;
    let (backend, counts) = match snapshot(&live, &dir, &path, name, &mut warnings)? {
        true => (Backend::Snapshot, Counts::default()),
        false => (Backend::Detached, detach(jail, live, &dir, name, options, progress, &mut warnings)?),
    };
    let mut record = Record {
        begun,
        ended: (options.now)(),
        backend,
        session_active: active_at_begin || (options.session_active)(),
        counts,
        warnings,
    };
    // The inc stands without its record: nobody waits for the disk, and one that is full, which has room for
    // a snapshot all the same, is no reason to deny that the inc is there.
    if let Err(error) = record.write(jail, name, file::Sync::Later) {
        record.warnings.push(format!("the inc is complete, but its record cannot be written: {error}"));
    }
    Ok(Outcome::Made(Made { name, record }))
}

/// Copies the jail's whole tree into `new`, an empty directory at `path` that is out of its client's
/// reach, as faithfully as an inc is, and syncs it. Gives back what the copy lacks, and why.
///
/// # Errors
/// Too little space, reported before anything is copied; a disk that becomes full or fails.
pub fn copy_whole(
    jail: &Jail,
    new: OwnedFd,
    path: &Path,
    threads: NonZeroUsize,
    progress: &Progress,
) -> Result<Vec<String>> {
    detached::copy_whole(jail.open_dir()?, new, path, threads, progress).for_jail(jail.name())
}

/// Takes a snapshot, if the jail is a subvolume and the inc belongs on the same file system. It
/// appears under its name at once, whole and on disk.
fn snapshot(
    live: &OwnedFd,
    dir: &File,
    path: &Path,
    name: IncName,
    warnings: &mut Vec<String>,
) -> Result<bool> {
    if !btrfs::is_subvolume(live).context("cannot look at", path)?
        || !btrfs::is_btrfs(dir).context("cannot look at", path)?
    {
        return Ok(false);
    }
    match btrfs::snapshot(live, dir, name.to_string().as_ref(), true) {
        Ok(()) => {}
        Err(error) if error.raw_os_error() == Some(Errno::XDEV.raw_os_error()) => return Ok(false),
        Err(error) => return Err(error).context("cannot create snapshot", path),
    }
    // The inc exists from here on.
    match btrfs::children(live).context("cannot list the subvolumes of", path) {
        Ok(nested) if nested.is_empty() => {}
        Ok(nested) => warnings.push(format!(
            "nested subvolumes of the jail are empty directories in the inc, because a snapshot does not include them: {}",
            nested.len()
        )),
        Err(error) => warnings.push(format!("nested subvolumes of the jail cannot be listed: {error}")),
    }
    Ok(true)
}

/// Builds a detached tree and gives it its name.
fn detach(
    jail: &Jail,
    live: OwnedFd,
    dir: &File,
    name: IncName,
    options: &MakeOptions<'_>,
    progress: &Progress,
    warnings: &mut Vec<String>,
) -> Result<Counts> {
    let inc_dir = jail.inc_dir();
    let mut incs = list(jail)?;
    let making = Hidden::Making(name).file_name();
    let making_index = Hidden::MakingIndex(name).file_name();
    let built = detached::build(jail, live, &incs, name, options.threads, progress).and_then(|built| {
        let rename = |from: &std::ffi::OsStr, to: &std::ffi::OsStr, flags| {
            renameat_with(dir, from, dir, to, flags).context("cannot rename", inc_dir.join(from))
        };
        rename(&making_index, &Hidden::Index(name).file_name(), RenameFlags::empty())?;
        rename(&making, name.to_string().as_ref(), RenameFlags::NOREPLACE)?;
        Ok(built)
    });
    let built = match built {
        Ok(built) => built,
        Err(error) => {
            for left in [&making, &making_index, &Hidden::Index(name).file_name()] {
                // A second error would hide the first; the next run tries again.
                let _ = remove_tree(dir, inc_dir, left, options.threads, &Progress::default());
            }
            return Err(error);
        }
    };
    if let Err(error) = fsync(dir.as_fd()).context("cannot sync", inc_dir) {
        warnings
            .push(format!("the inc is complete, but may lose its name if the server crashes now: {error}"));
    }
    incs.push(name);
    incs.sort_unstable();
    if let Err(error) = detached::drop_old_indexes(inc_dir, &incs) {
        warnings.push(error.to_string());
    }
    warnings.extend(built.warnings);
    Ok(built.counts)
}
