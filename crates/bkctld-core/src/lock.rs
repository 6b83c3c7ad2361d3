//! Locks by `flock(2)` on files below `LOCKDIR`: the kernel lets go of them when the holder dies,
//! so no crash leaves one behind, and nobody has to judge whether a pid in a file is still the
//! process that wrote it.

use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::{IoContext, Result};
use crate::file;

/// So often somebody who only asks may be in the way of one who takes the lock.
const ASKERS: u32 = 100;

/// How long to wait for who only asks. It lets go at once, unless it has to wait for a processor.
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
        let file = open(path)?;
        for _ in 0..ASKERS {
            if locked(file.try_lock(), path)? {
                return Ok(Some(Lock { file, path: path.to_path_buf() }));
            }
            // Who holds it holds it alone. One that shares it only asks, in `is_held`, and is gone in
            // a moment: monitoring must not make a nightly `rm` believe that another one runs.
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
        let file = open(path)?;
        file.lock().context("cannot lock", path)?;
        Ok(Lock { file, path: path.to_path_buf() })
    }

    /// Whether some process holds the lock now. Leaves the lock as it is.
    pub fn is_held(path: &Path) -> Result<bool> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error).context("cannot open", path),
        };
        Ok(!locked(file.try_lock_shared(), path)?)
    }

    /// Whether some process holds or shares the lock now.
    pub fn is_shared(path: &Path) -> Result<bool> {
        match File::open(path) {
            Ok(file) => Ok(!locked(file.try_lock(), path)?),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error).context("cannot open", path),
        }
    }

    /// The open file, for handing the lock on to a child process.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Where the lock is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Whether the lock was to be had.
fn locked(result: std::result::Result<(), TryLockError>, path: &Path) -> Result<bool> {
    match result {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(error).context("cannot lock", path),
    }
}

// The file stays: were it removed, a process waiting on the old inode and one that makes a new
// file would both believe that they hold the lock.
fn open(path: &Path) -> Result<File> {
    if let Some(dir) = path.parent() {
        file::make_private_dir(dir, 0o755)?;
    }
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .context("cannot open", path)
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
}
