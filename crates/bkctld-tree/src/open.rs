//! Opening and listing one directory.

use std::ffi::CStr;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use rustix::fs::{CWD, FileType, Mode, OFlags, RawDir, ResolveFlags, SeekFrom, fstat, openat, openat2, seek};
use rustix::io::Errno;

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

const LOOK: OFlags = OFlags::PATH.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// How often `EAGAIN`, which `openat2` returns when a rename elsewhere in the system overlaps, is
/// tried again.
const RETRIES: usize = 64;

/// Opens the directory `name` (one component) below `at` for reading, without a trace in its atime.
///
/// Errors: `ENOTDIR` or `ELOOP` when it is no directory, `EXDEV` when it is a mount point.
pub fn open_dir(at: impl AsFd, name: &CStr) -> io::Result<OwnedFd> {
    resolve(at, name.to_bytes(), DIR)
}

/// As [`open_dir`], for a path of several components; it must be shorter than `PATH_MAX`.
pub fn open_dir_path(at: impl AsFd, path: &[u8]) -> io::Result<OwnedFd> {
    resolve(at, path, DIR)
}

/// Opens the regular file `name` (one component) below `at` for reading, without a trace in its atime.
///
/// Errors: those of [`open_held`]; `ELOOP` when it is a link, `EXDEV` when it is a mount point.
pub fn open_file(at: impl AsFd, name: &CStr) -> io::Result<OwnedFd> {
    open_held(resolve(at, name.to_bytes(), LOOK)?)
}

/// Opens for reading what [`look`] took hold of, if it is a regular file. Anything else is never opened:
/// to open a device can do something (rewind a tape, arm a watchdog), and where there was a file a moment
/// ago a client in compat isolation can put one. Never blocks.
///
/// Errors: `ENXIO` when it is no regular file, `EWOULDBLOCK` when another process holds a lease on it.
pub fn open_held(held: impl AsFd) -> io::Result<OwnedFd> {
    let held = held.as_fd();
    if FileType::from_raw_mode(fstat(held)?.st_mode) != FileType::RegularFile {
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
pub fn look(at: impl AsFd, path: &[u8]) -> io::Result<OwnedFd> {
    resolve_in(at, path, LOOK, BENEATH.difference(ResolveFlags::NO_XDEV))
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

/// The names in a directory, without `.` and `..`.
#[derive(Debug, Default)]
pub struct Listing {
    // One allocation for all names, each with its NUL: a directory may hold millions.
    names: Vec<u8>,
    entries: Vec<Item>,
}

#[derive(Clone, Copy, Debug)]
struct Item {
    ino: u64,
    at: usize,
    len: u16,
    kind: FileType,
}

/// One name of a [`Listing`].
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// The name, one component.
    pub name: &'a CStr,
    /// The type as the directory has it; [`FileType::Unknown`] on file systems that do not tell.
    pub kind: FileType,
}

impl Listing {
    /// How many names there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The names from `from` to before `to`, in the order of their inodes.
    pub fn range(&self, from: usize, to: usize) -> impl Iterator<Item = Entry<'_>> {
        self.entries[from..to.min(self.entries.len())].iter().map(|item| Entry {
            name: CStr::from_bytes_until_nul(&self.names[item.at..item.at + usize::from(item.len)])
                .unwrap_or_default(),
            kind: item.kind,
        })
    }
}

/// Lists an open directory, in the order of the inodes, which is the order in which most file
/// systems keep them on disk: touching the entries in the directory's own order (a hash's, on ext4)
/// would jump about.
pub fn list(dir: impl AsFd) -> io::Result<Listing> {
    // Another descriptor of the same opening may have listed it before.
    seek(dir.as_fd(), SeekFrom::Start(0))?;
    let mut listing = Listing::default();
    let mut buffer = [MaybeUninit::uninit(); 32 << 10];
    let mut raw = RawDir::new(dir.as_fd(), &mut buffer);
    while let Some(entry) = raw.next() {
        let entry = entry?;
        let name = entry.file_name().to_bytes_with_nul();
        if matches!(name, b".\0" | b"..\0") {
            continue;
        }
        let len = u16::try_from(name.len()).map_err(|_| io::Error::from(Errno::NAMETOOLONG))?;
        listing.entries.push(Item {
            ino: entry.ino(),
            at: listing.names.len(),
            len,
            kind: entry.file_type(),
        });
        listing.names.extend_from_slice(name);
        // A directory can have millions.
        if listing.entries.len().is_multiple_of(1024) {
            crate::pass();
        }
    }
    listing.entries.sort_unstable_by_key(|item| item.ino);
    Ok(listing)
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
