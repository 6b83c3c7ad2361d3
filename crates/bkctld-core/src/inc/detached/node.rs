//! A directory while it is copied, in the three trees at once: the live one, the new inc, and the
//! previous inc. It has the same path in all three.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bkctld_tree::open_dir_long;
use bkctld_tree::xattr::Xattrs;
use rustix::fs::{Stat, fstat};
use rustix::io::Errno;

use super::copy::is_shortage;
use super::index::Block;

/// How many directories one making keeps open between tasks. Others are opened again from the nearest that
/// is open, so that no tree takes the descriptors that other jails need.
const HELD: usize = 64;

/// Every so many levels one is kept open all the same: what is opened again is never far from there, however
/// deep a client's tree is.
const STRIDE: usize = 64;

/// One directory.
#[derive(Debug)]
pub(super) struct Node {
    parent: Option<Arc<Node>>,
    name: CString,
    depth: usize,
    /// What the live directory was when it was opened; the inc's gets the same in the end.
    pub(super) stat: Stat,
    pub(super) xattrs: Xattrs,
    held: Mutex<Option<Arc<Open>>>,
    /// Whether it counts for the budget that it is.
    counts: bool,
    pending: AtomicUsize,
    block: Mutex<Block>,
}

/// The directory's descriptors in the three trees.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) live: OwnedFd,
    pub(super) new: OwnedFd,
    pub(super) prev: Option<OwnedFd>,
}

/// How many nodes may still hold their descriptors.
#[derive(Debug)]
pub(super) struct Budget(AtomicUsize);

impl Budget {
    pub(super) fn new() -> Budget {
        Budget(AtomicUsize::new(HELD))
    }

    fn take(&self) -> bool {
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
    }

    fn give(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
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

impl Node {
    /// The top of the trees; its descriptors are held for as long as it lives.
    pub(super) fn top(stat: Stat, xattrs: Xattrs, open: Arc<Open>) -> Arc<Node> {
        Arc::new(Node {
            parent: None,
            name: CString::default(),
            depth: 0,
            stat,
            xattrs,
            held: Mutex::new(Some(open)),
            counts: false,
            pending: AtomicUsize::new(1),
            block: Mutex::default(),
        })
    }

    /// A subdirectory, whose descriptors are held if the budget allows or it is so many levels deep.
    pub(super) fn below(
        parent: &Arc<Node>,
        name: &CStr,
        stat: Stat,
        xattrs: Xattrs,
        open: &Arc<Open>,
        budget: &Budget,
    ) -> Arc<Node> {
        let depth = parent.depth + 1;
        let counts = budget.take();
        let held = (counts || depth.is_multiple_of(STRIDE)).then(|| open.clone());
        Arc::new(Node {
            parent: Some(parent.clone()),
            name: name.to_owned(),
            depth,
            stat,
            xattrs,
            held: Mutex::new(held),
            counts,
            pending: AtomicUsize::new(1),
            block: Mutex::default(),
        })
    }

    pub(super) fn parent(&self) -> Option<&Arc<Node>> {
        self.parent.as_ref()
    }

    pub(super) fn name(&self) -> &CStr {
        &self.name
    }

    /// How far below the top.
    pub(super) fn depth(&self) -> usize {
        self.depth
    }

    /// Its block of the new index.
    pub(super) fn block(&self) -> MutexGuard<'_, Block> {
        self.block.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One more thing is to be done before the directory is whole.
    pub(super) fn expect(&self) {
        self.pending.fetch_add(1, Ordering::Relaxed);
    }

    /// One thing is done; whether it was the last.
    pub(super) fn done(&self) -> bool {
        self.pending.fetch_sub(1, Ordering::AcqRel) == 1
    }

    /// Lets go of the descriptors.
    pub(super) fn close(&self, budget: &Budget) {
        if self.parent.is_some() && self.lock_held().take().is_some() && self.counts {
            budget.give();
        }
    }

    /// The descriptors, opened again where they are not held.
    pub(super) fn open(self: &Arc<Node>) -> Result<Arc<Open>, Lost> {
        let (base, path) = self.from_nearest_held()?;
        if path.is_empty() {
            return Ok(base);
        }
        let live = open_dir_long(&base.live, &path)
            .map_err(|error| if is_shortage(&error) { Lost::Fatal(error) } else { Lost::Live })?;
        // By now another directory may be in its place.
        let is = fstat(&live).map_err(|_| Lost::Live)?;
        if (is.st_dev, is.st_ino) != (self.stat.st_dev, self.stat.st_ino) {
            return Err(Lost::Live);
        }
        let new = open_dir_long(&base.new, &path).map_err(Lost::Fatal)?;
        let prev = base.prev.as_ref().and_then(|prev| open_dir_long(prev, &path).ok());
        Ok(Arc::new(Open { live, new, prev }))
    }

    /// Calls `act` with the directory of the new tree.
    pub(super) fn with_new<T>(self: &Arc<Node>, act: impl FnOnce(&OwnedFd) -> T) -> Result<T, Lost> {
        let (base, path) = self.from_nearest_held()?;
        if path.is_empty() {
            return Ok(act(&base.new));
        }
        Ok(act(&open_dir_long(&base.new, &path).map_err(Lost::Fatal)?))
    }

    /// What the live directory is by now; nothing where it is no longer in its place.
    pub(super) fn live_now(self: &Arc<Node>) -> Option<Stat> {
        let (base, path) = self.from_nearest_held().ok()?;
        let now = if path.is_empty() {
            fstat(&base.live).ok()?
        } else {
            fstat(open_dir_long(&base.live, &path).ok()?).ok()?
        };
        ((now.st_dev, now.st_ino) == (self.stat.st_dev, self.stat.st_ino)).then_some(now)
    }

    /// The nearest directory upwards that is open, and the names from there to here.
    fn from_nearest_held(self: &Arc<Node>) -> Result<(Arc<Open>, Vec<&CStr>), Lost> {
        let mut names = Vec::new();
        let mut at = self;
        loop {
            if let Some(open) = at.lock_held().clone() {
                names.reverse();
                return Ok((open, names));
            }
            names.push(at.name.as_c_str());
            // The top always holds its own.
            at = at.parent.as_ref().ok_or(Lost::Fatal(Errno::BADF.into()))?;
        }
    }

    fn lock_held(&self) -> MutexGuard<'_, Option<Arc<Open>>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The path of a name in this directory, from the top; for messages.
    pub(super) fn path_of(&self, name: &CStr) -> std::path::PathBuf {
        let mut names = vec![name];
        let mut at = Some(self);
        while let Some(node) = at {
            names.push(&node.name);
            at = node.parent.as_deref();
        }
        names.iter().rev().map(|name| std::ffi::OsStr::from_bytes(name.to_bytes())).collect()
    }
}

// The chain of parents can be as long as the tree is deep: dropped one by one, not by recursion.
impl Drop for Node {
    fn drop(&mut self) {
        let mut next = self.parent.take();
        while let Some(node) = next {
            next = Arc::into_inner(node).and_then(|mut node| node.parent.take());
        }
    }
}
