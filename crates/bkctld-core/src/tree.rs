//! Deleting a tree by its path: for what lies out of every client's reach, or is walked by descriptor from there on.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::num::NonZeroUsize;
use std::path::Path;

use crate::error::{Error, IoContext, Result};

/// Deletes a tree, nested btrfs subvolumes included. One that is not there is deleted already.
pub fn delete(path: &Path) -> Result<()> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Ok(());
    };
    let parent_dir = match File::open(parent) {
        Ok(dir) => dir,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error).context("cannot open", parent),
    };
    delete_in(&parent_dir, name, parent)
}

/// As [`delete`], of a name in a directory that is open already; `parent` is that directory's path, for messages.
pub fn delete_in(parent_dir: &File, name: &OsStr, parent: &Path) -> Result<()> {
    let threads = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    bkctld_tree::remove(parent_dir, name, threads, &|_| ())
        .map_err(|failed| Error::io("cannot delete", &parent.join(failed.path), failed.source))
}
