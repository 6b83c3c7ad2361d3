//! Which process holds a lock: it writes its number into the lock's file, and who wants to signal it reads it there.

use std::io::{Seek, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::error::{IoContext, Result};
use crate::lock::Lock;

/// Writes the own process id into a lock that was just taken.
pub fn sign(lock: &Lock) -> Result<()> {
    let mut file = lock.file();
    let mut write = || -> std::io::Result<()> {
        file.set_len(0)?;
        file.rewind()?;
        writeln!(file, "{}", std::process::id())
    };
    write().context("cannot write", lock.path())
}

/// The process that holds the lock. Its number stands in the file, and is believed only of a
/// process that has that very file open, so that a number given anew to a stranger harms nobody.
pub(super) fn find(lock: &Path) -> Result<Option<OwnedFd>> {
    if !Lock::is_held(lock)? {
        return Ok(None);
    }
    let content = std::fs::read_to_string(lock).context("cannot read", lock)?;
    let Some(pid) = content.trim_end().parse().ok().and_then(Pid::from_raw) else { return Ok(None) };
    let Ok(process) = pidfd_open(pid, PidfdFlags::empty()) else { return Ok(None) };
    // After the descriptor was opened, so that it is of the process that is looked at.
    Ok(has_open(pid, lock).then_some(process))
}

fn has_open(pid: Pid, path: &Path) -> bool {
    let Ok(wanted) = std::fs::metadata(path) else { return false };
    let Ok(fds) = std::fs::read_dir(format!("/proc/{}/fd", pid.as_raw_nonzero())) else { return false };
    fds.filter_map(|fd| std::fs::metadata(fd.ok()?.path()).ok())
        .any(|meta| meta.dev() == wanted.dev() && meta.ino() == wanted.ino())
}
