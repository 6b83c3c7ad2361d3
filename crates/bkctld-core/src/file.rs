//! Reads and replaces small files of configuration and state. No other code opens such a file for writing, so
//! owner, mode and atomicity are decided in one place.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Mode, OFlags, StatxAttributes, StatxFlags, fchmod, fstat, openat, statx};
use rustix::io::Errno;

use crate::error::{Error, IoContext, Result};

/// The maximum size of a configuration file, a policy or a key file in bytes: far above any real one, and low
/// enough that a mistaken path cannot fill the memory.
pub const SMALL_FILE_LIMIT: u64 = 1 << 20;

/// The time by which a written file must be on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sync {
    /// Before the call returns: for what must survive a crash.
    Now,
    /// Whenever the kernel writes it: for files that may be lost in a crash.
    Later,
}

/// Replaces the file by `content`: written beside it with its final mode, synced, renamed into
/// place, and the directory synced, so that a crash leaves the old file or the new one. The owner
/// is whoever runs the program (root).
pub fn replace(path: &Path, mode: u32, content: &[u8]) -> Result<()> {
    replace_with(path, mode, content, Sync::Now)
}

/// Like [`replace`], but if syncing is deferred, a crash may leave the old file, or an empty one.
pub fn replace_with(path: &Path, mode: u32, content: &[u8], sync: Sync) -> Result<()> {
    let dir = parent(path);
    let write = || -> io::Result<()> {
        let mut file = tempfile::Builder::new()
            .prefix(".bkctld-new-")
            .permissions(Permissions::from_mode(mode))
            .tempfile_in(dir)?;
        file.write_all(content)?;
        // The umask has removed bits from the mode at creation.
        file.as_file().set_permissions(Permissions::from_mode(mode))?;
        if sync == Sync::Now {
            file.as_file().sync_all()?;
        }
        file.persist(path).map_err(|error| error.error)?;
        if sync == Sync::Now { File::open(dir)?.sync_all() } else { Ok(()) }
    };
    write().context("cannot write", path)
}

/// Reads a small file that only the administrator can write; `None` if it does not exist.
pub fn read_if_there(path: &Path) -> Result<Option<Vec<u8>>> {
    // Without O_NONBLOCK, a fifo under this name would block us until somebody writes into it.
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    match OpenOptions::new().read(true).custom_flags(flags.bits() as i32).open(path) {
        Ok(file) => read_small(file, path).map(Some),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).context("cannot read", path),
    }
}

/// Reads an open file as [`read_if_there`] does; `path` is for messages.
pub(crate) fn read_small(file: File, path: &Path) -> Result<Vec<u8>> {
    let meta = file.metadata().context("cannot read", path)?;
    if !meta.is_file() {
        return Err(Error::bad_file(path, "is not a regular file"));
    }
    let mut content = Vec::new();
    file.take(SMALL_FILE_LIMIT + 1).read_to_end(&mut content).context("cannot read", path)?;
    if content.len() as u64 > SMALL_FILE_LIMIT {
        let limit = SMALL_FILE_LIMIT >> 10;
        return Err(Error::bad_file(
            path,
            format_args!("is larger than {limit} KiB: too large for such a file"),
        ));
    }
    Ok(content)
}

/// Whether the name exists; a link counts, wherever it leads.
pub fn exists(path: &Path) -> Result<bool> {
    match fs::symlink_metadata(path) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error).context("cannot look at", path),
    }
}

/// Whether a file system is mounted at this path; a link is followed.
pub fn is_mount_point(path: &Path) -> io::Result<bool> {
    let meta = statx(CWD, path, AtFlags::empty(), StatxFlags::empty())?;
    if !meta.stx_attributes_mask.contains(StatxAttributes::MOUNT_ROOT) {
        // Before Linux 5.8, which is too old for the sandboxes, too.
        return Err(Errno::OPNOTSUPP.into());
    }
    Ok(meta.stx_attributes.contains(StatxAttributes::MOUNT_ROOT))
}

/// Deletes a file; a missing file is not an error.
pub fn remove_if_there(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error).context("cannot remove", path),
        _ => Ok(()),
    }
}

/// Renames, and returns when both directories are on disk.
pub fn rename(from: &Path, to: &Path) -> Result<()> {
    fs::rename(from, to).context("cannot rename", from)?;
    sync_dir_of(to)?;
    if parent(from) == parent(to) { Ok(()) } else { sync_dir_of(from) }
}

/// Syncs the change of a name to disk.
pub fn sync_dir_of(path: &Path) -> Result<()> {
    let dir = parent(path);
    File::open(dir).and_then(|dir| dir.sync_all()).context("cannot sync", dir)
}

/// Creates the directory and its parents, with mode 0755 minus the umask; an existing one is fine.
pub fn make_dir(path: &Path) -> Result<()> {
    fs::create_dir_all(path).context("cannot create directory", path)
}

/// Creates the directory with this mode regardless of the umask; an existing one keeps its mode.
pub fn make_private_dir(path: &Path, mode: u32) -> Result<()> {
    make_dir(parent(path))?;
    match fs::create_dir(path) {
        Ok(()) => {
            fs::set_permissions(path, Permissions::from_mode(mode)).context("cannot set the mode of", path)
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error).context("cannot create directory", path),
    }
}

/// Closes an existing directory to all users but root. A link in its place was made by the administrator and
/// is left alone. The directory is opened first, so that the checked one is the changed one.
pub fn close_to_others(dir: &Path) -> Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let fd = match openat(CWD, dir, flags, Mode::empty()) {
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(()),
        opened => opened.context("cannot open", dir)?,
    };
    let stat = fstat(&fd).context("cannot look at", dir)?;
    if stat.st_mode & 0o077 == 0 {
        return Ok(());
    }
    fchmod(&fd, Mode::RWXU).context("cannot set the mode of", dir)
}

fn parent(path: &Path) -> &Path {
    path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replace_sets_the_mode_and_leaves_nothing_beside_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys");
        replace(&path, 0o600, b"one").unwrap();
        replace(&path, 0o640, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o640);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_that_is_too_large_or_no_file_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("big");
        File::create(&path).unwrap().set_len(SMALL_FILE_LIMIT + 1).unwrap();
        assert!(read_if_there(&path).unwrap_err().to_string().contains("larger than"));
        assert!(read_if_there(dir.path()).unwrap_err().to_string().contains("not a regular file"));
        assert_eq!(read_if_there(&dir.path().join("none")).unwrap(), None);
    }
}
