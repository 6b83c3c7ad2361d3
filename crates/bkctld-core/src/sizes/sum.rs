//! Adding up what a tree takes.

use std::io;
use std::num::NonZeroUsize;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Mutex, PoisonError};

use bkctld_sys::extents::extents;
use bkctld_tree::{Found, Visitor, open_file, walk};
use rustix::fs::{FileType, Stat, fstat};

use super::trail::Trail;
use crate::progress::Progress;
use crate::text;

/// How many problems of one tree are told.
const PROBLEMS: usize = 10;

/// Which inodes are listed one by one, because they may be met again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Listed {
    /// Those that have several names.
    SeveralNames,
    /// Likewise; and the directories by their paths ([`Total::trail`]).
    SeveralNamesAndTrail,
    /// All that take anything, but directories.
    All,
    /// Likewise; but what has a place on disk that other files can share is told by its place.
    Places,
}

/// What a tree takes.
#[derive(Debug, Default)]
pub(super) struct Total {
    /// Bytes of all inodes that are not listed.
    pub(super) bytes: u64,
    /// Names of everything but directories.
    pub(super) files: u64,
    /// Directories, the top among them.
    pub(super) directories: u64,
    /// Device, inode and bytes of those that are, sorted, each once.
    pub(super) inodes: Vec<((u64, u64), u64)>,
    /// Begin and end of the places, sorted, each byte once.
    pub(super) places: Vec<(u64, u64)>,
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
    let mut first = Total { bytes: bytes(&stat), directories: 1, ..Total::default() };
    first.trail.add(PathBuf::from("."), &stat);
    let sum = Sum { listed, progress, total: Mutex::new(first) };
    walk(top, threads, &sum);
    let mut total = sum.total.into_inner().unwrap_or_else(PoisonError::into_inner);
    total.inodes.sort_unstable();
    total.inodes.dedup_by_key(|(inode, _)| *inode);
    total.trail.sort();
    total.places.sort_unstable();
    total.places.dedup_by(|next, kept| {
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

    fn name(&self, total: &mut Total, found: &Found<'_>) -> io::Result<()> {
        let (stat, bytes) = (found.stat, bytes(found.stat));
        if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
            total.directories += 1;
            total.bytes += bytes;
            return Ok(());
        }
        total.files += 1;
        let (placed, looked) = match self.listed {
            Listed::Places if bytes > 0 => match places(found, &mut total.places) {
                Ok(placed) => (placed, Ok(())),
                // It counts by its inode, and as a problem, so that the next run looks again.
                Err(error) => (0, Err(error)),
            },
            _ => (0, Ok(())),
        };
        let bytes = bytes.saturating_sub(placed);
        let all = matches!(self.listed, Listed::All | Listed::Places);
        let listed = all || stat.st_nlink > 1;
        if listed && bytes > 0 {
            #[allow(clippy::unnecessary_cast)] // the types differ from one architecture to the next
            total.inodes.push(((stat.st_dev as u64, stat.st_ino as u64), bytes));
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
        total.places.append(&mut more.places);
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

/// Adds the places of a file's data; how many bytes they are.
fn places(found: &Found<'_>, places: &mut Vec<(u64, u64)>) -> io::Result<u64> {
    if FileType::from_raw_mode(found.stat.st_mode) != FileType::RegularFile {
        return Ok(0);
    }
    let extents = open_file(found.dir, found.name).and_then(extents)?;
    places.extend(extents.iter().map(|extent| (extent.start, extent.start + extent.len)));
    Ok(extents.iter().map(|extent| extent.len).sum())
}

/// What the inode takes on disk, in bytes.
#[allow(clippy::unnecessary_cast)]
fn bytes(stat: &Stat) -> u64 {
    // The unit of `st_blocks` is this, whatever the file system's blocks are.
    stat.st_blocks as u64 * 512
}
