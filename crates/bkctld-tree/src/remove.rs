//! Deleting a tree: in parallel, of any depth, and to be run again after an interruption.

use std::ffi::{CStr, CString, OsStr};
use std::fmt;
use std::io;
use std::num::NonZeroUsize;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bkctld_sys::btrfs;
use rustix::fs::{
    AtFlags, FileType, IFlags, RenameFlags, ioctl_getflags, ioctl_setflags, renameat_with, statat, unlinkat,
};
use rustix::io::Errno;

use crate::directory::Directory;
use crate::listing::{Entry, Listing, list};
use crate::open::{open_dir, open_dir_below, open_file};
use crate::stat::file_type;
use crate::traversal::{Entered, Found, Here, Traversal, traverse};

/// A directory this deep below the one that is deleted is moved up to its top instead of entered:
/// a client can make a tree deeper than there are descriptors or than a path can say.
const FLATTEN_DEPTH: usize = 64;

/// What could not be deleted first; the rest was gone on with.
#[derive(Debug)]
pub struct Failed {
    /// Where, below the directory that was given.
    pub path: PathBuf,
    /// What the kernel said of it.
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
    let c_name = CString::new(name.as_bytes()).map_err(|_| fail(Errno::INVAL.into()))?;
    let top = match open_dir(at, &c_name) {
        Ok(top) => top,
        Err(error) => match error.raw_os_error().map(Errno::from_raw_os_error) {
            Some(Errno::NOENT) => return Ok(()),
            Some(Errno::NOTDIR | Errno::LOOP) => return unlink(at, &c_name, AtFlags::empty()).map_err(fail),
            _ => return Err(fail(error)),
        },
    };
    let on_btrfs = btrfs::is_btrfs(&top).map_err(fail)?;
    if on_btrfs && btrfs::is_subvolume(&top).map_err(fail)? {
        return btrfs::destroy(at, name, &top).map_err(fail);
    }
    let removal = Removal {
        top: Path::new(name),
        on_btrfs,
        deleted,
        moved: AtomicU64::new(0),
        failed: Mutex::new(None),
    };
    traverse(&removal, Entered { handles: top, notes: (), help: () }, threads);
    if let Some(failed) = removal.failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
        return Err(failed);
    }
    unlink(at, &c_name, AtFlags::REMOVEDIR).map_err(fail)
}

struct Removal<'a> {
    /// The name that was given.
    top: &'a Path,
    on_btrfs: bool,
    deleted: &'a (dyn Fn(u64) + Sync),
    /// How many directories were moved up.
    moved: AtomicU64,
    failed: Mutex<Option<Failed>>,
}

impl Traversal for Removal<'_> {
    type Handles = OwnedFd;
    type Notes = ();
    type Help = ();
    type Hint = ();
    /// How many names are gone.
    type Tally = u64;
    type Error = io::Error;

    // No more are open at once than there are levels to the depth from which directories are moved up, for
    // each thread.
    const HELD: usize = usize::MAX;

    fn enter(
        &self,
        parent: &Arc<Directory<OwnedFd, ()>>,
        name: &CStr,
        (): (),
    ) -> io::Result<Option<Entered<Self>>> {
        let above = self.handles(parent)?;
        let dir = match open_dir(&*above, name) {
            Ok(dir) => dir,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        if self.on_btrfs && btrfs::is_subvolume(&dir)? {
            btrfs::destroy(&*above, OsStr::from_bytes(name.to_bytes()), &dir)?;
            return Ok(None);
        }
        Ok(Some(Entered { handles: dir, notes: (), help: () }))
    }

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
        gone: &mut u64,
        found: &mut Found<'_, Self>,
    ) -> io::Result<()> {
        match is_directory(here.handles, entry) {
            Ok(true) => self.enter_later(here, entry.name, found)?,
            Ok(false) => unlink(here.handles.as_fd(), entry.name, AtFlags::empty())?,
            Err(Errno::NOENT) => {}
            Err(error) => return Err(error.into()),
        }
        *gone += 1;
        Ok(())
    }

    fn add(&self, _: &Directory<OwnedFd, ()>, gone: u64) {
        (self.deleted)(gone);
    }

    /// Deletes the directory, which is empty now.
    fn leave(&self, directory: &Arc<Directory<OwnedFd, ()>>) {
        let Some(parent) = directory.parent() else { return };
        let deleted = self
            .handles(parent)
            .and_then(|above| unlink(above.as_fd(), directory.name(), AtFlags::REMOVEDIR));
        match deleted {
            Ok(()) => {}
            // Something inside is left: that was told already.
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty && self.has_failed() => {}
            Err(error) => self.failed(parent, directory.name(), error),
        }
    }

    fn failed(&self, directory: &Directory<OwnedFd, ()>, name: &CStr, source: io::Error) {
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        if failed.is_none() {
            *failed = Some(Failed { path: self.top.join(directory.path_of(name)), source });
        }
    }
}

impl Removal<'_> {
    fn enter_later(&self, here: &Here<'_, Self>, name: &CStr, found: &mut Found<'_, Self>) -> io::Result<()> {
        if here.directory.depth() < FLATTEN_DEPTH {
            found.enter(here.directory, name.to_owned(), ());
            return Ok(());
        }
        let top = here.directory.topmost();
        let moved = self.move_up(here.handles.as_fd(), name, self.handles(top)?.as_fd())?;
        found.enter(top, moved, ());
        Ok(())
    }

    /// Renames a directory to a new name at the top of the tree.
    fn move_up(&self, from: BorrowedFd<'_>, name: &CStr, top: BorrowedFd<'_>) -> io::Result<CString> {
        let mut thawed = false;
        loop {
            let number = self.moved.fetch_add(1, Ordering::Relaxed);
            let new = CString::new(format!(".moved-up-{number}"))?;
            match renameat_with(from, name, top, &new, RenameFlags::NOREPLACE) {
                Ok(()) => return Ok(new),
                Err(Errno::EXIST) => {}
                Err(Errno::PERM) if !thawed && thaw(from, name) => thawed = true,
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn has_failed(&self) -> bool {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }
}

fn is_directory(dir: &OwnedFd, entry: Entry<'_>) -> rustix::io::Result<bool> {
    match entry.kind {
        FileType::Unknown => {
            let stat = statat(dir, entry.name, AtFlags::SYMLINK_NOFOLLOW)?;
            Ok(file_type(&stat) == FileType::Directory)
        }
        kind => Ok(kind == FileType::Directory),
    }
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
