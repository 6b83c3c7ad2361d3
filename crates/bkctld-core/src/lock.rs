//! Locks by `flock(2)` on files below `LOCKDIR`: the kernel releases them when the holder dies, so no crash
//! leaves one behind, and nobody has to decide whether a pid in a file still belongs to the process that
//! wrote it.

use std::ffi::OsStr;
use std::fs::{File, TryLockError};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{CWD, FileType, Mode, OFlags, fstat, openat};
use rustix::io::Errno;

use crate::error::{Error, IoContext, Result};
use crate::{lock_dir, root_only};

/// How many times to retry while a process that only checks the lock holds it.
const ASKERS: u32 = 100;

/// The time to wait for a process that only checks the lock. It releases the lock at once, unless it has to
/// wait for a processor.
const MOMENT: Duration = Duration::from_millis(5);

/// A lock that is held as long as this value lives.
#[derive(Debug)]
pub struct Lock {
    file: File,
    path: PathBuf,
}

impl Lock {
    /// Takes the lock if nobody holds it.
    pub fn try_take(path: &Path) -> Result<Option<Lock>> {
        Lock::try_file(open(path)?, path)
    }

    fn try_file(file: File, path: &Path) -> Result<Option<Lock>> {
        for _ in 0..ASKERS {
            if locked(file.try_lock(), path)? {
                return Ok(Some(Lock { file, path: path.to_path_buf() }));
            }
            // A holder holds the lock exclusively. A process that shares it only checks it, in `is_held`, and
            // is gone in a moment: monitoring must not make a nightly `rm` believe that another one runs.
            if !locked(file.try_lock_shared(), path)? {
                return Ok(None);
            }
            file.unlock().context("cannot unlock", path)?;
            std::thread::sleep(MOMENT);
        }
        Ok(None)
    }

    /// Takes the lock; where another process holds it, calls `waiting` once, then waits.
    pub fn take(path: &Path, waiting: impl FnOnce()) -> Result<Lock> {
        if let Some(lock) = Lock::try_take(path)? {
            return Ok(lock);
        }
        waiting();
        Lock::wait_for(open(path)?, path)
    }

    /// Takes a lock beside its file, in a directory of the program below `DATADIR`.
    pub(crate) fn take_beside(path: &Path) -> Result<Lock> {
        Lock::wait_for(checked(openat(CWD, path, OPEN | OFlags::CREATE, MODE), path)?, path)
    }

    fn wait_for(file: File, path: &Path) -> Result<Lock> {
        file.lock().context("cannot lock", path)?;
        Ok(Lock { file, path: path.to_path_buf() })
    }

    /// Whether a process holds the lock now. Does not change the lock.
    pub fn is_held(path: &Path) -> Result<bool> {
        match open_if_there(path)? {
            Some(file) => Ok(!locked(file.try_lock_shared(), path)?),
            None => Ok(false),
        }
    }

    /// Whether some process holds or shares the lock now.
    pub fn is_shared(path: &Path) -> Result<bool> {
        match open_if_there(path)? {
            Some(file) => Ok(!locked(file.try_lock(), path)?),
            None => Ok(false),
        }
    }

    /// The open file, for handing the lock on to a child process.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// The file of the lock, which tells the locks of one process apart.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Whether the lock could be taken.
fn locked(result: std::result::Result<(), TryLockError>, path: &Path) -> Result<bool> {
    match result {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(error).context("cannot lock", path),
    }
}

const MODE: Mode = Mode::RUSR.union(Mode::WUSR);

// NONBLOCK, because a fifo under this name would block us.
const OPEN: OFlags =
    OFlags::RDWR.union(OFlags::NOFOLLOW).union(OFlags::NONBLOCK).union(OFlags::NOCTTY).union(OFlags::CLOEXEC);

/// Opens the file of a lock below `LOCKDIR`, and creates it if it does not exist.
///
/// # Errors
/// [`Untrusted`](crate::ErrorKind::Untrusted), where others than root could have had a hand in it:
/// [`lock_dir::open`]; a link, or a file that has another name or owner.
pub fn open(path: &Path) -> Result<File> {
    // The file stays: if it were deleted, a process waiting on the old inode and one that creates a new file
    // would both believe that they hold the lock.
    let (dir, name) = split(path)?;
    checked(openat(lock_dir::open_or_make(dir)?, name, OPEN | OFlags::CREATE, MODE), path)
}

fn open_if_there(path: &Path) -> Result<Option<File>> {
    let (dir, name) = split(path)?;
    let Some(dir) = lock_dir::open(dir)? else { return Ok(None) };
    match openat(dir, name, OPEN, Mode::empty()) {
        Err(Errno::NOENT) => Ok(None),
        opened => checked(opened, path).map(Some),
    }
}

fn split(path: &Path) -> Result<(&Path, &OsStr)> {
    match (path.parent(), path.file_name()) {
        (Some(dir), Some(name)) => Ok((dir, name)),
        _ => Err(Errno::INVAL).context("cannot open", path),
    }
}

/// Refuses a file that root did not create here, and to which it would write: it may have been planted when
/// others could still write to the directory.
fn checked(opened: Result<OwnedFd, Errno>, path: &Path) -> Result<File> {
    let planted = |what: &str| {
        Error::untrusted(path, format_args!("is {what}, not a lock file of root")).with_hint("delete it")
    };
    let fd = match opened {
        Err(Errno::LOOP) => return Err(planted("a link")),
        opened => opened.context("cannot open", path)?,
    };
    let stat = fstat(&fd).context("cannot look at", path)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(planted("not a regular file"));
    }
    if stat.st_nlink > 1 || !root_only::is_ours(&stat) {
        return Err(planted("somebody else's file"));
    }
    Ok(File::from(fd))
}
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_held_lock_is_seen_and_refused_until_it_is_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("locks/j.lock");
        assert!(!Lock::is_held(&path).unwrap());
        let lock = Lock::try_take(&path).unwrap().unwrap();
        assert!(Lock::is_held(&path).unwrap());
        assert!(Lock::try_take(&path).unwrap().is_none());
        drop(lock);
        assert!(!Lock::is_held(&path).unwrap());
        let shared = File::open(&path).unwrap();
        shared.lock_shared().unwrap();
        assert!(!Lock::is_held(&path).unwrap() && Lock::is_shared(&path).unwrap());
        drop(shared);
        assert!(!Lock::is_shared(&path).unwrap());
        let mut waited = false;
        Lock::take(&path, || waited = true).unwrap();
        assert!(!waited);
    }

    #[test]
    fn what_was_planted_is_no_lock_and_is_left_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        std::fs::write(at("precious"), "precious").unwrap();
        std::os::unix::fs::symlink("precious", at("link")).unwrap();
        std::fs::hard_link(at("precious"), at("hard")).unwrap();
        std::os::unix::fs::symlink("nowhere", at("dangling")).unwrap();
        for name in ["link", "hard", "dangling"] {
            for refused in [
                Lock::try_take(&at(name)).map(|_| ()),
                Lock::take(&at(name), || ()).map(|_| ()),
                Lock::is_held(&at(name)).map(|_| ()),
                Lock::is_shared(&at(name)).map(|_| ()),
            ] {
                assert!(refused.unwrap_err().to_string().contains("not a lock file of root"), "{name}");
            }
        }
        assert_eq!(std::fs::read(at("precious")).unwrap(), b"precious");
        assert!(!at("nowhere").exists());
    }
}
