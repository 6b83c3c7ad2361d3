//! Whether there is room for a copy of everything, asked before it is begun.

use std::collections::HashSet;
use std::io;
use std::num::NonZeroUsize;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

use bkctld_tree::{Found, Visitor, open_file, walk};
use rustix::fs::{FileType, Mode, OFlags, fstatvfs, ioctl_ficlone, openat};

use super::signature::kind;

/// What the question came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Room {
    /// There is room, or none is needed because the file system clones.
    Enough,
    /// There is not; in bytes.
    Missing {
        /// What the copy would take.
        needed: u64,
        /// What there is.
        free: u64,
    },
}

struct Sum<'a> {
    new: &'a OwnedFd,
    total: Mutex<(u64, u64)>,
    several_names: Mutex<HashSet<(u64, u64)>>,
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
    let (needed, names) = sum.total.into_inner().unwrap_or_else(PoisonError::into_inner);
    let room = if needed <= free { Room::Enough } else { Room::Missing { needed, free } };
    Ok((room, names))
}

impl Visitor for Sum<'_> {
    /// Bytes and names.
    type Tally = (u64, u64);

    fn name(&self, (bytes, names): &mut (u64, u64), found: &Found<'_>) -> io::Result<()> {
        let stat = found.stat;
        *names += 1;
        if kind(stat) == FileType::RegularFile && stat.st_size > 0 && !self.probed.swap(true, Relaxed) {
            self.clones.store(self.probe(found), Relaxed);
        }
        #[allow(clippy::unnecessary_cast)] // the types differ from one architecture to the next
        let inode = (stat.st_dev as u64, stat.st_ino as u64);
        let counted_before = kind(stat) != FileType::Directory
            && stat.st_nlink > 1
            && !self.several_names.lock().unwrap_or_else(PoisonError::into_inner).insert(inode);
        if !counted_before {
            #[allow(clippy::unnecessary_cast)]
            {
                *bytes += stat.st_blocks as u64 * 512;
            }
        }
        Ok(())
    }

    fn add(&self, (bytes, names): (u64, u64)) {
        let mut total = self.total.lock().unwrap_or_else(PoisonError::into_inner);
        *total = (total.0 + bytes, total.1 + names);
    }

    // What cannot be opened or read now is for the copy to complain about.
    fn failed(&self, _: PathBuf, _: io::Error) {}

    fn stop(&self) -> bool {
        self.clones.load(Relaxed)
    }
}

impl Sum<'_> {
    /// Whether this live file can be cloned to where the inc will be.
    fn probe(&self, found: &Found<'_>) -> bool {
        // A file without a name: nothing is left, whatever happens.
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        let Ok(target) = openat(self.new, c".", flags, Mode::RUSR | Mode::WUSR) else { return false };
        open_file(found.dir, found.name).is_ok_and(|source| ioctl_ficlone(&target, &source).is_ok())
    }
}
