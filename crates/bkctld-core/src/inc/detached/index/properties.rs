//! Properties of every index.

use std::ffi::CString;

use super::*;

const TOP: u64 = 42;

pub(crate) fn hold(bytes: &[u8]) {
    // As it is, which the checksums refuse unless it was written here.
    if let Some(reader) = file(bytes).and_then(|file| Reader::new(file, TOP)) {
        walk(&reader, reader.top(), 0);
    }
    // With checksums that are right, so that what they protect is read, too.
    sealed(bytes);
    if let Some(block) = Block::parse(bytes.to_vec()) {
        of_block(block);
    }
}

fn file(bytes: &[u8]) -> Option<File> {
    let mut file = tempfile::tempfile().ok()?;
    file.write_all(bytes).ok()?;
    Some(file)
}

/// A file whose one block is these bytes.
fn sealed(bytes: &[u8]) {
    let mut content = (bytes.len() as u32).to_le_bytes().to_vec();
    content.extend_from_slice(bytes);
    let sum = checksum(&content);
    content.extend_from_slice(&sum);
    let Some(file) = file(&content) else { return };
    let Ok(mut written) = file.try_clone() else { return };
    let seeked = io::Seek::seek(&mut written, io::SeekFrom::End(0));
    let writer = Writer { file: BufWriter::new(written), at: content.len() as u64 };
    assert!(seeked.is_ok() && writer.finish(TOP, 0).is_ok());
    let Some(reader) = Reader::new(file, TOP) else { unreachable!("what was written is not read") };
    assert_eq!(reader.top().is_some(), Block::parse(bytes.to_vec()).is_some());
    walk(&reader, reader.top(), 0);
}

/// A directory's offset may be any number. How deep it goes is up to the live tree, here to the bound.
fn walk(reader: &Reader, block: Option<Block>, depth: usize) {
    let Some(block) = block.filter(|_| depth < 4) else { return };
    for &at in block.entries.iter().take(16) {
        let Ok(name) = CString::new(block.name(at)) else { continue };
        if let Some(Known::Directory(offset)) = block.get(&name) {
            walk(reader, reader.block(offset), depth + 1);
        }
    }
}

/// What was read is found by name, and is the same when it is written once more.
fn of_block(block: Block) {
    let names: Vec<Vec<u8>> = block.entries.iter().map(|&at| block.name(at).to_vec()).collect();
    let in_order = names.windows(2).all(|pair| pair[0] < pair[1]);
    if in_order {
        for name in &names {
            let name = CString::new(name.clone());
            assert!(name.is_err() || name.is_ok_and(|name| block.get(&name).is_some()));
        }
    }
    let bytes = block.bytes.clone();
    let sealed = block.sealed();
    let (content, sum) = sealed.split_at(sealed.len() - SUM);
    assert_eq!(checksum(content), *sum);
    assert_eq!(content.len(), HEADER + bytes.len());
    assert!(!in_order || content[HEADER..] == bytes);
    assert!(Block::parse(content[HEADER..].to_vec()).is_some());
}
