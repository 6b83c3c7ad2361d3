//! Opening what is in a directory, by name, and never anything else than what is in it.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags, fstat, openat, openat2};
use rustix::io::Errno;

use crate::stat::file_type;

/// What the kernel must refuse on the way to a name below a directory: links of any kind, ways out
/// of the directory, and other mounts (`EXDEV`; a btrfs subvolume is no other mount).
const BENEATH: ResolveFlags = ResolveFlags::BENEATH
    .union(ResolveFlags::NO_SYMLINKS)
    .union(ResolveFlags::NO_MAGICLINKS)
    .union(ResolveFlags::NO_XDEV);

const DIR: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::NOATIME)
    .union(OFlags::CLOEXEC);

// NONBLOCK: the file may be under a lease that the client holds. Followed is the magic link of a
// descriptor, no name of the client's.
const FILE: OFlags = OFlags::RDONLY
    .union(OFlags::NONBLOCK)
    .union(OFlags::NOCTTY)
    .union(OFlags::NOATIME)
    .union(OFlags::CLOEXEC);

const HOLD: OFlags = OFlags::PATH.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// The longest path that is opened at once, in bytes: below the kernel's `PATH_MAX`.
const PATH_PIECE: usize = 4000;

/// How often `EAGAIN`, which `openat2` returns when a rename elsewhere in the system overlaps, is
/// tried again.
const RETRIES: usize = 64;

/// Opens the directory `name` (one component) below `at` for reading, without a trace in its atime.
///
/// Errors: `ENOTDIR` or `ELOOP` when it is no directory, `EXDEV` when it is a mount point.
pub fn open_dir(at: impl AsFd, name: &CStr) -> io::Result<OwnedFd> {
    resolve(at, name.to_bytes(), DIR)
}

/// Opens the regular file `name` (one component) below `at` for reading, without a trace in its atime.
///
/// Errors: those of [`open_held`]; `ELOOP` when it is a link, `EXDEV` when it is a mount point.
pub fn open_file(at: impl AsFd, name: &CStr) -> io::Result<OwnedFd> {
    open_held(resolve(at, name.to_bytes(), HOLD)?)
}

/// Opens for reading what [`hold`] took hold of, if it is a regular file. Anything else is never opened:
/// to open a device can do something (rewind a tape, arm a watchdog), and where there was a file a moment
/// ago a client in compat isolation can put one. Never blocks.
///
/// Errors: `ENXIO` when it is no regular file, `EWOULDBLOCK` when another process holds a lease on it.
pub fn open_held(held: impl AsFd) -> io::Result<OwnedFd> {
    let held = held.as_fd();
    if file_type(&fstat(held)?) != FileType::RegularFile {
        return Err(Errno::NXIO.into());
    }
    // By its name in /proc, which leads to this very inode whatever has its own name by now.
    let itself = format!("/proc/self/fd/{}", held.as_raw_fd());
    loop {
        match openat(CWD, &itself, FILE, Mode::empty()) {
            Err(Errno::INTR) => {}
            done => return Ok(done?),
        }
    }
}

/// Takes hold of what `path` (of several components, shorter than `PATH_MAX`) names below `at`,
/// without opening it: of any type, a link itself included. A device does not notice, a fifo does not
/// block. Other mounts may lie on the way, since only an administrator can have put them there.
///
/// Errors: `ELOOP` when there is a link on the way, `ENOTDIR`, `ENOENT`.
pub fn hold(at: impl AsFd, path: &[u8]) -> io::Result<OwnedFd> {
    resolve_in(at, path, HOLD, BENEATH.difference(ResolveFlags::NO_XDEV))
}

fn resolve(at: impl AsFd, path: &[u8], flags: OFlags) -> io::Result<OwnedFd> {
    resolve_in(at, path, flags, BENEATH)
}

fn resolve_in(at: impl AsFd, path: &[u8], flags: OFlags, how: ResolveFlags) -> io::Result<OwnedFd> {
    for _ in 0..RETRIES {
        match openat2(at.as_fd(), path, flags, Mode::empty(), how) {
            Err(Errno::AGAIN | Errno::INTR) => {}
            done => return Ok(done?),
        }
    }
    Err(Errno::AGAIN.into())
}

/// Opens a directory by names, one below the other, that together may be longer than the kernel takes
/// at once.
pub fn open_dir_below(base: impl AsFd, names: &[&CStr]) -> io::Result<OwnedFd> {
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
        let from = reached.as_ref().map_or(base.as_fd(), AsFd::as_fd);
        reached = Some(resolve(from, &piece, DIR)?);
    }
    reached.ok_or_else(|| Errno::NOENT.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::CString;
    use std::fs::{self, File};
    use std::os::unix::ffi::OsStrExt;

    use rustix::fs::inotify;
    use rustix::fs::mknodat;

    /// What the kernel saw being opened while `act` ran on the name.
    fn opened(path: &std::path::Path, act: impl FnOnce(&File, &CStr)) -> bool {
        let watch = inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK).unwrap();
        inotify::add_watch(&watch, path, inotify::WatchFlags::OPEN).unwrap();
        let dir = File::open(path.parent().unwrap()).unwrap();
        let name = CString::new(path.file_name().unwrap().as_bytes()).unwrap();
        act(&dir, &name);
        rustix::io::read(&watch, &mut [0_u8; 512]).is_ok()
    }

    #[test]
    fn only_a_regular_file_is_ever_opened() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::write(at("file"), "x").unwrap();
        assert!(opened(&at("file"), |dir, name| drop(open_file(dir, name).unwrap())));
        let mut others = vec![("fifo", FileType::Fifo, 0)];
        if rustix::process::geteuid().is_root() {
            others.push(("device", FileType::CharacterDevice, rustix::fs::makedev(1, 3)));
        }
        for (name, kind, number) in others {
            mknodat(CWD, at(name), kind, Mode::RUSR, number).unwrap();
            let seen = opened(&at(name), |dir, name| {
                let error = open_file(dir, name).unwrap_err();
                assert_eq!(error.raw_os_error(), Some(Errno::NXIO.raw_os_error()), "{name:?}");
            });
            assert!(!seen, "a {name} was opened");
        }
        fs::create_dir(at("dir")).unwrap();
        assert!(open_file(File::open(dir.path()).unwrap(), c"dir").is_err());
    }
}
