//! What the kernel says of an inode, in types that are the same on every architecture.
// Those of the fields are not.
#![allow(clippy::unnecessary_cast)]

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;

use rustix::fs::{FileType, Stat};

/// Which inode of the server: what has the same device and number is the same file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Inode {
    /// The device of its file system (on btrfs: of its subvolume).
    pub device: u64,
    /// Its number on that device.
    pub number: u64,
}

impl Inode {
    /// The inode that this was said of.
    pub fn from_stat(stat: &Stat) -> Inode {
        Inode { device: stat.st_dev as u64, number: stat.st_ino as u64 }
    }

    /// The inode of what the standard library has looked at.
    pub fn from_metadata(metadata: &Metadata) -> Inode {
        Inode { device: metadata.dev(), number: metadata.ino() }
    }
}

/// A point in the time of the file system: seconds and nanoseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FsTime {
    /// Whole seconds; negative before 1970.
    pub seconds: i64,
    /// The nanoseconds beyond them, less than a second.
    pub nanoseconds: u32,
}

/// When the inode was changed last, its data, owner or mode; no client can set this time.
pub fn ctime(stat: &Stat) -> FsTime {
    FsTime { seconds: stat.st_ctime as i64, nanoseconds: stat.st_ctime_nsec as u32 }
}

/// When the data were changed last, or so its owner says.
pub fn mtime(stat: &Stat) -> FsTime {
    FsTime { seconds: stat.st_mtime as i64, nanoseconds: stat.st_mtime_nsec as u32 }
}

/// When the data were read last, or so its owner says.
pub fn atime(stat: &Stat) -> FsTime {
    FsTime { seconds: stat.st_atime as i64, nanoseconds: stat.st_atime_nsec as u32 }
}

/// Whether it is a file, a directory, a link or something else.
pub fn file_type(stat: &Stat) -> FileType {
    FileType::from_raw_mode(stat.st_mode)
}

/// How many names it has.
pub fn names(stat: &Stat) -> u64 {
    stat.st_nlink as u64
}

/// How many bytes it takes on disk.
pub fn disk_bytes(stat: &Stat) -> u64 {
    // The unit of `st_blocks` is this, whatever the file system's blocks are.
    stat.st_blocks as u64 * 512
}
