//! Subvolumes and snapshots, by the ioctls of btrfs.
//!
//! The numbers of ioctls are reused by device drivers, so every function here first asks whether
//! the descriptor is on btrfs at all.

mod search;

pub use search::bytes_written_after;

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;

use linux_raw_sys::btrfs as raw;
use linux_raw_sys::ioctl::{
    BTRFS_IOC_FS_INFO, BTRFS_IOC_GET_SUBVOL_INFO, BTRFS_IOC_SNAP_CREATE_V2, BTRFS_IOC_SNAP_DESTROY,
    BTRFS_IOC_SNAP_DESTROY_V2, BTRFS_IOC_SUBVOL_CREATE, BTRFS_IOC_SUBVOL_GETFLAGS, BTRFS_IOC_SUBVOL_SETFLAGS,
};
use rustix::fs::{FileType, fstat};
use rustix::io::Errno;
use rustix::ioctl::{Opcode, Updater, ioctl};

use crate::filesystem::{self, Kind};
use search::children_of;

/// The inode number of the root directory of every subvolume.
const ROOT_INODE: u64 = raw::BTRFS_FIRST_FREE_OBJECTID as u64;

/// The flag of a subvolume that nothing in it can be changed.
const READ_ONLY: u64 = raw::BTRFS_SUBVOL_RDONLY as u64;

/// The most bytes of a subvolume's name (`BTRFS_VOL_NAME_MAX`).
const NAME_MAX: usize = 255;

/// Whether the descriptor is of a file or directory on btrfs.
pub fn is_btrfs(fd: impl AsFd) -> io::Result<bool> {
    Ok(filesystem::kind(fd)? == Kind::BTRFS)
}

/// Whether the descriptor is of the root directory of a subvolume. (Inode 256 alone means nothing:
/// on other file systems it is some directory.)
pub fn is_subvolume(fd: impl AsFd) -> io::Result<bool> {
    let fd = fd.as_fd();
    let stat = fstat(fd)?;
    Ok(stat.st_ino == ROOT_INODE
        && FileType::from_raw_mode(stat.st_mode) == FileType::Directory
        && is_btrfs(fd)?)
}

/// Creates an empty subvolume `name` in the directory.
pub fn create_subvolume(dir: impl AsFd, name: &OsStr) -> io::Result<()> {
    let dir = on_btrfs(dir.as_fd())?;
    let mut args = vol_args(0, name)?;
    // SAFETY: this request reads a btrfs_ioctl_vol_args, and the descriptor is on btrfs.
    unsafe { call::<{ BTRFS_IOC_SUBVOL_CREATE as Opcode }, _>(dir, &mut args) }
}

/// Creates the snapshot `name` in the directory, of the subvolume whose root is open as `source`.
/// It is there as a whole or not at all, and on disk when this returns.
///
/// Errors: `EXDEV` when the two are on different file systems, `EEXIST`.
pub fn snapshot(source: impl AsFd, dir: impl AsFd, name: &OsStr, read_only: bool) -> io::Result<()> {
    let dir = on_btrfs(dir.as_fd())?;
    let flags = if read_only { u64::from(raw::BTRFS_SUBVOL_RDONLY) } else { 0 };
    let mut args = vol_args_v2(flags);
    args.fd = i64::from(source.as_fd().as_raw_fd());
    let mut field = [0; 4040];
    put_name(&mut field, name)?;
    args.__bindgen_anon_2.name = field;
    // SAFETY: this request reads a btrfs_ioctl_vol_args_v2 whose `fd` is open as long as `source` is
    // borrowed; no flag announces a qgroup pointer; the descriptor is on btrfs.
    unsafe { call::<{ BTRFS_IOC_SNAP_CREATE_V2 as Opcode }, _>(dir, &mut args) }
}

/// Whether the subvolume whose root is open is read-only.
pub fn is_read_only(subvolume: impl AsFd) -> io::Result<bool> {
    Ok(subvolume_flags(on_btrfs(subvolume.as_fd())?)? & READ_ONLY != 0)
}

/// Makes the subvolume whose root is open read-only, or writable again. It is on disk when this
/// returns.
///
/// Errors: `EINVAL` where the descriptor is not of a subvolume's root, `EPERM` while the subvolume is
/// being sent, `EROFS` where the file system is mounted read-only.
pub fn set_read_only(subvolume: impl AsFd, read_only: bool) -> io::Result<()> {
    let fd = on_btrfs(subvolume.as_fd())?;
    // The kernel takes the flags as a whole, so the others go back as they are.
    let others = subvolume_flags(fd)? & !READ_ONLY;
    let mut flags = if read_only { others | READ_ONLY } else { others };
    // SAFETY: this request reads a u64 of flags, and the descriptor is on btrfs.
    unsafe { call::<{ BTRFS_IOC_SUBVOL_SETFLAGS as Opcode }, _>(fd, &mut flags) }
}

/// The id of the file system, in the form in which the kernel names its directory in `/sys/fs/btrfs`.
pub fn file_system_id(fd: impl AsFd) -> io::Result<String> {
    let fd = on_btrfs(fd.as_fd())?;
    let mut args = raw::btrfs_ioctl_fs_info_args {
        max_id: 0,
        num_devices: 0,
        fsid: [0; 16],
        nodesize: 0,
        sectorsize: 0,
        clone_alignment: 0,
        csum_type: 0,
        csum_size: 0,
        flags: 0,
        generation: 0,
        metadata_uuid: [0; 16],
        reserved: [0; 944],
    };
    // SAFETY: this request fills in a btrfs_ioctl_fs_info_args, plain numbers all of it; the
    // descriptor is on btrfs.
    unsafe { call::<{ BTRFS_IOC_FS_INFO as Opcode }, _>(fd, &mut args)? }
    let mut text = String::with_capacity(36);
    for (at, byte) in args.fsid.iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        text.push_str(&format!("{byte:02x}"));
    }
    Ok(text)
}

/// The subvolumes that lie directly in the one that holds the descriptor: their ids.
/// Needs `CAP_SYS_ADMIN`.
pub fn children(fd: impl AsFd) -> io::Result<Vec<u64>> {
    let fd = on_btrfs(fd.as_fd())?;
    children_of(fd, subvolume_id(fd)?)
}

/// Destroys the subvolume `name` in the directory, whose root is open as `subvolume`, and those nested in
/// it first, however deep. The names are gone when this returns; btrfs frees the space later. Needs
/// `CAP_SYS_ADMIN`.
pub fn destroy(dir: impl AsFd, name: &OsStr, subvolume: impl AsFd) -> io::Result<()> {
    let dir = on_btrfs(dir.as_fd())?;
    let subvolume = subvolume.as_fd();
    if !is_subvolume(subvolume)? {
        return Err(Errno::INVAL.into());
    }
    // By ids, from the tree of roots: paths would have to be walked through directories that a
    // client made, and can be too long to say.
    let mut nested = children_of(dir, subvolume_id(subvolume)?)?;
    let mut at = 0;
    while at < nested.len() {
        let below = children_of(dir, nested[at])?;
        nested.extend(below);
        at += 1;
    }
    for id in nested.into_iter().rev() {
        let mut args = vol_args_v2(u64::from(raw::BTRFS_SUBVOL_SPEC_BY_ID));
        args.__bindgen_anon_2.subvolid = id;
        // SAFETY: this request reads a btrfs_ioctl_vol_args_v2, which names the subvolume by its id as
        // the flag says; the descriptor is on btrfs.
        unsafe { call::<{ BTRFS_IOC_SNAP_DESTROY_V2 as Opcode }, _>(dir, &mut args)? }
    }
    let mut args = vol_args(0, name)?;
    // SAFETY: this request reads a btrfs_ioctl_vol_args, and the descriptor is on btrfs.
    unsafe { call::<{ BTRFS_IOC_SNAP_DESTROY as Opcode }, _>(dir, &mut args) }
}

fn on_btrfs(fd: BorrowedFd<'_>) -> io::Result<BorrowedFd<'_>> {
    if is_btrfs(fd)? { Ok(fd) } else { Err(Errno::NOTTY.into()) }
}

fn subvolume_flags(fd: BorrowedFd<'_>) -> io::Result<u64> {
    let mut flags = 0u64;
    // SAFETY: this request fills in a u64 of flags; the callers looked whether the descriptor is on
    // btrfs.
    unsafe { call::<{ BTRFS_IOC_SUBVOL_GETFLAGS as Opcode }, _>(fd, &mut flags)? }
    Ok(flags)
}

/// What btrfs knows of a subvolume.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subvolume {
    /// Its id, which no other subvolume of the file system ever has again.
    pub id: u64,
    /// The transaction in which something in it was changed last. What is not yet in a transaction
    /// (data that was written a moment ago) is not in it: `syncfs` first.
    pub generation: u64,
    /// The transaction in which it was made.
    pub made: u64,
    /// The UUID of the subvolume that it is a snapshot of; all zero for none.
    pub parent: [u8; 16],
}

/// The subvolume that holds the descriptor.
pub fn subvolume(fd: impl AsFd) -> io::Result<Subvolume> {
    let fd = on_btrfs(fd.as_fd())?;
    let time = raw::btrfs_ioctl_timespec { sec: 0, nsec: 0 };
    let mut args = raw::btrfs_ioctl_get_subvol_info_args {
        treeid: 0,
        name: [0; 256],
        parent_id: 0,
        dirid: 0,
        generation: 0,
        flags: 0,
        uuid: [0; 16],
        parent_uuid: [0; 16],
        received_uuid: [0; 16],
        ctransid: 0,
        otransid: 0,
        stransid: 0,
        rtransid: 0,
        ctime: time,
        otime: time,
        stime: time,
        rtime: time,
        reserved: [0; 8],
    };
    // SAFETY: this request fills in a btrfs_ioctl_get_subvol_info_args, plain numbers all of it; the
    // descriptor is on btrfs.
    unsafe { call::<{ BTRFS_IOC_GET_SUBVOL_INFO as Opcode }, _>(fd, &mut args)? }
    Ok(Subvolume {
        id: args.treeid,
        generation: args.generation,
        made: args.otransid,
        parent: args.parent_uuid,
    })
}

fn subvolume_id(fd: BorrowedFd<'_>) -> io::Result<u64> {
    Ok(subvolume(fd)?.id)
}

fn vol_args(fd: i64, name: &OsStr) -> io::Result<raw::btrfs_ioctl_vol_args> {
    let mut args = raw::btrfs_ioctl_vol_args { fd, name: [0; 4088] };
    put_name(&mut args.name, name)?;
    Ok(args)
}

fn vol_args_v2(flags: u64) -> raw::btrfs_ioctl_vol_args_v2 {
    raw::btrfs_ioctl_vol_args_v2 {
        fd: 0,
        transid: 0,
        flags,
        __bindgen_anon_1: raw::btrfs_ioctl_vol_args_v2__bindgen_ty_1 { unused: [0; 4] },
        __bindgen_anon_2: raw::btrfs_ioctl_vol_args_v2__bindgen_ty_2 { name: [0; 4040] },
    }
}

fn put_name(field: &mut [std::ffi::c_char], name: &OsStr) -> io::Result<()> {
    let name = name.as_bytes();
    if name.is_empty() || name.len() > NAME_MAX || name.contains(&b'/') || name.contains(&0) {
        return Err(Errno::INVAL.into());
    }
    for (to, &from) in field.iter_mut().zip(name) {
        *to = from as std::ffi::c_char;
    }
    Ok(())
}

/// The width of an `Opcode` depends on what rustix is built on: system calls, or libc, as under Miri.
///
/// # Safety
///
/// `T` must be the argument that the kernel's header gives the request `CODE`, with whatever it
/// refers to valid, and the descriptor must be on btrfs.
unsafe fn call<const CODE: Opcode, T>(fd: BorrowedFd<'_>, args: &mut T) -> io::Result<()> {
    // SAFETY: the contract above is the one that rustix asks for.
    unsafe { ioctl(fd, Updater::<CODE, T>::new(args)) }?;
    Ok(())
}
