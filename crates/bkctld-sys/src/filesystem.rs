//! Which kind of file system something is on, and how much of it is in use.
// The types of the fields differ from one architecture to the next.
#![allow(clippy::unnecessary_cast)]

use std::io;
use std::os::fd::AsFd;

use linux_raw_sys::general::{BTRFS_SUPER_MAGIC, EXT4_SUPER_MAGIC, XFS_SUPER_MAGIC};
use rustix::fs::fstatfs;

/// A kind of file system, by its magic number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind(u64);

impl Kind {
    /// ext4, and ext2 and ext3, which have the same number.
    pub const EXT4: Kind = Kind(EXT4_SUPER_MAGIC as u64);
    /// XFS, with or without reflinks.
    pub const XFS: Kind = Kind(XFS_SUPER_MAGIC as u64);
    /// btrfs; each of its subvolumes has a device of its own.
    pub const BTRFS: Kind = Kind(BTRFS_SUPER_MAGIC as u64);
}

/// A file system as statfs(2) describes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileSystem {
    /// Which kind of file system it is.
    pub kind: Kind,
    /// The size of its blocks, in bytes.
    pub block_size: u64,
    /// How many blocks it has.
    pub blocks: u64,
    /// How many of them are in no use.
    pub free_blocks: u64,
    /// How many inodes it can have.
    pub inodes: u64,
    /// How many more there can be.
    pub free_inodes: u64,
}

impl Kind {
    /// The magic number, as it is kept on disk.
    pub fn number(self) -> u64 {
        self.0
    }
}

/// The file system that the descriptor is on.
pub fn read(fd: impl AsFd) -> io::Result<FileSystem> {
    let stat = fstatfs(fd)?;
    Ok(FileSystem {
        // As wide as the kernel's numbers are; 32 bits of it on every architecture.
        kind: Kind(stat.f_type as u64 & 0xffff_ffff),
        block_size: stat.f_bsize as u64,
        blocks: stat.f_blocks as u64,
        free_blocks: stat.f_bfree as u64,
        inodes: stat.f_files as u64,
        free_inodes: stat.f_ffree as u64,
    })
}

/// The kind of file system that the descriptor is on.
pub fn kind(fd: impl AsFd) -> io::Result<Kind> {
    Ok(read(fd)?.kind)
}
