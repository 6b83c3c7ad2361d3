//! Checks whether there is enough space for a copy of everything, before it is begun.

use std::collections::HashSet;
use std::io;
use std::num::NonZeroUsize;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

use bkctld_tree::stat::{Inode, disk_bytes, file_type, names};
use bkctld_tree::{Name, Visitor, open_file, walk};
use rustix::fs::{FileType, Mode, OFlags, fstatvfs, ioctl_ficlone, openat};

/// The result of the check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Room {
    /// There is enough space, or none is needed because the file system clones.
    Enough,
    /// There is not enough space; in bytes.
    Missing {
        /// The size of the copy.
        needed: u64,
        /// What is free where it would lie.
        free: u64,
    },
}

/// What a copy of a tree takes.
#[derive(Debug, Default)]
struct Total {
    bytes: u64,
    names: u64,
}

struct Sum<'a> {
    new: &'a OwnedFd,
    total: Mutex<Total>,
    several_names: Mutex<HashSet<Inode>>,
    probed: AtomicBool,
    clones: AtomicBool,
}

/// Sums up what a copy of the live tree takes on disk, each inode once, and compares it with what
/// is free where `new` is. Also gives the number of names, when all of them were counted.
pub(super) fn check(live: OwnedFd, new: &OwnedFd, threads: NonZeroUsize) -> rustix::io::Result<(Room, u64)> {
    let sum = Sum {
        new,
        total: Mutex::default(),
        several_names: Mutex::default(),
        probed: AtomicBool::new(false),
        clones: AtomicBool::new(false),
    };
    walk(live, threads, &sum);
    if sum.clones.into_inner() {
        return Ok((Room::Enough, 0));
    }
    let statvfs = fstatvfs(new)?;
    let free = statvfs.f_bavail.saturating_mul(statvfs.f_frsize);
    let Total { bytes: needed, names } = sum.total.into_inner().unwrap_or_else(PoisonError::into_inner);
    let room = if needed <= free { Room::Enough } else { Room::Missing { needed, free } };
    Ok((room, names))
}

impl Visitor for Sum<'_> {
    type Tally = Total;

    fn name(&self, tally: &mut Total, found: &Name<'_>) -> io::Result<()> {
        let stat = found.stat;
        tally.names += 1;
        if file_type(stat) == FileType::RegularFile && stat.st_size > 0 && !self.probed.swap(true, Relaxed) {
            self.clones.store(self.probe(found), Relaxed);
        }
        let inode = Inode::from_stat(stat);
        let counted_before = file_type(stat) != FileType::Directory
            && names(stat) > 1
            && !self.several_names.lock().unwrap_or_else(PoisonError::into_inner).insert(inode);
        if !counted_before {
            tally.bytes += disk_bytes(stat);
        }
        Ok(())
    }

    fn add(&self, tally: Total) {
        let mut total = self.total.lock().unwrap_or_else(PoisonError::into_inner);
        total.bytes += tally.bytes;
        total.names += tally.names;
    }

    // What cannot be opened or read now is for the copy to complain about.
    fn failed(&self, _: PathBuf, _: io::Error) {}

    fn stopped(&self) -> bool {
        self.clones.load(Relaxed)
    }
}

impl Sum<'_> {
    /// Whether this live file can be cloned to the inc's directory.
    fn probe(&self, found: &Name<'_>) -> bool {
        // A file without a name, so that nothing remains, whatever happens.
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        let Ok(target) = openat(self.new, c".", flags, Mode::RUSR | Mode::WUSR) else { return false };
        open_file(found.dir, found.name).is_ok_and(|source| ioctl_ficlone(&target, &source).is_ok())
    }
}
