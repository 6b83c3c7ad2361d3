//! What the kernel says of a live file, and whether it can be trusted to show the next change.

use bkctld_tree::stat::{FsTime, Inode, ctime, mtime};
use rustix::fs::Stat;

/// Inode, ctime, size, mtime, mode and owner of a live file, as bytes: the form in which the index
/// holds them and in which they are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Signature([u8; Signature::LEN]);

/// How far apart two moments must be for the file system to give them different ctimes, in seconds.
/// ext4 with small inodes keeps whole seconds, and other file systems the tick of a clock that is
/// coarser than it looks; the second one is for a clock that is being corrected.
const SETTLING: i64 = 2;

impl Signature {
    pub(super) const LEN: usize = 52;

    pub(super) fn from_stat(stat: &Stat) -> Signature {
        let mtime = mtime(stat);
        let ctime = ctime(stat);
        let mut bytes = [0; Signature::LEN];
        let mut rest = bytes.as_mut_slice();
        let mut put = |field: &[u8]| {
            let (head, tail) = std::mem::take(&mut rest).split_at_mut(field.len());
            head.copy_from_slice(field);
            rest = tail;
        };
        put(&Inode::from_stat(stat).number.to_le_bytes());
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

/// The last moment whose changes certainly have another ctime than any change from `begun` on.
pub(super) fn settled_before(begun: FsTime) -> FsTime {
    FsTime { seconds: begun.seconds - SETTLING, ..begun }
}
