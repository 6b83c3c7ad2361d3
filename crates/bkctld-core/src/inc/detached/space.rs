//! Whether there is room for a copy of everything, asked before it is begun.

use std::collections::HashSet;
use std::ffi::CString;
use std::num::NonZeroUsize;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use bkctld_sys::tree::{list, open_dir, open_file, work};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, fstatvfs, ioctl_ficlone, openat, statat};

use super::signature::kind;

/// How deep the sum goes; what is deeper is not counted, and if there is no room for it the copy
/// fails later.
const MAX_DEPTH: usize = 128;

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

struct Dir {
    parent: Option<Arc<Dir>>,
    fd: OwnedFd,
    depth: usize,
}

struct Sum<'a> {
    new: &'a OwnedFd,
    bytes: AtomicU64,
    names: AtomicU64,
    several_names: Mutex<HashSet<(u64, u64)>>,
    probed: AtomicBool,
    clones: AtomicBool,
}

/// Sums up what a copy of the live tree takes on disk, each inode once, and compares it with what
/// is free where `new` is. Also gives the number of names, when all of them were counted.
pub(super) fn check(live: OwnedFd, new: &OwnedFd, threads: NonZeroUsize) -> rustix::io::Result<(Room, u64)> {
    let sum = Sum {
        new,
        bytes: AtomicU64::new(0),
        names: AtomicU64::new(0),
        several_names: Mutex::default(),
        probed: AtomicBool::new(false),
        clones: AtomicBool::new(false),
    };
    let top = Arc::new(Dir { parent: None, fd: live, depth: 0 });
    work(threads, (top, None), |(dir, name), found| sum.visit(dir, name, found));
    if sum.clones.into_inner() {
        return Ok((Room::Enough, 0));
    }
    let statvfs = fstatvfs(new)?;
    let (needed, free) = (sum.bytes.into_inner(), statvfs.f_bavail.saturating_mul(statvfs.f_frsize));
    let room = if needed <= free { Room::Enough } else { Room::Missing { needed, free } };
    Ok((room, sum.names.into_inner()))
}

impl Sum<'_> {
    fn visit(&self, at: Arc<Dir>, name: Option<CString>, found: &mut Vec<(Arc<Dir>, Option<CString>)>) {
        if self.clones.load(Relaxed) {
            return;
        }
        // What cannot be opened or read now is for the copy to complain about.
        let dir = match name {
            None => at,
            Some(name) => match open_dir(&at.fd, &name) {
                Ok(fd) => Arc::new(Dir { depth: at.depth + 1, parent: Some(at), fd }),
                Err(_) => return,
            },
        };
        let Ok(listing) = list(&dir.fd) else { return };
        self.names.fetch_add(listing.len() as u64, Relaxed);
        for entry in listing.range(0, listing.len()) {
            let Ok(stat) = statat(&dir.fd, entry.name, AtFlags::SYMLINK_NOFOLLOW) else { continue };
            match kind(&stat) {
                FileType::Directory if dir.depth < MAX_DEPTH => {
                    found.push((dir.clone(), Some(entry.name.to_owned())));
                }
                FileType::RegularFile if stat.st_size > 0 && !self.probed.swap(true, Relaxed) => {
                    self.clones.store(self.probe(&dir, entry.name), Relaxed);
                }
                _ => {}
            }
            #[allow(clippy::unnecessary_cast)] // the types differ from one architecture to the next
            let inode = (stat.st_dev as u64, stat.st_ino as u64);
            let counted_before = kind(&stat) != FileType::Directory
                && stat.st_nlink > 1
                && !self.several_names.lock().unwrap_or_else(PoisonError::into_inner).insert(inode);
            if !counted_before {
                #[allow(clippy::unnecessary_cast)]
                self.bytes.fetch_add(stat.st_blocks as u64 * 512, Relaxed);
            }
        }
    }

    /// Whether this live file can be cloned to where the inc will be.
    fn probe(&self, dir: &Dir, name: &std::ffi::CStr) -> bool {
        // A file without a name: nothing is left, whatever happens.
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        let Ok(target) = openat(self.new, c".", flags, Mode::RUSR | Mode::WUSR) else { return false };
        open_file(&dir.fd, name).is_ok_and(|source| ioctl_ficlone(&target, &source).is_ok())
    }
}

// As in the copy: the chain of parents is not dropped by recursion.
impl Drop for Dir {
    fn drop(&mut self) {
        let mut next = self.parent.take();
        while let Some(dir) = next {
            next = Arc::into_inner(dir).and_then(|mut dir| dir.parent.take());
        }
    }
}

/// A number of bytes as one reads it.
pub(super) fn shown(bytes: u64) -> String {
    let units = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < units.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", units[unit])
}
