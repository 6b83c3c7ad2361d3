//! `LOCKDIR`: the directory of the locks. Root writes there under names that everybody can guess, and
//! believes what it finds there, so nobody else may be able to change it, or what is on the way to it.

use std::fmt::Display;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::FileType;

use crate::error::{Error, ErrorKind, IoContext, Result};
use crate::root_only::{self, Found};
use crate::text;

/// Where the locks are, unless the configuration says otherwise. Only root may make names in `/run`.
pub const PLACE: &str = "/run/bkctld";

/// Where they were before. Everybody may make names in `/run/lock`, so it was whoever's came first.
pub const EARLIER_PLACE: &str = "/run/lock/bkctld";

/// Where the locks are on a server whose configuration does not say it.
///
/// Once for each boot: processes that looked in two places would not see each other's locks. So where a
/// program of before has made the earlier place, and it is root's own, that stays in use; listeners that
/// run since before an upgrade hold their locks there. It is gone after a boot.
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

/// Opens the directory, and makes it where it does not exist.
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
        Found::Own(..) => Err(refused(dir, format_args!("{} is no directory", text::path(dir)))),
        Found::Others(fault) => Err(refused(dir, fault)),
        Found::Nothing => Ok(None),
    }
}

/// Whether somebody else could make the directory first when it is gone, as after a boot.
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
