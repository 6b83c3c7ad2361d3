//! A directory while it is copied, in the three trees at once: the live one, the new inc, and the
//! previous inc. It has the same path in all three.

use std::ffi::CStr;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bkctld_tree::stat::Inode;
use bkctld_tree::xattr::Xattrs;
use bkctld_tree::{Directory, open_dir_below};
use rustix::fs::{Stat, fstat};

use super::copy::is_shortage;
use super::index::Block;

/// A directory, with its descriptors in all three trees.
pub(super) type Node = Directory<Trees, Notes>;

/// The directory's descriptors in the three trees.
#[derive(Debug)]
pub(super) struct Trees {
    pub(super) live: OwnedFd,
    pub(super) new: OwnedFd,
    /// None where the previous inc has no such directory, or says nothing of it.
    pub(super) previous: Option<OwnedFd>,
}

/// What is kept of a directory until its copy is whole.
#[derive(Debug)]
pub(super) struct Notes {
    /// What the live directory was when it was opened; the inc's gets the same in the end.
    pub(super) stat: Stat,
    pub(super) xattrs: Xattrs,
    block: Mutex<Block>,
}

impl Notes {
    pub(super) fn new(stat: Stat, xattrs: Xattrs) -> Notes {
        Notes { stat, xattrs, block: Mutex::default() }
    }

    /// Its block of the new index.
    pub(super) fn block(&self) -> MutexGuard<'_, Block> {
        self.block.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why a directory could not be opened again.
#[derive(Debug)]
pub(super) enum Lost {
    /// The client moved the live one away.
    Live,
    /// The new one, which nobody else touches; or there was no descriptor or memory for either.
    Fatal(io::Error),
}

/// Opens the directory again in all the trees, from one above it.
pub(super) fn reopen(node: &Node, above: &Trees, names: &[&CStr]) -> Result<Trees, Lost> {
    let live = open_dir_below(&above.live, names)
        .map_err(|error| if is_shortage(&error) { Lost::Fatal(error) } else { Lost::Live })?;
    // By now another directory may be in its place.
    let found = fstat(&live).map_err(|_| Lost::Live)?;
    if Inode::from_stat(&found) != Inode::from_stat(&node.notes.stat) {
        return Err(Lost::Live);
    }
    let new = open_dir_below(&above.new, names).map_err(Lost::Fatal)?;
    let previous = above.previous.as_ref().and_then(|previous| open_dir_below(previous, names).ok());
    Ok(Trees { live, new, previous })
}

/// Calls `act` with the directory of the new tree.
pub(super) fn with_new<T>(node: &Node, act: impl FnOnce(&OwnedFd) -> T) -> io::Result<T> {
    let (above, names) = node.nearest_open();
    if names.is_empty() {
        return Ok(act(&above.new));
    }
    Ok(act(&open_dir_below(&above.new, &names)?))
}

/// What the live directory is by now; nothing where it is no longer in its place.
pub(super) fn live_now(node: &Node) -> Option<Stat> {
    let (above, names) = node.nearest_open();
    let now = if names.is_empty() {
        fstat(&above.live).ok()?
    } else {
        fstat(open_dir_below(&above.live, &names).ok()?).ok()?
    };
    (Inode::from_stat(&now) == Inode::from_stat(&node.notes.stat)).then_some(now)
}
