//! Deleting a tree: in parallel, of any depth, and to be run again after an interruption.

use std::ffi::{CStr, CString, OsStr, OsString};
use std::fmt;
use std::io;
use std::num::NonZeroUsize;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::{
    AtFlags, FileType, IFlags, RenameFlags, ioctl_getflags, ioctl_setflags, renameat_with, statat, unlinkat,
};
use rustix::io::Errno;

use crate::{Entry, Listing, list, open_dir, open_file, pass, work};
use bkctld_sys::btrfs;

/// A directory this deep below the one that is deleted is moved up to its top instead of entered:
/// a client can make a tree deeper than there are descriptors or than a path can say.
const FLATTEN_DEPTH: usize = 64;

/// How many names one task deletes: the names of a huge directory are shared among the threads.
const CHUNK: usize = 4096;

/// What could not be deleted first; the rest was gone on with.
#[derive(Debug)]
pub struct Failed {
    /// Where, below the directory that was given.
    pub path: PathBuf,
    /// What the kernel said.
    pub source: io::Error,
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot delete {:?}: {}", self.path, self.source)
    }
}

impl std::error::Error for Failed {}

/// Deletes `name` (one component) below `at` with all that is in it; nothing there is fine.
///
/// Links are deleted, never followed; btrfs subvolumes are destroyed with all that are nested in
/// them; an immutable or append-only flag is cleared; a mount point is an error (`EXDEV`). After an
/// error the rest is deleted all the same, and a second call goes on where this one stopped.
/// `deleted` is told from time to time how many more names are gone.
pub fn remove(
    at: impl AsFd,
    name: &OsStr,
    threads: NonZeroUsize,
    deleted: &(dyn Fn(u64) + Sync),
) -> Result<(), Failed> {
    let at = at.as_fd();
    let fail = |source| Failed { path: PathBuf::from(name), source };
    let name_c = CString::new(name.as_bytes()).map_err(|_| fail(Errno::INVAL.into()))?;
    let fd = match open_dir(at, &name_c) {
        Ok(fd) => fd,
        Err(error) => match error.raw_os_error().map(Errno::from_raw_os_error) {
            Some(Errno::NOENT) => return Ok(()),
            Some(Errno::NOTDIR | Errno::LOOP) => return unlink(at, &name_c, AtFlags::empty()).map_err(fail),
            _ => return Err(fail(error)),
        },
    };
    let on_btrfs = btrfs::is_btrfs(&fd).map_err(fail)?;
    if on_btrfs && btrfs::is_subvolume(&fd).map_err(fail)? {
        return btrfs::destroy(at, name, &fd).map_err(fail);
    }
    let top =
        Arc::new(Dir { parent: None, name: name_c.clone(), fd, depth: 0, pending: AtomicUsize::new(1) });
    let removal =
        Removal { top: top.clone(), on_btrfs, deleted, moved: AtomicU64::new(0), failed: Mutex::new(None) };
    work(threads, Task::Scan(top), |task, found| removal.run(task, found));
    if let Some(failed) = removal.failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
        return Err(failed);
    }
    unlink(at, &name_c, AtFlags::REMOVEDIR).map_err(fail)
}

struct Dir {
    parent: Option<Arc<Dir>>,
    name: CString,
    fd: OwnedFd,
    depth: usize,
    // What is still to be done before the directory is empty; whoever brings it to 0 removes it.
    pending: AtomicUsize,
}

enum Task {
    Enter(Arc<Dir>, CString),
    Scan(Arc<Dir>),
    Chunk(Arc<Dir>, Arc<Listing>, usize),
}

struct Removal<'a> {
    top: Arc<Dir>,
    on_btrfs: bool,
    deleted: &'a (dyn Fn(u64) + Sync),
    moved: AtomicU64,
    failed: Mutex<Option<Failed>>,
}

impl Removal<'_> {
    fn run(&self, task: Task, found: &mut Vec<Task>) {
        match task {
            Task::Enter(parent, name) => match self.enter(&parent, &name) {
                Ok(Some(dir)) => self.scan(dir, found),
                Ok(None) => self.finish(parent),
                Err(error) => {
                    self.fail(&parent, &name, error);
                    self.finish(parent);
                }
            },
            Task::Scan(dir) => self.scan(dir, found),
            Task::Chunk(dir, listing, from) => {
                self.delete(&dir, listing.range(from, from + CHUNK), found);
                self.finish(dir);
            }
        }
    }

    /// Opens a directory to be emptied; `None` where it is gone at once.
    fn enter(&self, parent: &Arc<Dir>, name: &CStr) -> io::Result<Option<Arc<Dir>>> {
        let fd = match open_dir(&parent.fd, name) {
            Ok(fd) => fd,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        if self.on_btrfs && btrfs::is_subvolume(&fd)? {
            btrfs::destroy(&parent.fd, OsStr::from_bytes(name.to_bytes()), &fd)?;
            return Ok(None);
        }
        Ok(Some(Arc::new(Dir {
            parent: Some(parent.clone()),
            name: name.to_owned(),
            fd,
            depth: parent.depth + 1,
            pending: AtomicUsize::new(1),
        })))
    }

    fn scan(&self, dir: Arc<Dir>, found: &mut Vec<Task>) {
        match list(&dir.fd) {
            Ok(listing) if listing.len() <= CHUNK => {
                self.delete(&dir, listing.range(0, CHUNK), found);
            }
            Ok(listing) => {
                let listing = Arc::new(listing);
                for from in (0..listing.len()).step_by(CHUNK) {
                    dir.pending.fetch_add(1, Ordering::Relaxed);
                    found.push(Task::Chunk(dir.clone(), listing.clone(), from));
                }
            }
            Err(error) => self.fail(&dir, c"", error),
        }
        self.finish(dir);
    }

    fn delete<'e>(&self, dir: &Arc<Dir>, entries: impl Iterator<Item = Entry<'e>>, found: &mut Vec<Task>) {
        let mut gone = 0;
        for entry in entries {
            pass();
            match self.delete_one(dir, entry, found) {
                Ok(()) => gone += 1,
                Err(error) => self.fail(dir, entry.name, error),
            }
        }
        (self.deleted)(gone);
    }

    fn delete_one(&self, dir: &Arc<Dir>, entry: Entry<'_>, found: &mut Vec<Task>) -> io::Result<()> {
        let is_dir = match entry.kind {
            FileType::Directory => true,
            FileType::Unknown => match statat(&dir.fd, entry.name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => FileType::from_raw_mode(stat.st_mode) == FileType::Directory,
                Err(Errno::NOENT) => return Ok(()),
                Err(error) => return Err(error.into()),
            },
            _ => false,
        };
        if !is_dir {
            return unlink(dir.fd.as_fd(), entry.name, AtFlags::empty());
        }
        let (parent, name) = if dir.depth >= FLATTEN_DEPTH {
            (&self.top, self.move_up(dir, entry.name)?)
        } else {
            (dir, entry.name.to_owned())
        };
        parent.pending.fetch_add(1, Ordering::Relaxed);
        found.push(Task::Enter(parent.clone(), name));
        Ok(())
    }

    /// Renames a directory to a new name at the top of the tree.
    fn move_up(&self, dir: &Dir, name: &CStr) -> io::Result<CString> {
        let mut thawed = false;
        loop {
            let number = self.moved.fetch_add(1, Ordering::Relaxed);
            let new = CString::new(format!(".moved-up-{number}"))?;
            match renameat_with(&dir.fd, name, &self.top.fd, &new, RenameFlags::NOREPLACE) {
                Ok(()) => return Ok(new),
                Err(Errno::EXIST) => {}
                Err(Errno::PERM) if !thawed && thaw(dir.fd.as_fd(), name) => thawed = true,
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Notes that one thing of the directory is done, and removes what thereby became empty, upwards.
    fn finish(&self, mut dir: Arc<Dir>) {
        while dir.pending.fetch_sub(1, Ordering::AcqRel) == 1 {
            let Some(parent) = dir.parent.clone() else { return };
            match unlink(parent.fd.as_fd(), &dir.name, AtFlags::REMOVEDIR) {
                Ok(()) => {}
                // Something inside is left: that was told already.
                Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty && self.has_failed() => {}
                Err(error) => self.fail(&parent, &dir.name, error),
            }
            dir = parent;
        }
    }

    fn has_failed(&self) -> bool {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    fn fail(&self, dir: &Dir, name: &CStr, source: io::Error) {
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        if failed.is_none() {
            *failed = Some(Failed { path: path_of(dir, name), source });
        }
    }
}

fn path_of(dir: &Dir, name: &CStr) -> PathBuf {
    let mut names = vec![name];
    let mut at = Some(dir);
    while let Some(dir) = at {
        names.push(&dir.name);
        at = dir.parent.as_deref();
    }
    names.iter().rev().map(|name| OsString::from_vec(name.to_bytes().to_vec())).collect()
}

fn unlink(at: BorrowedFd<'_>, name: &CStr, flags: AtFlags) -> io::Result<()> {
    match unlinkat(at, name, flags) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(Errno::PERM) if thaw(at, name) => Ok(unlinkat(at, name, flags)?),
        Err(error) => Err(error.into()),
    }
}

/// Clears the flags that forbid deletion (`chattr +i`, `+a`) from the entry and its directory.
/// Whether there was one.
fn thaw(at: BorrowedFd<'_>, name: &CStr) -> bool {
    let clear = |fd: BorrowedFd<'_>| {
        let frozen = IFlags::IMMUTABLE | IFlags::APPEND;
        match ioctl_getflags(fd) {
            Ok(flags) if flags.intersects(frozen) => ioctl_setflags(fd, flags - frozen).is_ok(),
            _ => false,
        }
    };
    // Only a file or directory is asked: to a device the number of the request may mean anything.
    let here = open_file(at, name).or_else(|_| open_dir(at, name)).is_ok_and(|fd| clear(fd.as_fd()));
    clear(at) || here
}
