//! The index of an inc: what the live tree was when the inc was made, by path.
//!
//! One block for each directory, written after those of its subdirectories, so that it can hold
//! their offsets; that of the top directory's is at the end of the file. By path and not by
//! inode, because what is looked for is the previous inc's file, which has a path only. Nothing in
//! it is trusted without its checksum: a damaged block is as if its directory had not been there,
//! and then what is below is copied.

use std::ffi::CStr;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::FileExt;

use sha2::{Digest, Sha256};

use super::signature::Signature;

const MAGIC: &[u8; 8] = b"bkcinc01";
const SUM: usize = 16;
/// Magic, inode of the inc's top directory, offset of the top block, length of the file, checksum.
const TRAILER: usize = 8 + 8 + 8 + 8 + SUM;
/// The length of the entries, before each block.
const HEADER: usize = 4;
/// How much of a block is read at first: all of most.
const FIRST_READ: usize = 8 << 10;

const DIRECTORY: u8 = b'd';
const OTHER: u8 = b'f';

/// What is known of one name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// A directory, and the offset of its block in the index.
    Directory(u64),
    /// Anything else, as it was when it was copied.
    Other(Signature),
}

/// The block of one directory, while it is put together (in any order) and as it was read.
#[derive(Debug, Default)]
pub(super) struct Block {
    bytes: Vec<u8>,
    // Where each entry begins; in the order of the names once it is sealed or read.
    entries: Vec<u32>,
}

impl Block {
    /// Adds what is known of a name; of one that cannot be held nothing is known later.
    pub(super) fn add(&mut self, name: &CStr, known: Known) {
        let name = name.to_bytes();
        let (Ok(len), Ok(at)) = (u8::try_from(name.len()), u32::try_from(self.bytes.len())) else { return };
        self.entries.push(at);
        let kind = if matches!(known, Known::Directory(_)) { DIRECTORY } else { OTHER };
        self.bytes.extend_from_slice(&[kind, len]);
        self.bytes.extend_from_slice(name);
        match known {
            Known::Directory(offset) => self.bytes.extend_from_slice(&offset.to_le_bytes()),
            Known::Other(signature) => self.bytes.extend_from_slice(signature.as_bytes()),
        }
    }

    /// Adds all that the other block holds.
    pub(super) fn append(&mut self, other: &Block) {
        let Ok(base) = u32::try_from(self.bytes.len()) else { return };
        if self.bytes.len() + other.bytes.len() > u32::MAX as usize {
            return;
        }
        self.entries.extend(other.entries.iter().map(|at| base + at));
        self.bytes.extend_from_slice(&other.bytes);
    }

    /// What is known of this name.
    pub(super) fn get(&self, name: &CStr) -> Option<Known> {
        let name = name.to_bytes();
        let found = self.entries.binary_search_by(|&at| self.name(at).cmp(name)).ok()?;
        let at = self.entries[found] as usize;
        let value = self.bytes.get(at + 2 + name.len()..)?;
        Some(match *self.bytes.get(at)? {
            DIRECTORY => Known::Directory(u64::from_le_bytes(*value.first_chunk()?)),
            _ => Known::Other(Signature::from_bytes(*value.first_chunk()?)),
        })
    }

    fn name(&self, at: u32) -> &[u8] {
        let at = at as usize;
        let len = self.bytes.get(at + 1).copied().unwrap_or(0);
        self.bytes.get(at + 2..at + 2 + usize::from(len)).unwrap_or_default()
    }

    /// The form on disk: length, entries by name, checksum.
    fn sealed(mut self) -> Vec<u8> {
        let mut order = std::mem::take(&mut self.entries);
        order.sort_unstable_by(|&a, &b| self.name(a).cmp(self.name(b)));
        let mut out = Vec::with_capacity(HEADER + self.bytes.len() + SUM);
        out.extend_from_slice(&(self.bytes.len() as u32).to_le_bytes());
        for at in order {
            out.extend_from_slice(&self.bytes[at as usize..self.end(at as usize).unwrap_or(at as usize)]);
        }
        let sum = checksum(&out);
        out.extend_from_slice(&sum);
        out
    }

    /// The block whose entries these bytes are; none when they do not add up.
    fn parse(bytes: Vec<u8>) -> Option<Block> {
        let mut block = Block { bytes, entries: Vec::new() };
        let mut at = 0;
        while at < block.bytes.len() {
            block.entries.push(at as u32);
            at = block.end(at)?;
        }
        (at == block.bytes.len()).then_some(block)
    }

    /// Where the entry that begins here ends.
    fn end(&self, at: usize) -> Option<usize> {
        let value = match *self.bytes.get(at)? {
            DIRECTORY => 8,
            OTHER => Signature::LEN,
            _ => return None,
        };
        Some(at + 2 + usize::from(*self.bytes.get(at + 1)?) + value)
    }
}

/// Writes an index, block by block.
#[derive(Debug)]
pub(super) struct Writer {
    file: BufWriter<File>,
    at: u64,
}

impl Writer {
    pub(super) fn new(file: File) -> Writer {
        Writer { file: BufWriter::with_capacity(256 << 10, file), at: 0 }
    }

    /// Writes the block of a directory and gives its offset.
    pub(super) fn put(&mut self, block: Block) -> io::Result<u64> {
        let offset = self.at;
        let bytes = block.sealed();
        self.file.write_all(&bytes)?;
        self.at += bytes.len() as u64;
        Ok(offset)
    }

    /// Closes the index of the inc whose top directory has this inode.
    pub(super) fn finish(mut self, top_inode: u64, top_block: u64) -> io::Result<()> {
        let mut trailer = Vec::with_capacity(TRAILER);
        trailer.extend_from_slice(MAGIC);
        for number in [top_inode, top_block, self.at + TRAILER as u64] {
            trailer.extend_from_slice(&number.to_le_bytes());
        }
        let sum = checksum(&trailer);
        trailer.extend_from_slice(&sum);
        self.file.write_all(&trailer)?;
        self.file.flush()
    }
}

/// Reads an index, at any block.
#[derive(Debug)]
pub(super) struct Reader {
    file: File,
    end: u64,
    top: u64,
}

impl Reader {
    /// The index in this file, if it is whole and belongs to the inc whose top directory has this
    /// inode (one restored from elsewhere has another).
    pub(super) fn new(file: File, top_inode: u64) -> Option<Reader> {
        let len = file.metadata().ok()?.len();
        let end = len.checked_sub(TRAILER as u64)?;
        let mut trailer = [0; TRAILER];
        file.read_exact_at(&mut trailer, end).ok()?;
        let (head, sum) = trailer.split_at(TRAILER - SUM);
        let number =
            |at: usize| head.get(at..).and_then(|bytes| bytes.first_chunk()).map(|b| u64::from_le_bytes(*b));
        let valid =
            head.starts_with(MAGIC) && checksum(head) == sum && number(8)? == top_inode && number(24)? == len;
        let top = number(16)?;
        valid.then_some(Reader { file, end, top })
    }

    /// The block of the top directory.
    pub(super) fn top(&self) -> Option<Block> {
        self.block(self.top)
    }

    /// The block at this offset; none when it is damaged.
    pub(super) fn block(&self, offset: u64) -> Option<Block> {
        let room = usize::try_from(self.end.checked_sub(offset)?).ok()?;
        let mut bytes = vec![0; room.min(FIRST_READ)];
        self.file.read_exact_at(&mut bytes, offset).ok()?;
        let len = u32::from_le_bytes(*bytes.first_chunk()?) as usize;
        let whole = HEADER.checked_add(len)?.checked_add(SUM)?;
        if whole > room {
            return None;
        }
        let have = bytes.len();
        bytes.resize(whole, 0);
        if whole > have {
            self.file.read_exact_at(&mut bytes[have..], offset + have as u64).ok()?;
        }
        let (content, sum) = bytes.split_at(HEADER + len);
        if checksum(content) != sum {
            return None;
        }
        bytes.truncate(HEADER + len);
        bytes.drain(..HEADER);
        Block::parse(bytes)
    }
}

fn checksum(bytes: &[u8]) -> [u8; SUM] {
    let mut sum = [0; SUM];
    sum.copy_from_slice(&Sha256::digest(bytes)[..SUM]);
    sum
}

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod properties;

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    fn signature(n: u8) -> Signature {
        Signature::from_bytes([n; Signature::LEN])
    }

    fn written() -> Vec<u8> {
        let mut file = tempfile::tempfile().unwrap();
        let mut writer = Writer::new(file.try_clone().unwrap());
        let mut sub = Block::default();
        for n in 0..2000_u16 {
            sub.add(&std::ffi::CString::new(format!("f{n}")).unwrap(), Known::Other(signature(n as u8)));
        }
        let sub = writer.put(sub).unwrap();
        let mut top = Block::default();
        top.add(c"sub", Known::Directory(sub));
        let mut more = Block::default();
        more.add(c"a", Known::Other(signature(7)));
        top.append(&more);
        let top = writer.put(top).unwrap();
        writer.finish(42, top).unwrap();
        let mut bytes = Vec::new();
        io::Seek::rewind(&mut file).unwrap();
        file.read_to_end(&mut bytes).unwrap();
        bytes
    }

    fn open(bytes: &[u8], top_inode: u64) -> Option<Reader> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        Reader::new(file, top_inode)
    }

    #[test]
    fn what_is_written_is_read_back() {
        let reader = open(&written(), 42).unwrap();
        let top = reader.top().unwrap();
        assert_eq!(top.get(c"a"), Some(Known::Other(signature(7))));
        assert_eq!(top.get(c"b"), None);
        let Some(Known::Directory(sub)) = top.get(c"sub") else { panic!() };
        let sub = reader.block(sub).unwrap();
        for n in 0..2000_u16 {
            let name = std::ffi::CString::new(format!("f{n}")).unwrap();
            assert_eq!(sub.get(&name), Some(Known::Other(signature(n as u8))));
        }
    }

    #[test]
    fn a_truncated_or_foreign_index_is_none() {
        let bytes = written();
        assert!(open(&bytes, 43).is_none());
        for len in [0, 1, TRAILER - 1, TRAILER, bytes.len() / 2, bytes.len() - 1] {
            assert!(open(&bytes[..len], 42).is_none(), "{len}");
        }
    }

    #[test]
    fn a_flipped_bit_loses_its_block_and_no_more() {
        let bytes = written();
        for at in [0, 3, 5, 4000, 60_000] {
            let mut bad = bytes.clone();
            bad[at] ^= 0x10;
            let reader = open(&bad, 42).unwrap();
            assert!(reader.block(0).is_none(), "{at}");
            assert!(reader.top().is_some());
        }
    }
}
