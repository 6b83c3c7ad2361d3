//! The arguments of a program that is about to start, read from its memory while it waits.

use std::fs::File;
use std::os::unix::fs::FileExt;

use super::kind::Argv;

/// The most that is read: bytes of each word, and words.
const ARGV_BYTES: usize = 4096;
const ARGV_WORDS: usize = 16;

/// What can be read of them: a program whose arguments cannot be read is one nevertheless.
pub(super) fn read_argv(pid: i32, address: u64) -> Argv {
    let mut argv = Argv { words: Vec::new(), whole: false };
    let Ok(memory) = File::open(format!("/proc/{pid}/mem")) else { return argv };
    for index in 0..ARGV_WORDS as u64 {
        let mut pointer = [0; size_of::<usize>()];
        let read = address
            .checked_add(index * size_of::<usize>() as u64)
            .is_some_and(|at| memory.read_exact_at(&mut pointer, at).is_ok());
        if !read {
            return argv;
        }
        let pointer = usize::from_ne_bytes(pointer) as u64;
        if pointer == 0 {
            argv.whole = true;
            return argv;
        }
        let (text, whole) = read_string(&memory, pointer);
        argv.words.push(text);
        if !whole {
            return argv;
        }
    }
    argv
}

/// A string, and whether that is all of it.
fn read_string(memory: &File, address: u64) -> (Vec<u8>, bool) {
    let mut text = Vec::new();
    let mut chunk = [0; 256];
    while text.len() < ARGV_BYTES {
        let Some(at) = address.checked_add(text.len() as u64) else { break };
        // Not over a page's end, behind which nothing may be mapped.
        let room = (4096 - (at % 4096)).min(chunk.len() as u64) as usize;
        let Some(len) = memory.read_at(&mut chunk[..room], at).ok().filter(|len| *len > 0) else { break };
        match chunk[..len].iter().position(|byte| *byte == 0) {
            Some(end) => {
                text.extend_from_slice(&chunk[..end]);
                return (text, true);
            }
            None => text.extend_from_slice(&chunk[..len]),
        }
    }
    (text, false)
}
