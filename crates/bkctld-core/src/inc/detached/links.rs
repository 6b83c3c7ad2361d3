//! Hard links within the live tree. The first name of an inode that a thread comes to decides how
//! it gets into the inc; every other name becomes a link to that.

use std::collections::HashMap;
use std::ffi::CString;
use std::os::fd::AsFd;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use bkctld_sys::filesystem::{self, Kind};
use bkctld_tree::stat::Inode;
use bkctld_tree::wait_aside;

use super::signature::Signature;
use super::trees::Node;

/// `EXT4_LINK_MAX`; ext2 and ext3, which look the same, allow 32,000: there the kernel's refusal is what
/// counts.
const EXT4_LINKS: u64 = 65_000;
/// `BTRFS_LINK_MAX` of the kernel.
const BTRFS_LINKS: u64 = 65_535;

/// How many names an inode can have where the descriptor is, as far as is known.
pub(super) fn link_max(fd: impl AsFd) -> std::io::Result<u64> {
    Ok(match filesystem::kind(fd)? {
        Kind::BTRFS => BTRFS_LINKS,
        Kind::EXT4 => EXT4_LINKS,
        _ => u64::MAX,
    })
}

/// Where an inode is in the inc.
#[derive(Clone, Debug)]
pub(super) struct Placed {
    pub(super) node: Arc<Node>,
    pub(super) name: CString,
    /// What the live inode was when it was placed, where the next inc may rely on it.
    pub(super) signature: Option<Signature>,
}

#[derive(Debug)]
enum State {
    /// A thread is placing it.
    Busy,
    Placed(Placed),
}

/// The inodes with several names that were met so far.
#[derive(Debug, Default)]
pub(super) struct Links {
    inodes: Mutex<HashMap<Inode, State>>,
    changed: Condvar,
}

/// Whether the caller is to place an inode, or somebody has.
pub(super) enum Claim<'a> {
    /// This name is the first: the caller places the inode.
    First(Duty<'a>),
    /// It is in the inc already.
    Placed(Placed),
}

/// The right and the duty to place an inode. Dropped without that, the next name gets it.
pub(super) struct Duty<'a> {
    links: &'a Links,
    inode: Inode,
}

impl Links {
    /// Asks for the inode; waits while another thread places it (which never waits itself).
    pub(super) fn claim(&self, inode: Inode) -> Claim<'_> {
        loop {
            let mut inodes = self.lock();
            match inodes.get(&inode) {
                None => {
                    inodes.insert(inode, State::Busy);
                    return Claim::First(Duty { links: self, inode });
                }
                Some(State::Placed(placed)) => return Claim::Placed(placed.clone()),
                Some(State::Busy) => {
                    drop(inodes);
                    // Who places it may be waiting for its turn.
                    wait_aside(|| {
                        let busy = |inodes: &mut HashMap<Inode, State>| {
                            matches!(inodes.get(&inode), Some(State::Busy))
                        };
                        drop(self.changed.wait_while(self.lock(), busy));
                    });
                }
            }
        }
    }

    /// Another copy takes over, because the one that the names linked to has as many as it may.
    pub(super) fn replace(&self, inode: Inode, placed: Placed) {
        self.lock().insert(inode, State::Placed(placed));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Inode, State>> {
        self.inodes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Duty<'_> {
    /// The inode is in the inc.
    pub(super) fn placed(self, placed: Placed) {
        self.links.lock().insert(self.inode, State::Placed(placed));
        // Dropping tells the threads that wait.
    }
}

impl Drop for Duty<'_> {
    fn drop(&mut self) {
        let mut inodes = self.links.lock();
        if matches!(inodes.get(&self.inode), Some(State::Busy)) {
            inodes.remove(&self.inode);
        }
        drop(inodes);
        self.links.changed.notify_all();
    }
}
