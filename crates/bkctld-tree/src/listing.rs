//! The names in one directory.

use std::ffi::CStr;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::AsFd;

use rustix::fs::{FileType, RawDir, SeekFrom, seek};
use rustix::io::Errno;

use crate::give_way;

/// The names in a directory, without `.` and `..`.
#[derive(Debug, Default)]
pub struct Listing {
    // One allocation for all names, each with its NUL: a directory may hold millions.
    names: Vec<u8>,
    entries: Vec<Item>,
}

#[derive(Clone, Copy, Debug)]
struct Item {
    ino: u64,
    at: usize,
    len: u16,
    kind: FileType,
}

/// One name of a [`Listing`].
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// The name itself, without a path.
    pub name: &'a CStr,
    /// The type as the directory has it; [`FileType::Unknown`] on file systems that do not tell.
    pub kind: FileType,
}

impl Listing {
    /// How many names there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether the directory is empty.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The names from `from` to before `to`, in the order of their inodes.
    pub fn range(&self, from: usize, to: usize) -> impl Iterator<Item = Entry<'_>> {
        self.entries[from..to.min(self.entries.len())].iter().map(|item| Entry {
            name: CStr::from_bytes_until_nul(&self.names[item.at..item.at + usize::from(item.len)])
                .unwrap_or_default(),
            kind: item.kind,
        })
    }
}

/// Lists an open directory, in the order of the inodes, which is the order in which most file
/// systems keep them on disk: touching the entries in the directory's own order (a hash's, on ext4)
/// would jump about.
pub fn list(dir: impl AsFd) -> io::Result<Listing> {
    // Another descriptor of the same opening may have listed it before.
    seek(dir.as_fd(), SeekFrom::Start(0))?;
    let mut listing = Listing::default();
    let mut buffer = [MaybeUninit::uninit(); 32 << 10];
    let mut raw = RawDir::new(dir.as_fd(), &mut buffer);
    while let Some(entry) = raw.next() {
        let entry = entry?;
        let name = entry.file_name().to_bytes_with_nul();
        if matches!(name, b".\0" | b"..\0") {
            continue;
        }
        let len = u16::try_from(name.len()).map_err(|_| io::Error::from(Errno::NAMETOOLONG))?;
        listing.entries.push(Item {
            ino: entry.ino(),
            at: listing.names.len(),
            len,
            kind: entry.file_type(),
        });
        listing.names.extend_from_slice(name);
        // A directory can have millions.
        if listing.entries.len().is_multiple_of(1024) {
            give_way();
        }
    }
    listing.entries.sort_unstable_by_key(|item| item.ino);
    Ok(listing)
}
