//! Looking at every name of a tree, in parallel, without changing anything.

use std::ffi::{CStr, CString, OsStr};
use std::io;
use std::num::NonZeroUsize;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use rustix::fs::{AtFlags, FileType, Stat, statat};
use rustix::io::Errno;

use crate::{Listing, list, open_dir, open_dir_path, pass, work};

/// How deep a walk goes: twice as deep as a path of the kernel's greatest length can say. A client
/// could otherwise keep it busy for ever, since what is this deep is opened name by name.
const MAX_DEPTH: usize = 4096;

/// How many names one task looks at: those of a huge directory are shared among the threads.
const CHUNK: usize = 4096;

/// How many directories one walk keeps open between tasks. What is below others is opened again from
/// the nearest that is open, so that no tree takes the descriptors that other walks need.
const HELD: usize = 64;

/// Every so many levels one is kept open all the same: what is opened again is never far from there,
/// however deep a client's tree is.
const STRIDE: usize = 64;

/// The longest path that is opened at once, in bytes: below the kernel's `PATH_MAX`.
const PATH_PIECE: usize = 4000;

/// One name that a walk came to.
#[derive(Debug)]
pub struct Found<'a> {
    /// The directory that it is in.
    pub dir: &'a OwnedFd,
    /// The name.
    pub name: &'a CStr,
    /// What it is; of a link, the link itself.
    pub stat: &'a Stat,
}

/// Who looks at the names that a walk comes to.
pub trait Visitor: Sync {
    /// What one thread adds up before it is given to [`Visitor::add`]: so the threads need no lock
    /// for every name.
    type Tally: Default;

    /// A name. What fails about it is given to [`Visitor::failed`].
    fn name(&self, tally: &mut Self::Tally, found: &Found<'_>) -> io::Result<()>;

    /// What was added up since the last time.
    fn add(&self, tally: Self::Tally);

    /// A directory below the top was opened; its names are not read yet.
    fn entered(&self, _path: impl FnOnce() -> PathBuf, _dir: &OwnedFd) {}

    /// A name that could not be looked at, a directory that could not be read, or one too deep. What
    /// vanishes meanwhile is no failure.
    fn failed(&self, path: PathBuf, error: io::Error);

    /// Whether the walk has lost its point.
    fn stop(&self) -> bool {
        false
    }
}

/// Has the visitor look at every name below the open directory, on this many threads. No link is
/// followed and no mount point crossed; nested btrfs subvolumes are walked too.
pub fn walk<V: Visitor>(top: OwnedFd, threads: NonZeroUsize, visitor: &V) {
    let walk = Walk { visitor, free: Arc::new(AtomicUsize::new(HELD)) };
    let top = Dir { parent: None, name: CString::default(), depth: 0, fd: Some(top), free: None };
    work(threads, Task::Top(Arc::new(top)), |task, found| walk.run(task, found));
}

struct Walk<'v, V> {
    visitor: &'v V,
    /// How many directories more may be held open.
    free: Arc<AtomicUsize>,
}

enum Task {
    Top(Arc<Dir>),
    Enter(Arc<Dir>, CString),
    Chunk(Arc<Dir>, Arc<Listing>, usize),
}

/// A directory that subdirectories are still to be opened in.
struct Dir {
    parent: Option<Arc<Dir>>,
    name: CString,
    depth: usize,
    fd: Option<OwnedFd>,
    /// Where the descriptor is given back to.
    free: Option<Arc<AtomicUsize>>,
}

impl<V: Visitor> Walk<'_, V> {
    fn run(&self, task: Task, found: &mut Vec<Task>) {
        if self.visitor.stop() {
            return;
        }
        let outcome = match &task {
            Task::Top(dir) => dir.with_fd(|fd| self.scan(dir, fd, found)).and_then(|done| done),
            Task::Enter(parent, name) => self.enter(parent, name, found),
            Task::Chunk(dir, listing, from) => dir.with_fd(|fd| {
                self.look((dir, None), fd, listing, *from, &mut |name| enter(dir, name, found))
            }),
        };
        match (outcome, task) {
            (Ok(()), _) => {}
            (Err(error), _) if vanished(&error) => {}
            (Err(error), Task::Enter(parent, name)) => self.visitor.failed(parent.path_of(&name), error),
            (Err(error), Task::Top(dir) | Task::Chunk(dir, ..)) => {
                self.visitor.failed(dir.path_of(c""), error);
            }
        }
    }

    fn enter(&self, parent: &Arc<Dir>, name: &CStr, found: &mut Vec<Task>) -> io::Result<()> {
        if parent.depth >= MAX_DEPTH {
            return Err(io::Error::other(format!("more than {MAX_DEPTH} levels deep")));
        }
        let fd = parent.with_fd(|above| open_dir(above, name))??;
        self.visitor.entered(|| parent.path_of(name), &fd);
        let listing = list(&fd)?;
        let mut names = Vec::new();
        if listing.len() <= CHUNK {
            self.look((parent, Some(name)), &fd, &listing, 0, &mut |name| names.push(name.to_owned()));
            if names.is_empty() {
                return Ok(());
            }
        }
        let depth = parent.depth + 1;
        let free = self.free.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)).is_ok();
        let dir = Arc::new(Dir {
            parent: Some(parent.clone()),
            name: name.to_owned(),
            depth,
            fd: (free || depth.is_multiple_of(STRIDE)).then_some(fd),
            free: free.then(|| self.free.clone()),
        });
        found.extend(names.into_iter().map(|name| Task::Enter(dir.clone(), name)));
        self.share(&dir, listing, found);
        Ok(())
    }

    fn scan(&self, dir: &Arc<Dir>, fd: &OwnedFd, found: &mut Vec<Task>) -> io::Result<()> {
        let listing = list(fd)?;
        if listing.len() <= CHUNK {
            self.look((dir, None), fd, &listing, 0, &mut |name| enter(dir, name, found));
        }
        self.share(dir, listing, found);
        Ok(())
    }

    /// Cuts the names of a huge directory into tasks.
    fn share(&self, dir: &Arc<Dir>, listing: Listing, found: &mut Vec<Task>) {
        if listing.len() > CHUNK {
            let listing = Arc::new(listing);
            let starts = (0..listing.len()).step_by(CHUNK);
            found.extend(starts.map(|from| Task::Chunk(dir.clone(), listing.clone(), from)));
        }
    }

    /// Looks at names of a directory; `at` is where that is, for messages: a directory, or a name in it.
    fn look(
        &self,
        at: (&Dir, Option<&CStr>),
        fd: &OwnedFd,
        listing: &Listing,
        from: usize,
        enter: &mut dyn FnMut(&CStr),
    ) {
        let mut tally = V::Tally::default();
        let failed = |name: &CStr, error: io::Error| {
            // What is gone by now was never there.
            if !vanished(&error) {
                let (dir, name) =
                    (at.0.path_of(at.1.unwrap_or_default()), OsStr::from_bytes(name.to_bytes()));
                self.visitor.failed(dir.join(name), error);
            }
        };
        for entry in listing.range(from, from + CHUNK) {
            pass();
            let stat = match statat(fd, entry.name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => stat,
                Err(error) => {
                    failed(entry.name, error.into());
                    continue;
                }
            };
            if let Err(error) =
                self.visitor.name(&mut tally, &Found { dir: fd, name: entry.name, stat: &stat })
            {
                failed(entry.name, error);
            }
            if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
                enter(entry.name);
            }
        }
        self.visitor.add(tally);
    }
}

fn vanished(error: &io::Error) -> bool {
    let error = error.raw_os_error().map(Errno::from_raw_os_error);
    matches!(error, Some(Errno::NOENT | Errno::NOTDIR | Errno::LOOP))
}

fn enter(dir: &Arc<Dir>, name: &CStr, found: &mut Vec<Task>) {
    found.push(Task::Enter(dir.clone(), name.to_owned()));
}

impl Dir {
    /// Calls `act` with the directory's descriptor, opened again where it is not held. By then the
    /// client may have put another directory in its place: it is one of the same tree.
    fn with_fd<T>(&self, act: impl FnOnce(&OwnedFd) -> T) -> io::Result<T> {
        let mut names = Vec::new();
        let mut at = self;
        let base = loop {
            if let Some(fd) = &at.fd {
                break fd;
            }
            names.push(at.name.as_c_str());
            // The top holds its own.
            at = at.parent.as_deref().ok_or(Errno::BADF)?;
        };
        if names.is_empty() {
            return Ok(act(base));
        }
        names.reverse();
        Ok(act(&open_dir_long(base, &names)?))
    }

    fn path_of(&self, name: &CStr) -> PathBuf {
        let mut names = vec![name];
        let mut at = Some(self);
        while let Some(dir) = at {
            names.push(&dir.name);
            at = dir.parent.as_deref();
        }
        names.iter().rev().map(|name| OsStr::from_bytes(name.to_bytes())).collect()
    }
}

// The chain of parents can be as long as the tree is deep: dropped one by one, not by recursion.
impl Drop for Dir {
    fn drop(&mut self) {
        if let (Some(fd), Some(free)) = (self.fd.take(), self.free.take()) {
            drop(fd);
            free.fetch_add(1, Relaxed);
        }
        let mut next = self.parent.take();
        while let Some(dir) = next {
            next = Arc::into_inner(dir).and_then(|mut dir| dir.parent.take());
        }
    }
}

/// Opens a directory by names, one below the other, that together may be longer than the kernel takes
/// at once.
pub fn open_dir_long(base: &OwnedFd, names: &[&CStr]) -> io::Result<OwnedFd> {
    let mut reached: Option<OwnedFd> = None;
    let mut names = names.iter().peekable();
    while names.peek().is_some() {
        let mut piece = Vec::new();
        while let Some(name) =
            names.next_if(|name| piece.is_empty() || piece.len() + 1 + name.to_bytes().len() <= PATH_PIECE)
        {
            if !piece.is_empty() {
                piece.push(b'/');
            }
            piece.extend_from_slice(name.to_bytes());
        }
        let from = reached.as_ref().unwrap_or(base);
        reached = Some(open_dir_path(from.as_fd(), &piece)?);
    }
    reached.ok_or_else(|| Errno::NOENT.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, File};
    use std::sync::Mutex;
    use std::sync::atomic::AtomicU64;

    #[derive(Default)]
    struct Names {
        count: AtomicU64,
        failed: Mutex<Vec<(PathBuf, String)>>,
    }

    impl Visitor for Names {
        type Tally = u64;

        fn name(&self, tally: &mut u64, found: &Found<'_>) -> io::Result<()> {
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
        for number in 0..CHUNK + 10 {
            File::create(dir.path().join(format!("wide/{number}"))).unwrap();
        }
        std::os::unix::fs::symlink("/", dir.path().join("link")).unwrap();
        let (count, failed) = names(dir.path());
        // wide, sub, its files, a, b, c, the link itself.
        assert_eq!(count, CHUNK as u64 + 10 + 6);
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
