//! One directory on the way through a tree, for as long as something in it is still to be done.

use std::ffi::{CStr, CString, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Every so many levels a directory keeps its descriptors whatever the budget says: what is opened again is
/// never far from there, however deep a client's tree is.
const STRIDE: usize = 64;

/// A directory, reached by the descriptors `H` (one, or one for each of the trees that lie side by side),
/// with the notes `N` of whoever goes through the tree.
#[derive(Debug)]
pub struct Directory<H, N> {
    // Those of the top are held by all: so the way back from anywhere ends at an open directory.
    top: Arc<H>,
    parent: Option<Arc<Directory<H, N>>>,
    name: CString,
    depth: usize,
    held: Mutex<Option<Arc<H>>>,
    // Whether the budget was taken from for what is held.
    budgeted: bool,
    pending: AtomicUsize,
    /// What is kept of it until everything in it is done.
    pub notes: N,
}

/// How many directories may still keep their descriptors open between tasks. Others are opened again from
/// the nearest above that is open, so that no tree takes the descriptors that other trees need.
#[derive(Debug)]
pub(crate) struct Budget(AtomicUsize);

impl Budget {
    pub(crate) fn new(directories: usize) -> Budget {
        Budget(AtomicUsize::new(directories))
    }

    fn take(&self) -> bool {
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
    }

    fn give_back(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl<H, N> Directory<H, N> {
    pub(crate) fn top(handles: Arc<H>, notes: N) -> Arc<Directory<H, N>> {
        Arc::new(Directory {
            top: handles,
            parent: None,
            name: CString::default(),
            depth: 0,
            held: Mutex::new(None),
            budgeted: false,
            pending: AtomicUsize::new(1),
            notes,
        })
    }

    /// A subdirectory, which keeps its descriptors if the budget allows.
    pub(crate) fn below(
        parent: &Arc<Directory<H, N>>,
        name: CString,
        handles: &Arc<H>,
        notes: N,
        budget: &Budget,
    ) -> Arc<Directory<H, N>> {
        let depth = parent.depth + 1;
        let budgeted = budget.take();
        let held = (budgeted || depth.is_multiple_of(STRIDE)).then(|| handles.clone());
        Arc::new(Directory {
            top: parent.top.clone(),
            parent: Some(parent.clone()),
            name,
            depth,
            held: Mutex::new(held),
            budgeted,
            pending: AtomicUsize::new(1),
            notes,
        })
    }

    /// The directory that it is in; none for the top of the tree.
    pub fn parent(&self) -> Option<&Arc<Directory<H, N>>> {
        self.parent.as_ref()
    }

    /// The top of the tree.
    pub fn topmost(self: &Arc<Self>) -> &Arc<Directory<H, N>> {
        let mut at = self;
        while let Some(parent) = &at.parent {
            at = parent;
        }
        at
    }

    /// Its name in its parent; empty for the top.
    pub fn name(&self) -> &CStr {
        &self.name
    }

    /// How many levels below the top it is.
    pub fn depth(&self) -> usize {
        self.depth
    }

    /// The path of a name in this directory, from the top; an empty name is the directory itself.
    pub fn path_of(&self, name: &CStr) -> PathBuf {
        let mut names = vec![name];
        let mut at = Some(self);
        while let Some(directory) = at {
            names.push(&directory.name);
            at = directory.parent.as_deref();
        }
        names.iter().rev().map(|name| OsStr::from_bytes(name.to_bytes())).collect()
    }

    /// The descriptors of the nearest directory upwards that holds its own, and the names from there to
    /// here: none where it is this one.
    ///
    /// Whoever opens a directory by them may come to another than before, where a client has moved it
    /// meanwhile.
    pub fn nearest_open(&self) -> (Arc<H>, Vec<&CStr>) {
        let mut names = Vec::new();
        let mut at = self;
        let base = loop {
            if let Some(held) = at.held().clone() {
                break held;
            }
            let Some(parent) = &at.parent else { break self.top.clone() };
            names.push(at.name.as_c_str());
            at = parent;
        };
        names.reverse();
        (base, names)
    }

    /// One thing more is to be done before everything in it is.
    pub(crate) fn expect_one(&self) {
        self.pending.fetch_add(1, Ordering::Relaxed);
    }

    /// One thing is done; whether it was the last.
    pub(crate) fn complete_one(&self) -> bool {
        self.pending.fetch_sub(1, Ordering::AcqRel) == 1
    }

    /// Lets go of the descriptors.
    pub(crate) fn close(&self, budget: &Budget) {
        if self.held().take().is_some() && self.budgeted {
            budget.give_back();
        }
    }

    fn held(&self) -> MutexGuard<'_, Option<Arc<H>>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// The chain of parents can be as long as the tree is deep: dropped one by one, not by recursion.
impl<H, N> Drop for Directory<H, N> {
    fn drop(&mut self) {
        let mut next = self.parent.take();
        while let Some(directory) = next {
            next = Arc::into_inner(directory).and_then(|mut directory| directory.parent.take());
        }
    }
}
