//! Adds up the size of a tree.

use std::io;
use std::num::NonZeroUsize;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Mutex, PoisonError};

use bkctld_sys::extents::extents;
use bkctld_tree::stat::{Inode, disk_bytes, file_type, names};
use bkctld_tree::{Name, Visitor, open_file, walk};
use rustix::fs::{FileType, fstat};

use super::trail::Trail;
use crate::progress::Progress;
use crate::text;

/// The maximum number of problems that are reported for one tree.
const PROBLEMS: usize = 10;

/// The inodes that are listed individually, because they may occur again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Listed {
    /// Those that have several names.
    SeveralNames,
    /// Likewise; and the directories by their paths ([`Total::trail`]).
    SeveralNamesAndTrail,
    /// All that take anything, but directories.
    All,
    /// Likewise; but what has a range on disk that other files can share is told by its range.
    DiskRanges,
}

/// What a tree takes, added up by the threads that walk it.
#[derive(Debug, Default)]
pub(super) struct Total {
    /// Bytes of all inodes that are not listed.
    pub(super) bytes: u64,
    /// Names of everything but directories.
    pub(super) files: u64,
    /// Directories, the top among them.
    pub(super) directories: u64,
    /// Those that are, and their bytes; sorted, each once.
    pub(super) inodes: Vec<(Inode, u64)>,
    /// Begin and end of the ranges, sorted, each byte once.
    pub(super) ranges: Vec<(u64, u64)>,
    /// Of [`Listed::SeveralNamesAndTrail`], the directories as they were before their names were read, by path.
    pub(super) trail: Trail,
    /// What could not be read.
    pub(super) problems: Vec<String>,
}

/// Walks the tree below the open directory.
pub(super) fn sum(
    top: OwnedFd,
    threads: NonZeroUsize,
    listed: Listed,
    progress: &Progress,
) -> rustix::io::Result<Total> {
    let stat = fstat(&top)?;
    let mut first = Total { bytes: disk_bytes(&stat), directories: 1, ..Total::default() };
    first.trail.add(PathBuf::from("."), &stat);
    let sum = Sum { listed, progress, total: Mutex::new(first) };
    walk(top, threads, &sum);
    let mut total = sum.total.into_inner().unwrap_or_else(PoisonError::into_inner);
    total.inodes.sort_unstable();
    total.inodes.dedup_by_key(|(inode, _)| *inode);
    total.trail.sort();
    total.ranges.sort_unstable();
    total.ranges.dedup_by(|next, kept| {
        let meets = next.0 <= kept.1;
        if meets {
            kept.1 = kept.1.max(next.1);
        }
        meets
    });
    Ok(total)
}

struct Sum<'a> {
    listed: Listed,
    progress: &'a Progress,
    total: Mutex<Total>,
}

impl Visitor for Sum<'_> {
    type Tally = Total;

    fn name(&self, total: &mut Total, found: &Name<'_>) -> io::Result<()> {
        let (stat, bytes) = (found.stat, disk_bytes(found.stat));
        if file_type(stat) == FileType::Directory {
            total.directories += 1;
            total.bytes += bytes;
            return Ok(());
        }
        total.files += 1;
        let (placed, looked) = match self.listed {
            Listed::DiskRanges if bytes > 0 => match ranges(found, &mut total.ranges) {
                Ok(placed) => (placed, Ok(())),
                // It counts by its inode, and as a problem, so that the next run looks again.
                Err(error) => (0, Err(error)),
            },
            _ => (0, Ok(())),
        };
        let bytes = bytes.saturating_sub(placed);
        let all = matches!(self.listed, Listed::All | Listed::DiskRanges);
        let listed = all || names(stat) > 1;
        if listed && bytes > 0 {
            total.inodes.push((Inode::from_stat(stat), bytes));
        } else {
            total.bytes += bytes;
        }
        looked
    }

    fn add(&self, mut more: Total) {
        self.progress.files.fetch_add(more.files + more.directories, Relaxed);
        let mut total = self.total.lock().unwrap_or_else(PoisonError::into_inner);
        total.bytes += more.bytes;
        total.files += more.files;
        total.directories += more.directories;
        total.inodes.append(&mut more.inodes);
        total.ranges.append(&mut more.ranges);
    }

    fn entered(&self, path: impl FnOnce() -> PathBuf, dir: &OwnedFd) {
        let total = || self.total.lock().unwrap_or_else(PoisonError::into_inner);
        if self.listed == Listed::SeveralNamesAndTrail
            && total().trail.is_kept()
            && let Ok(stat) = fstat(dir)
        {
            // The path is put together outside of the lock.
            let path = path();
            total().trail.add(path, &stat);
        }
    }

    fn failed(&self, path: PathBuf, error: io::Error) {
        let mut total = self.total.lock().unwrap_or_else(PoisonError::into_inner);
        if total.problems.len() < PROBLEMS {
            total
                .problems
                .push(format!("{} is not counted, or only in part: {error}", text::path_head(&path)));
        }
    }
}

/// Adds the ranges of a file's data; how many bytes they are.
fn ranges(found: &Name<'_>, ranges: &mut Vec<(u64, u64)>) -> io::Result<u64> {
    if file_type(found.stat) != FileType::RegularFile {
        return Ok(0);
    }
    let extents = open_file(found.dir, found.name).and_then(extents)?;
    ranges.extend(extents.iter().map(|extent| (extent.start, extent.start + extent.len)));
    Ok(extents.iter().map(|extent| extent.len).sum())
}
