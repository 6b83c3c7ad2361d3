//! `LOCKDIR`: the directory of the locks. Root writes there under predictable names, and trusts its contents,
//! so nobody else may be able to change it or a directory above it.

use std::fmt::Display;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::FileType;

use crate::error::{Error, ErrorKind, IoContext, Result};
use crate::root_only::{self, Found};
use crate::text;

/// The default directory of the locks. Only root can create names in `/run`.
pub const PLACE: &str = "/run/bkctld";

/// The former directory. Every user can create names in `/run/lock`, so it belonged to whoever created it
/// first.
pub const EARLIER_PLACE: &str = "/run/lock/bkctld";

/// The directory of the locks on a server whose configuration does not set it.
///
/// Decided once per boot, because processes that use two directories would not see each other's locks. If an
/// earlier version has created the former directory, and it belongs to root, it stays in use: listeners that
/// have run since before an upgrade hold their locks there. It is gone after a boot.
pub fn usual() -> PathBuf {
    usual_of(Path::new(PLACE), Path::new(EARLIER_PLACE))
}

fn usual_of(place: &Path, earlier: &Path) -> PathBuf {
    let decided = place.symlink_metadata().is_ok();
    let used = !decided && matches!(open(earlier), Ok(Some(_)));
    if used { earlier } else { place }.to_path_buf()
}

/// Opens the directory; none where it does not exist.
///
/// # Errors
/// [`Untrusted`](crate::ErrorKind::Untrusted), where others than root may change it or what is on the way to it:
/// [`root_only`].
pub fn open(dir: &Path) -> Result<Option<OwnedFd>> {
    find(dir, false)
}

/// Opens the directory, and creates it if it does not exist.
///
/// # Errors
/// As [`open`].
pub fn open_or_make(dir: &Path) -> Result<OwnedFd> {
    let none = std::io::Error::from(std::io::ErrorKind::NotFound);
    find(dir, true)?.ok_or(none).context("cannot make", dir)
}

fn find(dir: &Path, make: bool) -> Result<Option<OwnedFd>> {
    match root_only::find(dir, make)? {
        Found::Own(fd, stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Directory => Ok(Some(fd)),
        Found::Own(..) => Err(refused(dir, format_args!("{} is not a directory", text::path(dir)))),
        Found::Others(fault) => Err(refused(dir, fault)),
        Found::Nothing => Ok(None),
    }
}

/// Whether another user could create the directory first when it does not exist, as after a boot.
pub fn anyone_could_make(dir: &Path) -> bool {
    let parent = dir.parent().and_then(|parent| parent.canonicalize().ok());
    parent
        .and_then(|parent| rustix::fs::stat(&parent).ok())
        .is_some_and(|stat| root_only::others_write(&stat))
}

fn refused(dir: &Path, fault: impl Display) -> Error {
    let message = format!("locks cannot be kept in {}: {fault}", text::path(dir));
    Error::new(ErrorKind::Untrusted, message).at(dir).with_hint(format!(
        "mend that, or set LOCKDIR to a directory that only root can write to, such as {PLACE}"
    ))
}

#[cfg(test)]
mod tests;
