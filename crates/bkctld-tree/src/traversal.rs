//! The way through a tree, whatever is done there: directories are opened, their names are gone through,
//! and each directory is left when everything in it is done. Shared out among threads, a huge directory in
//! parts, with a turn for other trees after every name.
//!
//! What is done on the way is a [`Traversal`]: [`crate::walk()`] looks at every name, [`crate::remove()`] deletes
//! it, and whoever copies goes through two trees (or three) side by side. One set of descriptors stands for
//! the same directory in all of them.

use std::ffi::{CStr, CString};
use std::num::NonZeroUsize;
use std::sync::Arc;

use crate::directory::{Budget, Directory};
use crate::listing::{Entry, Listing};
use crate::{give_way, work};

/// How deep a tree is entered by those who do not move what is deeper: twice as deep as a path of the
/// kernel's greatest length can say. A client could otherwise keep them busy for ever, since what is this
/// deep is opened name by name.
pub const MAX_DEPTH: usize = 4096;

/// How many names one task deals with: those of a huge directory are shared among the threads.
pub(crate) const NAMES_PER_TASK: usize = 2048;

/// How many directories of one tree keep their descriptors open between tasks.
const HELD: usize = 64;

/// A directory as a traversal has it.
pub type DirectoryIn<T> = Directory<<T as Traversal>::Handles, <T as Traversal>::Notes>;

/// What is done on the way through a tree. All of it is called from several threads at once.
pub trait Traversal: Sized + Sync {
    /// The descriptors of one directory: one, or one for each of the trees that lie side by side.
    type Handles: Send + Sync;
    /// What is kept of a directory until everything in it is done.
    type Notes: Send + Sync;
    /// What helps with the names of a directory, and is needed no longer than they are gone through.
    type Help: Send + Sync;
    /// What is known of a subdirectory before it is opened.
    type Hint: Send;
    /// What one thread gathers of some names, so that it need not take a lock for each.
    type Tally: Default;
    /// Why something could not be done.
    type Error;

    /// How many directories keep their descriptors open between tasks.
    const HELD: usize = HELD;

    /// Opens a subdirectory in all the trees; `None` where it needs not be gone through.
    fn enter(
        &self,
        parent: &Arc<DirectoryIn<Self>>,
        name: &CStr,
        hint: Self::Hint,
    ) -> Result<Option<Entered<Self>>, Self::Error>;

    /// Opens a directory once more that has let go of its descriptors: by those of a directory above it and
    /// the names from there. A client may have put something else in its place.
    fn reopen(
        &self,
        directory: &DirectoryIn<Self>,
        above: &Self::Handles,
        names: &[&CStr],
    ) -> Result<Self::Handles, Self::Error>;

    /// The names of a directory, in the tree that decides what is gone through.
    fn list(
        &self,
        directory: &Arc<DirectoryIn<Self>>,
        handles: &Self::Handles,
    ) -> Result<Listing, Self::Error>;

    /// Deals with a name; [`Found::enter`] has a subdirectory entered later.
    fn name(
        &self,
        here: &Here<'_, Self>,
        entry: Entry<'_>,
        tally: &mut Self::Tally,
        found: &mut Found<'_, Self>,
    ) -> Result<(), Self::Error>;

    /// Takes what was gathered of names of the directory.
    fn add(&self, directory: &DirectoryIn<Self>, tally: Self::Tally);

    /// Everything in the directory is done.
    fn leave(&self, directory: &Arc<DirectoryIn<Self>>);

    /// Something could not be done: of a name in the directory or, with an empty name, of the directory.
    fn failed(&self, directory: &DirectoryIn<Self>, name: &CStr, error: Self::Error);

    /// Whether the rest has lost its point: nothing more is entered, gone through or left.
    fn stopped(&self) -> bool {
        false
    }

    /// The descriptors of a directory, opened again where it has let go of them.
    fn handles(&self, directory: &DirectoryIn<Self>) -> Result<Arc<Self::Handles>, Self::Error> {
        let (nearest, names) = directory.nearest_open();
        if names.is_empty() {
            return Ok(nearest);
        }
        self.reopen(directory, &nearest, &names).map(Arc::new)
    }
}

/// A directory that was opened just now.
pub struct Entered<T: Traversal> {
    /// Its descriptors, in all the trees.
    pub handles: T::Handles,
    /// What is kept until everything in it is done.
    pub notes: T::Notes,
    /// What helps with its names.
    pub help: T::Help,
}

/// The directory whose names are gone through.
pub struct Here<'h, T: Traversal> {
    /// The directory itself, for its notes and its path.
    pub directory: &'h Arc<DirectoryIn<T>>,
    /// Its descriptors, in all the trees.
    pub handles: &'h T::Handles,
    /// What helps with its names.
    pub help: &'h T::Help,
}

/// Where subdirectories go that are found among the names.
pub struct Found<'f, T: Traversal>(&'f mut Vec<Task<T>>);

impl<T: Traversal> Found<'_, T> {
    /// Has the subdirectory entered, and the directory left no sooner than that is done.
    pub fn enter(&mut self, directory: &Arc<DirectoryIn<T>>, name: CString, hint: T::Hint) {
        directory.expect_one();
        self.0.push(Task::Enter(directory.clone(), name, hint));
    }
}

/// Goes through the tree below the open top, on at most this many threads, depth first.
pub fn traverse<T: Traversal>(traversal: &T, top: Entered<T>, threads: NonZeroUsize) {
    let engine = Engine { traversal, budget: Budget::new(T::HELD) };
    work(threads, Task::Top(top), |task, found| {
        if !traversal.stopped() {
            engine.perform(task, found);
        }
    });
}

enum Task<T: Traversal> {
    Top(Entered<T>),
    Enter(Arc<DirectoryIn<T>>, CString, T::Hint),
    /// Some names of a huge directory, from this one on.
    Names(Arc<DirectoryIn<T>>, Arc<Huge<T>>, usize),
}

/// The names of a directory that are more than one task deals with.
struct Huge<T: Traversal> {
    listing: Listing,
    help: T::Help,
}

struct Engine<'t, T> {
    traversal: &'t T,
    budget: Budget,
}

impl<T: Traversal> Engine<'_, T> {
    fn perform(&self, task: Task<T>, found: &mut Vec<Task<T>>) {
        match task {
            Task::Top(Entered { handles, notes, help }) => {
                let handles = Arc::new(handles);
                self.begin(Directory::top(handles.clone(), notes), &handles, help, found);
            }
            Task::Enter(parent, name, hint) => match self.traversal.enter(&parent, &name, hint) {
                Ok(Some(Entered { handles, notes, help })) => {
                    let handles = Arc::new(handles);
                    let directory = Directory::below(&parent, name, &handles, notes, &self.budget);
                    self.begin(directory, &handles, help, found);
                }
                Ok(None) => self.complete_one(parent),
                Err(error) => {
                    self.traversal.failed(&parent, &name, error);
                    self.complete_one(parent);
                }
            },
            Task::Names(directory, huge, from) => {
                match self.traversal.handles(&directory) {
                    Ok(handles) => {
                        let here = Here { directory: &directory, handles: &*handles, help: &huge.help };
                        self.names(&here, &huge.listing, from, found);
                    }
                    Err(error) => self.traversal.failed(&directory, c"", error),
                }
                self.complete_one(directory);
            }
        }
    }

    /// Goes through the names of a directory, or cuts them into tasks where they are many.
    fn begin(
        &self,
        directory: Arc<DirectoryIn<T>>,
        handles: &T::Handles,
        help: T::Help,
        found: &mut Vec<Task<T>>,
    ) {
        match self.traversal.list(&directory, handles) {
            Ok(listing) if listing.len() <= NAMES_PER_TASK => {
                let here = Here { directory: &directory, handles, help: &help };
                self.names(&here, &listing, 0, found);
            }
            Ok(listing) => {
                let huge = Arc::new(Huge { listing, help });
                for from in (0..huge.listing.len()).step_by(NAMES_PER_TASK) {
                    directory.expect_one();
                    found.push(Task::Names(directory.clone(), huge.clone(), from));
                }
            }
            Err(error) => self.traversal.failed(&directory, c"", error),
        }
        self.complete_one(directory);
    }

    fn names(&self, here: &Here<'_, T>, listing: &Listing, from: usize, found: &mut Vec<Task<T>>) {
        let mut tally = T::Tally::default();
        for entry in listing.range(from, from + NAMES_PER_TASK) {
            if self.traversal.stopped() {
                return;
            }
            give_way();
            if let Err(error) = self.traversal.name(here, entry, &mut tally, &mut Found(found)) {
                self.traversal.failed(here.directory, entry.name, error);
            }
        }
        self.traversal.add(here.directory, tally);
    }

    /// Notes that one thing of the directory is done, and leaves what thereby is whole, upwards.
    fn complete_one(&self, mut directory: Arc<DirectoryIn<T>>) {
        while directory.complete_one() && !self.traversal.stopped() {
            self.traversal.leave(&directory);
            directory.close(&self.budget);
            let Some(parent) = directory.parent().cloned() else { return };
            directory = parent;
        }
    }
}
