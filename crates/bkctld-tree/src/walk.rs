//! Looking at every name of a tree, in parallel, without changing anything.

use std::ffi::CStr;
use std::io;
use std::num::NonZeroUsize;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;

use rustix::fs::{AtFlags, FileType, Stat, statat};
use rustix::io::Errno;

use crate::directory::Directory;
use crate::listing::{Entry, Listing, list};
use crate::open::{open_dir, open_dir_below};
use crate::stat::file_type;
use crate::traversal::{Entered, Found, Here, MAX_DEPTH, Traversal, traverse};

/// One name that a walk came to.
#[derive(Debug)]
pub struct Name<'a> {
    /// The directory that it is in.
    pub dir: &'a OwnedFd,
    /// The name itself, one component.
    pub name: &'a CStr,
    /// What the kernel says of it; of a link, of the link itself.
    pub stat: &'a Stat,
}

/// Who looks at the names that a walk comes to.
pub trait Visitor: Sync {
    /// What one thread adds up before it is given to [`Visitor::add`]: so the threads need no lock
    /// for every name.
    type Tally: Default;

    /// Looks at a name. What fails about it is given to [`Visitor::failed`].
    fn name(&self, tally: &mut Self::Tally, name: &Name<'_>) -> io::Result<()>;

    /// Takes what a thread has added up since the last time.
    fn add(&self, tally: Self::Tally);

    /// A directory below the top was opened; its names are not read yet.
    fn entered(&self, _path: impl FnOnce() -> PathBuf, _dir: &OwnedFd) {}

    /// A name could not be looked at, a directory not be read, or one is too deep. What vanishes
    /// meanwhile is no failure.
    fn failed(&self, path: PathBuf, error: io::Error);

    /// Whether the walk has lost its point.
    fn stopped(&self) -> bool {
        false
    }
}

/// Has the visitor look at every name below the open directory, on this many threads. No link is
/// followed and no mount point crossed; nested btrfs subvolumes are walked too.
pub fn walk<V: Visitor>(top: OwnedFd, threads: NonZeroUsize, visitor: &V) {
    traverse(&Walk(visitor), Entered { handles: top, notes: (), help: () }, threads);
}

struct Walk<'v, V>(&'v V);

impl<V: Visitor> Traversal for Walk<'_, V> {
    type Handles = OwnedFd;
    type Notes = ();
    type Help = ();
    type Hint = ();
    type Tally = V::Tally;
    type Error = io::Error;

    fn enter(
        &self,
        parent: &Arc<Directory<OwnedFd, ()>>,
        name: &CStr,
        (): (),
    ) -> io::Result<Option<Entered<Self>>> {
        if parent.depth() >= MAX_DEPTH {
            return Err(io::Error::other(format!("more than {MAX_DEPTH} levels deep")));
        }
        let dir = open_dir(&*self.handles(parent)?, name)?;
        self.0.entered(|| parent.path_of(name), &dir);
        Ok(Some(Entered { handles: dir, notes: (), help: () }))
    }

    // By now a client may have put another directory in its place: it is one of the same tree.
    fn reopen(&self, _: &Directory<OwnedFd, ()>, above: &OwnedFd, names: &[&CStr]) -> io::Result<OwnedFd> {
        open_dir_below(above, names)
    }

    fn list(&self, _: &Arc<Directory<OwnedFd, ()>>, dir: &OwnedFd) -> io::Result<Listing> {
        list(dir)
    }

    fn name(
        &self,
        here: &Here<'_, Self>,
        entry: Entry<'_>,
        tally: &mut V::Tally,
        found: &mut Found<'_, Self>,
    ) -> io::Result<()> {
        let stat = statat(here.handles, entry.name, AtFlags::SYMLINK_NOFOLLOW)?;
        // Entered even if looking at it fails.
        if file_type(&stat) == FileType::Directory {
            found.enter(here.directory, entry.name.to_owned(), ());
        }
        self.0.name(tally, &Name { dir: here.handles, name: entry.name, stat: &stat })
    }

    fn add(&self, _: &Directory<OwnedFd, ()>, tally: V::Tally) {
        self.0.add(tally);
    }

    fn leave(&self, _: &Arc<Directory<OwnedFd, ()>>) {}

    fn failed(&self, directory: &Directory<OwnedFd, ()>, name: &CStr, error: io::Error) {
        // What is gone by now was never there.
        let errno = error.raw_os_error().map(Errno::from_raw_os_error);
        if !matches!(errno, Some(Errno::NOENT | Errno::NOTDIR | Errno::LOOP)) {
            self.0.failed(directory.path_of(name), error);
        }
    }

    fn stopped(&self) -> bool {
        self.0.stopped()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::traversal::NAMES_PER_TASK;
    use std::fs::{self, File};
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

    #[derive(Default)]
    struct Names {
        count: AtomicU64,
        failed: Mutex<Vec<(PathBuf, String)>>,
    }

    impl Visitor for Names {
        type Tally = u64;

        fn name(&self, tally: &mut u64, found: &Name<'_>) -> io::Result<()> {
            *tally += 1;
            match found.name.to_bytes() {
                b"fails" => Err(Errno::IO.into()),
                b"vanishes" => Err(Errno::NOENT.into()),
                _ => Ok(()),
            }
        }

        fn add(&self, tally: u64) {
            self.count.fetch_add(tally, Relaxed);
        }

        fn failed(&self, path: PathBuf, error: io::Error) {
            self.failed.lock().unwrap().push((path, error.to_string()));
        }
    }

    fn names(top: &std::path::Path) -> (u64, Vec<(PathBuf, String)>) {
        let names = Names::default();
        walk(File::open(top).unwrap().into(), NonZeroUsize::new(3).unwrap(), &names);
        (names.count.into_inner(), names.failed.into_inner().unwrap())
    }

    #[test]
    fn every_name_is_looked_at_once_however_wide_the_directory() {
        let dir = tempfile::tempdir().unwrap();
        for sub in ["wide", "wide/sub", "a/b/c"] {
            fs::create_dir_all(dir.path().join(sub)).unwrap();
        }
        for number in 0..NAMES_PER_TASK + 10 {
            File::create(dir.path().join(format!("wide/{number}"))).unwrap();
        }
        std::os::unix::fs::symlink("/", dir.path().join("link")).unwrap();
        let (count, failed) = names(dir.path());
        // wide, sub, its files, a, b, c, the link itself.
        assert_eq!(count, NAMES_PER_TASK as u64 + 10 + 6);
        assert!(failed.is_empty(), "{failed:?}");
    }

    #[test]
    fn what_fails_about_a_name_is_told_by_its_path_and_what_vanishes_is_not() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("a/b")).unwrap();
        for name in ["fails", "a/fails", "a/b/fails", "a/vanishes"] {
            File::create(dir.path().join(name)).unwrap();
        }
        let (_, failed) = names(dir.path());
        let mut paths: Vec<_> = failed.into_iter().map(|(path, _)| path).collect();
        paths.sort();
        assert_eq!(paths, ["a/b/fails", "a/fails", "fails"].map(PathBuf::from));
    }

    #[test]
    fn a_tree_deeper_than_there_are_descriptors_is_walked_and_one_without_end_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let mut at: OwnedFd = File::open(dir.path()).unwrap().into();
        for _ in 0..MAX_DEPTH + 10 {
            rustix::fs::mkdirat(&at, "deep-and-deeper", rustix::fs::Mode::RWXU).unwrap();
            at = open_dir(&at, c"deep-and-deeper").unwrap();
        }
        let (count, failed) = names(dir.path());
        assert_eq!(count, MAX_DEPTH as u64 + 1);
        assert_eq!(failed.len(), 1, "{failed:?}");
        assert!(failed[0].1.contains("levels deep"));
        let parent = File::open(dir.path().parent().unwrap()).unwrap();
        let name = dir.path().file_name().unwrap();
        crate::remove(&parent, name, NonZeroUsize::MIN, &|_| ()).unwrap();
    }
}
