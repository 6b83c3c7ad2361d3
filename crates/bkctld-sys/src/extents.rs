//! Where the data of a file lies (FIEMAP): what two files share has one place.

use std::io;
use std::os::fd::AsFd;

use linux_raw_sys::ioctl::{
    FIEMAP_EXTENT_DATA_ENCRYPTED, FIEMAP_EXTENT_DATA_INLINE, FIEMAP_EXTENT_DATA_TAIL, FIEMAP_EXTENT_DELALLOC,
    FIEMAP_EXTENT_ENCODED, FIEMAP_EXTENT_LAST, FIEMAP_EXTENT_NOT_ALIGNED, FIEMAP_EXTENT_UNKNOWN,
    FS_IOC_FIEMAP,
};
use rustix::ioctl::{Opcode, Updater, ioctl};

/// Of what has one of these, the place is not told, or is not the data's alone.
const WITHOUT_PLACE: u32 = FIEMAP_EXTENT_UNKNOWN
    | FIEMAP_EXTENT_DELALLOC
    | FIEMAP_EXTENT_ENCODED
    | FIEMAP_EXTENT_DATA_ENCRYPTED
    | FIEMAP_EXTENT_NOT_ALIGNED
    | FIEMAP_EXTENT_DATA_INLINE
    | FIEMAP_EXTENT_DATA_TAIL;

const AT_ONCE: usize = 64;

/// A piece of a file's data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// Its place on the file system's device, in bytes.
    pub start: u64,
    /// How long it is, in bytes.
    pub len: u64,
}

/// `struct fiemap_extent` of linux/fiemap.h.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct RawExtent {
    logical: u64,
    physical: u64,
    length: u64,
    reserved64: [u64; 2],
    flags: u32,
    reserved: [u32; 3],
}

/// `struct fiemap` of linux/fiemap.h, with room for extents behind it.
#[repr(C)]
struct Request {
    start: u64,
    length: u64,
    flags: u32,
    mapped: u32,
    count: u32,
    reserved: u32,
    extents: [RawExtent; AT_ONCE],
}

/// The places of a regular file's data on disk, in the order of the file. Left out: holes, what is not
/// written yet, and what has no place of its own (compressed, or within the metadata).
pub fn extents(file: impl AsFd) -> io::Result<Vec<Extent>> {
    let mut found = Vec::new();
    let mut start = 0;
    loop {
        let mut request = Request {
            start,
            length: u64::MAX - start,
            flags: 0,
            mapped: 0,
            count: AT_ONCE as u32,
            reserved: 0,
            extents: [RawExtent::default(); AT_ONCE],
        };
        // SAFETY: this request, which the kernel itself and no driver answers, reads a struct fiemap and
        // fills in at most `count` extents behind it, of which there is room for as many.
        unsafe { ioctl(file.as_fd(), Updater::<{ FS_IOC_FIEMAP as Opcode }, Request>::new(&mut request)) }?;
        let mapped = request.extents.get(..request.mapped as usize).unwrap_or_default();
        let placed = mapped.iter().filter(|extent| extent.flags & WITHOUT_PLACE == 0);
        found.extend(placed.map(|extent| Extent { start: extent.physical, len: extent.length }));
        match mapped.last() {
            Some(last) if last.flags & FIEMAP_EXTENT_LAST == 0 => start = last.logical + last.length,
            _ => return Ok(found),
        }
    }
}
