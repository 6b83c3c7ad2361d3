//! Searching the trees of btrfs.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use super::{ROOT_INODE, call, on_btrfs};
use crate::filesystem;
use linux_raw_sys::btrfs as raw;
use linux_raw_sys::ioctl::BTRFS_IOC_TREE_SEARCH;
use rustix::ioctl::Opcode;

/// How many bytes of data the subvolume that holds the descriptor has in extents that were written
/// after this transaction (all of them after 0). Counted as `du` does: holes and what is nested in it
/// not at all, a file small enough to lie in the metadata as one block, compressed data by what it
/// unpacks to. Takes as long as the changes are many, since what is older is not even looked at.
///
/// Needs `CAP_SYS_ADMIN`.
pub fn bytes_written_after(fd: impl AsFd, transaction: u64) -> io::Result<u64> {
    let fd = on_btrfs(fd.as_fd())?;
    let block = filesystem::read(fd)?.block_size;
    let mut bytes = 0;
    let key = raw::btrfs_ioctl_search_key {
        // That of the descriptor.
        tree_id: 0,
        min_objectid: ROOT_INODE,
        max_objectid: u64::MAX,
        max_type: u32::MAX,
        max_offset: u64::MAX,
        min_transid: transaction.saturating_add(1),
        ..search_key()
    };
    search(fd, key, |header, item| {
        if header.kind == raw::BTRFS_EXTENT_DATA_KEY {
            bytes += extent_bytes(item, transaction, block).unwrap_or(0);
        }
    })?;
    Ok(bytes)
}

/// What one item of a file's extents says: `struct btrfs_file_extent_item`, as it is on disk.
fn extent_bytes(item: &[u8], after: u64, block: u64) -> Option<u64> {
    let number = |at: usize| Some(u64::from_le_bytes(*item.get(at..)?.first_chunk()?));
    const INLINE: u8 = 0;
    let (generation, kind) = (number(0)?, *item.get(20)?);
    // A leaf is new as a whole when one of its items is.
    if generation <= after {
        return Some(0);
    }
    if kind == INLINE {
        return Some(block);
    }
    let (place, bytes) = (number(21)?, number(45)?);
    let hole = place == 0;
    Some(if hole { 0 } else { bytes })
}

/// The ids of the subvolumes that lie directly in the one with this id.
pub(super) fn children_of(fd: BorrowedFd<'_>, id: u64) -> io::Result<Vec<u64>> {
    let mut found = Vec::new();
    let key = raw::btrfs_ioctl_search_key {
        tree_id: u64::from(raw::BTRFS_ROOT_TREE_OBJECTID),
        min_objectid: id,
        max_objectid: id,
        min_type: raw::BTRFS_ROOT_REF_KEY,
        max_type: raw::BTRFS_ROOT_REF_KEY,
        max_offset: u64::MAX,
        ..search_key()
    };
    search(fd, key, |header, _| found.push(header.offset))?;
    Ok(found)
}

/// A key that nothing is found with.
fn search_key() -> raw::btrfs_ioctl_search_key {
    raw::btrfs_ioctl_search_key {
        tree_id: 0,
        min_objectid: 0,
        max_objectid: 0,
        min_offset: 0,
        max_offset: 0,
        min_transid: 0,
        max_transid: u64::MAX,
        min_type: 0,
        max_type: 0,
        nr_items: 0,
        unused: 0,
        unused1: 0,
        unused2: 0,
        unused3: 0,
        unused4: 0,
    }
}

/// The head of an item that a search found.
struct Header {
    object: u64,
    offset: u64,
    kind: u32,
}

/// Calls `each` with every item of a tree whose key is from the least to the greatest of this key:
/// object, type and offset compared in this order. The content of an item too large for the buffer
/// (4 KB) is empty.
fn search(
    fd: BorrowedFd<'_>,
    mut key: raw::btrfs_ioctl_search_key,
    mut each: impl FnMut(&Header, &[u8]),
) -> io::Result<()> {
    let mut bytes = Vec::new();
    loop {
        key.nr_items = u32::MAX;
        let mut args = raw::btrfs_ioctl_search_args { key, buf: [0; 3992] };
        // SAFETY: this request reads and fills in a btrfs_ioctl_search_args, plain numbers all of it;
        // the callers looked whether the descriptor is on btrfs.
        unsafe { call::<{ BTRFS_IOC_TREE_SEARCH as Opcode }, _>(fd, &mut args)? }
        bytes.clear();
        bytes.extend(args.buf.iter().map(|&byte| byte as u8));
        let mut rest = bytes.as_slice();
        let mut last = None;
        // A header is transid, objectid, offset (u64 each), type, len (u32 each); the item follows.
        for _ in 0..args.key.nr_items {
            let Some((head, after)) = rest.split_first_chunk::<32>() else { break };
            let number = |at: usize| head.get(at..).and_then(|from| from.first_chunk()).copied();
            let half = |at: usize| head.get(at..).and_then(|from| from.first_chunk()).copied();
            let (Some(object), Some(offset), Some(kind), Some(len)) =
                (number(8), number(16), half(24), half(28))
            else {
                break;
            };
            let header = Header {
                object: u64::from_ne_bytes(object),
                offset: u64::from_ne_bytes(offset),
                kind: u32::from_ne_bytes(kind),
            };
            let (item, after) = after.split_at_checked(u32::from_ne_bytes(len) as usize).unwrap_or_default();
            each(&header, item);
            rest = after;
            last = Some(header);
        }
        let Some(next) = last.and_then(|last| after_key(key, &last)) else { return Ok(()) };
        key = next;
    }
}

/// The key that goes on behind this item; none where that is the end.
fn after_key(key: raw::btrfs_ioctl_search_key, last: &Header) -> Option<raw::btrfs_ioctl_search_key> {
    let (mut object, mut kind) = (last.object, last.kind);
    let offset = last.offset.checked_add(1).unwrap_or(0);
    if offset == 0 {
        // A type is a byte on disk.
        kind = (kind + 1) % 256;
        if kind == 0 {
            object = object.checked_add(1)?;
        }
    }
    Some(raw::btrfs_ioctl_search_key { min_objectid: object, min_type: kind, min_offset: offset, ..key })
}
