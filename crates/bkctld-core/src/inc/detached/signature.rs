//! What the kernel says of a live file, and whether it can be trusted to show the next change.

use rustix::fs::{FileType, Stat};

/// Inode, ctime, size, mtime, mode and owner of a live file, as bytes: the form in which the index
/// holds them and in which they are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Signature([u8; Signature::LEN]);

/// A point in the time of the file system: seconds and nanoseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct FsTime {
    pub(super) seconds: i64,
    pub(super) nanoseconds: u32,
}

/// How far apart two moments must be for the file system to give them different ctimes, in seconds.
/// ext4 with small inodes keeps whole seconds, and other file systems the tick of a clock that is
/// coarser than it looks; the second one is for a clock that is being corrected.
const SETTLING: i64 = 2;

impl Signature {
    pub(super) const LEN: usize = 52;

    pub(super) fn of(stat: &Stat) -> Signature {
        let mtime = mtime(stat);
        let ctime = ctime(stat);
        let mut bytes = [0; Signature::LEN];
        let mut rest = bytes.as_mut_slice();
        let mut put = |field: &[u8]| {
            let (head, tail) = std::mem::take(&mut rest).split_at_mut(field.len());
            head.copy_from_slice(field);
            rest = tail;
        };
        put(&stat.st_ino.to_le_bytes());
        put(&ctime.seconds.to_le_bytes());
        put(&ctime.nanoseconds.to_le_bytes());
        put(&stat.st_size.to_le_bytes());
        put(&mtime.seconds.to_le_bytes());
        put(&mtime.nanoseconds.to_le_bytes());
        put(&stat.st_mode.to_le_bytes());
        put(&stat.st_uid.to_le_bytes());
        put(&stat.st_gid.to_le_bytes());
        Signature(bytes)
    }

    pub(super) fn from_bytes(bytes: [u8; Signature::LEN]) -> Signature {
        Signature(bytes)
    }

    pub(super) fn as_bytes(&self) -> &[u8; Signature::LEN] {
        &self.0
    }
}

impl FsTime {
    /// The last moment whose changes certainly have another ctime than any change from now on.
    pub(super) fn settled_before(self) -> FsTime {
        FsTime { seconds: self.seconds - SETTLING, ..self }
    }
}

// The fields' types differ from one architecture to the next.
#[allow(clippy::unnecessary_cast)]
pub(super) fn ctime(stat: &Stat) -> FsTime {
    FsTime { seconds: stat.st_ctime as i64, nanoseconds: stat.st_ctime_nsec as u32 }
}

#[allow(clippy::unnecessary_cast)]
pub(super) fn mtime(stat: &Stat) -> FsTime {
    FsTime { seconds: stat.st_mtime as i64, nanoseconds: stat.st_mtime_nsec as u32 }
}

#[allow(clippy::unnecessary_cast)]
pub(super) fn atime(stat: &Stat) -> FsTime {
    FsTime { seconds: stat.st_atime as i64, nanoseconds: stat.st_atime_nsec as u32 }
}

/// The type of what was looked at.
pub(super) fn kind(stat: &Stat) -> FileType {
    FileType::from_raw_mode(stat.st_mode)
}
