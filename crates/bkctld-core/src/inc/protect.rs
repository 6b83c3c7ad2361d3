//! Makes snapshots writable, and read-only again.

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;

use bkctld_sys::btrfs;
use bkctld_tree::open_dir;

use super::IncName;
use crate::error::{IoContext, Result};
use crate::jail::Jail;

/// Whether an inc can be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protection {
    /// A snapshot that the kernel lets nobody change.
    Locked,
    /// A snapshot that root can change.
    Unlocked,
    /// A tree of directories, whether on btrfs or not: it has no such flag.
    NoSnapshot,
}

/// Whether the inc can be changed now; `None` if it does not exist.
pub fn protection(jail: &Jail, name: IncName) -> Result<Option<Protection>> {
    let path = jail.inc_dir().join(name.to_string());
    let Some(inc) = open(jail, name).context("cannot open", &path)? else {
        return Ok(None);
    };
    protection_of(&inc).context("cannot look at", &path).map(Some)
}

/// Makes the inc read-only or writable, if it is a snapshot, and gives what it was before. The caller
/// holds the jail's [`Jail::incs_lock`].
pub fn set_protection(jail: &Jail, name: IncName, locked: bool) -> Result<Option<Protection>> {
    let path = jail.inc_dir().join(name.to_string());
    let Some(inc) = open(jail, name).context("cannot open", &path)? else {
        return Ok(None);
    };
    let before = protection_of(&inc).context("cannot look at", &path)?;
    match before {
        Protection::Locked if !locked => btrfs::set_read_only(&inc, false),
        Protection::Unlocked if locked => btrfs::set_read_only(&inc, true),
        _ => Ok(()),
    }
    .context(if locked { "cannot lock" } else { "cannot unlock" }, &path)?;
    Ok(Some(before))
}

// A descriptor, so that what is asked about and what is changed are the same, whatever an `rm`
// beside us renames.
fn open(jail: &Jail, name: IncName) -> io::Result<Option<OwnedFd>> {
    let dir = File::open(jail.inc_dir());
    match dir.and_then(|dir| open_dir(dir, &CString::new(name.to_string())?)) {
        Ok(inc) => Ok(Some(inc)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn protection_of(inc: &OwnedFd) -> io::Result<Protection> {
    Ok(match btrfs::is_subvolume(inc)? {
        false => Protection::NoSnapshot,
        true if btrfs::is_read_only(inc)? => Protection::Locked,
        true => Protection::Unlocked,
    })
}
