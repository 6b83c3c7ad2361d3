//! One inode of the live tree made anew in the inc. The client may change, replace or remove it
//! meanwhile: then it is left out, or noted as changed, and never trusted by the next inc.

use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use bkctld_sys::writers::has_writers;
use bkctld_tree::stat::{FsTime, Inode, atime, ctime, disk_bytes, file_type, mtime};
use bkctld_tree::xattr::Xattrs;
use bkctld_tree::{give_way, open_file, wait_aside};
use rustix::fs::{
    AtFlags, FileType, Gid, Mode, OFlags, SeekFrom, Stat, Timespec, Timestamps, Uid, chmodat, chownat,
    copy_file_range, fchmod, fchown, fstat, ftruncate, futimens, ioctl_ficlone, mknodat, openat, readlinkat,
    seek, statat, symlinkat, unlinkat, utimensat,
};
use rustix::io::Errno;

use super::signature::Signature;

/// Files up to this size are read and written whole, in bytes.
const SMALL: u64 = 64 << 10;
/// How much one call copies, in bytes: after each the making can be given up, or other trees have their turn.
const STEP: u64 = 4 << 20;
/// How often, in the making of one tree, it is waited for processes that hold leases on files, and how
/// long each time. A client can hold one on each of its files.
const LEASE_WAITS: usize = 100;
const LEASE_WAIT: Duration = Duration::from_millis(20);

/// Why something of the live tree is not in the inc as it is now.
#[derive(Debug)]
pub(super) enum Skip {
    /// Removed, or replaced by something of another type, while it was looked at.
    Vanished,
    /// It cannot be read, for this reason.
    Unreadable(io::Error),
    /// Another file system is mounted there.
    MountPoint,
    /// The name came up twice, since the client moved it about.
    Twice,
    /// A process of the client's holds a lease on it, and does not let go.
    Leased,
}

/// Why an inode was not copied.
#[derive(Debug)]
pub(super) enum Failure {
    /// For a reason that lies in the live tree: the rest is gone on with.
    Skip(Skip),
    /// For a reason that lies in the inc or in the machine: there is no use in going on.
    Fatal(io::Error),
    /// The making was given up.
    GivenUp,
}

/// What was made of a live inode.
#[derive(Debug)]
pub(super) struct Copied {
    /// What the live inode was.
    pub(super) stat: Stat,
    /// Whether it changed while it was read.
    pub(super) changed: bool,
    /// Whether somebody could write to it while it was read; nothing where nobody can tell.
    pub(super) writers: Option<bool>,
    /// Whether the data is shared with the live file by the file system.
    pub(super) cloned: bool,
    /// Attributes that the inc's file system did not take.
    pub(super) attributes: Option<io::Error>,
    /// Bytes that were read and written, not cloned.
    pub(super) bytes: u64,
}

/// How inodes are copied from one file system to another.
#[derive(Debug)]
pub(super) struct Copier {
    // Cleared by the first file that shows that the file system cannot.
    can_clone: AtomicBool,
    given_up: AtomicBool,
    lease_waits: AtomicUsize,
    no_leases: OnceLock<io::Error>,
}

/// Whether it is this process or the machine that lacks something, which says nothing about the tree: to
/// go on would make an inc that lacks whatever came up in that moment.
pub(super) fn is_shortage(error: &io::Error) -> bool {
    let error = error.raw_os_error().map(Errno::from_raw_os_error);
    matches!(error, Some(Errno::MFILE | Errno::NFILE | Errno::NOMEM))
}

/// What an error in the live tree says of a name: usually that it is no longer what it was.
pub(super) fn live_failure(error: impl Into<io::Error>) -> Failure {
    let error = error.into();
    if is_shortage(&error) {
        return Failure::Fatal(error);
    }
    Failure::Skip(match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::STALE | Errno::NXIO) => Skip::Vanished,
        Some(Errno::XDEV) => Skip::MountPoint,
        _ => Skip::Unreadable(error),
    })
}

/// What an error says that came up when a name was to be made in the inc.
pub(super) fn creation_failure(error: impl Into<io::Error>) -> Failure {
    let error = error.into();
    if error.kind() == io::ErrorKind::AlreadyExists {
        Failure::Skip(Skip::Twice)
    } else {
        Failure::Fatal(error)
    }
}

impl Copier {
    pub(super) fn new() -> Copier {
        Copier {
            can_clone: AtomicBool::new(true),
            given_up: AtomicBool::new(false),
            lease_waits: AtomicUsize::new(LEASE_WAITS),
            no_leases: OnceLock::new(),
        }
    }

    /// Why the kernel does not tell whether files are being written to, if so.
    pub(super) fn into_no_leases(self) -> Option<io::Error> {
        self.no_leases.into_inner()
    }

    /// Ends every copy soon, also of a huge file.
    pub(super) fn give_up(&self) {
        self.given_up.store(true, Relaxed);
    }

    pub(super) fn given_up(&self) -> bool {
        self.given_up.load(Relaxed)
    }

    /// Copies what `stat` says is `name` in `from`, anything but a directory, to the same name in
    /// `to`.
    pub(super) fn copy(
        &self,
        from: &OwnedFd,
        to: &OwnedFd,
        name: &CStr,
        stat: &Stat,
    ) -> Result<Copied, Failure> {
        match file_type(stat) {
            FileType::RegularFile => self.regular(from, to, name),
            _ => special(from, to, name, stat),
        }
    }

    fn regular(&self, from: &OwnedFd, to: &OwnedFd, name: &CStr) -> Result<Copied, Failure> {
        let source = self.open_patiently(from, name)?;
        // Before the file is looked at: a write sets the ctime first and brings its data later, and one
        // that ended while the copy was made would show in neither of the looks.
        let writers = self.writers(&source);
        let stat = fstat(&source).map_err(live_failure)?;
        let xattrs = Xattrs::read(&source).map_err(live_failure)?;
        let create = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let target = openat(to, name, create, Mode::RUSR | Mode::WUSR).map_err(creation_failure)?;
        let target = File::from(target);
        let filled = self.fill(&File::from(source), &target, &stat).and_then(|(source, cloned, bytes)| {
            let after = fstat(source).map_err(live_failure)?;
            let changed = Signature::from_stat(&after) != Signature::from_stat(&stat);
            let attributes = copy_metadata(&stat, &xattrs, target.as_fd()).map_err(Failure::Fatal)?;
            Ok(Copied { stat, changed, writers, cloned, attributes, bytes })
        });
        if let Err(Failure::Skip(_)) = filled {
            unlinkat(to, name, AtFlags::empty()).map_err(|error| Failure::Fatal(error.into()))?;
        }
        filled
    }

    /// A client can hold a lease on a file of its own, which makes opening it wait: the kernel asks the
    /// holder to let go, and the open is tried again for a moment, not for ever.
    fn open_patiently(&self, dir: &OwnedFd, name: &CStr) -> Result<OwnedFd, Failure> {
        loop {
            match open_file(dir, name) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let left = |left: usize| left.checked_sub(1);
                    if self.lease_waits.fetch_update(Relaxed, Relaxed, left).is_err() {
                        return Err(Failure::Skip(Skip::Leased));
                    }
                    wait_aside(|| std::thread::sleep(LEASE_WAIT));
                }
                done => return done.map_err(live_failure),
            }
        }
    }

    fn writers(&self, source: &OwnedFd) -> Option<bool> {
        has_writers(source).map_err(|error| self.no_leases.get_or_init(|| error)).ok()
    }

    /// Fills the new file. Gives back the source, whether it was cloned, and the bytes copied.
    fn fill<'f>(
        &self,
        source: &'f File,
        target: &File,
        stat: &Stat,
    ) -> Result<(&'f File, bool, u64), Failure> {
        let size = u64::try_from(stat.st_size).unwrap_or(0);
        if size == 0 {
            return Ok((source, false, 0));
        }
        if self.can_clone.load(Relaxed) {
            match ioctl_ficlone(target, source) {
                Ok(()) => return Ok((source, true, 0)),
                Err(Errno::OPNOTSUPP | Errno::XDEV | Errno::NOTTY | Errno::NOSYS) => {
                    self.can_clone.store(false, Relaxed);
                }
                Err(error @ (Errno::NOSPC | Errno::DQUOT)) => return Err(Failure::Fatal(error.into())),
                // This file cannot, such as one without checksums on btrfs.
                Err(_) => {}
            }
        }
        let dense = disk_bytes(stat) >= size;
        let bytes = if size <= SMALL && dense {
            self.by_hand(source, target, 0, size)?
        } else {
            let bytes = self.extents(source, target, size)?;
            // A hole at the end.
            ftruncate(target, size).map_err(|error| Failure::Fatal(error.into()))?;
            bytes
        };
        Ok((source, false, bytes))
    }

    /// Copies what is not a hole.
    fn extents(&self, source: &File, target: &File, size: u64) -> Result<u64, Failure> {
        let mut at = 0;
        let mut bytes = 0;
        while at < size {
            let from = match seek(source, SeekFrom::Data(at)) {
                Ok(from) => from.min(size),
                Err(Errno::NXIO) => break,
                // A file system that knows no holes.
                Err(Errno::INVAL) => at,
                Err(error) => return Err(live_failure(error)),
            };
            let to = match seek(source, SeekFrom::Hole(from)) {
                Ok(to) => to.min(size),
                // The file became shorter meanwhile.
                Err(Errno::NXIO) => break,
                Err(Errno::INVAL) => size,
                Err(error) => return Err(live_failure(error)),
            };
            bytes += self.range(source, target, from, to)?;
            // Data and hole at one place would mean a hole of no length: go on past it.
            at = to.max(at + 1);
        }
        Ok(bytes)
    }

    fn range(&self, source: &File, target: &File, from: u64, to: u64) -> Result<u64, Failure> {
        let mut at = from;
        while at < to {
            self.check()?;
            let len = usize::try_from((to - at).min(STEP)).unwrap_or(usize::MAX);
            let (mut source_at, mut target_at) = (at, at);
            match copy_file_range(source, Some(&mut source_at), target, Some(&mut target_at), len) {
                Ok(0) => break,
                Ok(n) => at += n as u64,
                Err(error @ (Errno::NOSPC | Errno::DQUOT | Errno::FBIG)) => {
                    return Err(Failure::Fatal(error.into()));
                }
                // Reading and writing show which side it is, or work where the call does not.
                Err(_) => return Ok(at - from + self.by_hand(source, target, at, to)?),
            }
        }
        Ok(at - from)
    }

    fn by_hand(&self, source: &File, target: &File, from: u64, to: u64) -> Result<u64, Failure> {
        let mut buffer = vec![0; usize::try_from((to - from).min(SMALL)).unwrap_or(0)];
        let mut at = from;
        while at < to {
            self.check()?;
            let want = buffer.len().min(usize::try_from(to - at).unwrap_or(usize::MAX));
            match source.read_at(&mut buffer[..want], at) {
                Ok(0) => break,
                Ok(n) => {
                    target.write_all_at(&buffer[..n], at).map_err(Failure::Fatal)?;
                    at += n as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(live_failure(error)),
            }
        }
        Ok(at - from)
    }

    fn check(&self) -> Result<(), Failure> {
        give_way();
        if self.given_up() { Err(Failure::GivenUp) } else { Ok(()) }
    }
}

/// A symbolic link, fifo, socket or device.
fn special(from: &OwnedFd, to: &OwnedFd, name: &CStr, stat: &Stat) -> Result<Copied, Failure> {
    let target = match file_type(stat) {
        FileType::Symlink => Some(readlinkat(from, name, Vec::new()).map_err(live_failure)?),
        _ => None,
    };
    let xattrs = Xattrs::read_name(from, name).map_err(live_failure)?;
    let after = statat(from, name, AtFlags::SYMLINK_NOFOLLOW).map_err(live_failure)?;
    if (Inode::from_stat(&after), ctime(&after)) != (Inode::from_stat(stat), ctime(stat)) {
        return Err(Failure::Skip(Skip::Vanished));
    }
    match &target {
        Some(target) => symlinkat(target.as_c_str(), to, name).map_err(creation_failure)?,
        None => {
            let mode = Mode::from_raw_mode(stat.st_mode);
            mknodat(to, name, file_type(stat), mode & Mode::RWXU, stat.st_rdev).map_err(creation_failure)?;
        }
    }
    let fatal = |error: Errno| Failure::Fatal(error.into());
    let (uid, gid) = owner(stat);
    chownat(to, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW).map_err(fatal)?;
    if target.is_none() {
        // The inc is out of the client's reach: the name is what was just made.
        chmodat(to, name, Mode::from_raw_mode(stat.st_mode), AtFlags::empty()).map_err(fatal)?;
    }
    let attributes = tolerate_refusal(xattrs.write_name(to, name)).map_err(Failure::Fatal)?;
    utimensat(to, name, &times(stat), AtFlags::SYMLINK_NOFOLLOW).map_err(fatal)?;
    Ok(Copied { stat: *stat, changed: false, writers: Some(false), cloned: false, attributes, bytes: 0 })
}

/// Gives an open file or directory of the inc the owner, mode, attributes and times of the live one.
///
/// In this order: a new owner takes setuid bits and capabilities away, an access list is part of
/// the mode, and anything changes the times. Gives back why attributes were not taken, if so.
pub(super) fn copy_metadata(
    stat: &Stat,
    xattrs: &Xattrs,
    fd: BorrowedFd<'_>,
) -> io::Result<Option<io::Error>> {
    let (uid, gid) = owner(stat);
    fchown(fd, Some(uid), Some(gid))?;
    fchmod(fd, Mode::from_raw_mode(stat.st_mode))?;
    let attributes = tolerate_refusal(xattrs.write(fd))?;
    futimens(fd, &times(stat))?;
    Ok(attributes)
}

/// Attributes that cannot be kept (the inc's file system has none, say) cost a warning; a full disk
/// costs the inc.
fn tolerate_refusal(set: io::Result<()>) -> io::Result<Option<io::Error>> {
    match set {
        Ok(()) => Ok(None),
        Err(error) if matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) => {
            Err(error)
        }
        Err(error) => Ok(Some(error)),
    }
}

fn owner(stat: &Stat) -> (Uid, Gid) {
    (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid))
}

fn times(stat: &Stat) -> Timestamps {
    let timespec = |time: FsTime| Timespec { tv_sec: time.seconds, tv_nsec: time.nanoseconds.into() };
    Timestamps { last_access: timespec(atime(stat)), last_modification: timespec(mtime(stat)) }
}
