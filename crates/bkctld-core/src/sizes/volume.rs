//! Recognizes changes of a file system by the amount of used space.
//!
//! Nobody can make a file larger or smaller without a change in the number of blocks or inodes in use,
//! unless another one changes by the same amount the other way. So where both numbers are as they were
//! before the last walk, they vouch for what was found then, whoever may have written. (Times of change of directories do
//! not: they stay when a file in them grows.)

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use bkctld_sys::filesystem::{self, Kind};
use bkctld_tree::stat::Inode;
use rustix::fs::{IFlags, Stat, fstat, ioctl_getflags, syncfs};
use sha2::{Digest, Sha256};

use super::cache_dir::{CacheDir, Usage};
use crate::error::{IoContext, Result};
use crate::file::{self, Sync};

/// The file that holds the state; it is written in place, so that this takes no block and no inode.
const LEN: usize = 64;

/// The file systems whose numbers are exact once all is written: ext4 (and its elders) and XFS. Of others
/// (ZFS, network file systems) that is not known, and on btrfs a small file takes no block of its own.
const EXACT: [Kind; 2] = [Kind::EXT4, Kind::XFS];

/// The used space of a file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct State {
    /// Its [`Kind::number`].
    kind: u64,
    /// Of the whole file system, in bytes.
    size: u64,
    /// In use, in units of 512 bytes.
    blocks: u64,
    inodes: u64,
}

/// The file system that holds `JAILDIR`, for one run.
#[derive(Debug)]
pub(super) struct Volume {
    dir: File,
    path: PathBuf,
    device: u64,
    /// The state before anything was walked.
    before: State,
    /// Whether they tell of every change.
    exact: bool,
    unchanged: bool,
}

impl Volume {
    /// Looks at it, after everything was written.
    pub(super) fn begin(path: &Path, caches: &CacheDir) -> Result<Volume> {
        let dir = File::open(path).context("cannot open", path)?;
        syncfs(&dir).context("cannot sync", path)?;
        let before = State::read(&dir).context("cannot look at", path)?;
        let device = Inode::from_stat(&fstat(&dir).context("cannot look at", path)?).device;
        // With a project's quota on the directory, what is told is the project's use.
        let of_project = ioctl_getflags(&dir).is_ok_and(|flags| flags.contains(IFlags::PROJECT_INHERIT));
        let exact = EXACT.iter().any(|kind| kind.number() == before.kind) && !of_project;
        let unchanged = read(&caches.state()) == Some(before);
        Ok(Volume { dir, path: path.to_path_buf(), device, before, exact, unchanged })
    }

    /// Whether nothing has changed in it since what is in the caches was found.
    pub(super) fn is_unchanged(&self) -> bool {
        self.unchanged
    }

    /// Whether the file is on it, and its numbers tell of every change of the file's size.
    pub(super) fn vouches_for(&self, stat: &Stat) -> bool {
        self.exact && Inode::from_stat(stat).device == self.device
    }

    /// Writes the caches, and the state that they are true in.
    pub(super) fn finish(self, dir: &CacheDir, caches: &[(PathBuf, Vec<u8>)]) -> Result<()> {
        if self.unchanged && caches.is_empty() {
            return Ok(());
        }
        // From here on, until all is written, no state vouches for the caches.
        write(&dir.state(), &[0; LEN])?;
        let same = dir.device()? == self.device;
        // Where the caches lie on the file system itself, their own blocks are to be told from what
        // somebody else writes in this moment.
        let between = (self.state()?, dir.usage()?);
        for (path, content) in caches {
            file::replace_with(path, 0o600, content, Sync::Later)?;
        }
        let vouches = if same {
            syncfs(&self.dir).context("cannot sync", &self.path)?;
            let (state, usage) = (self.state()?, dir.usage()?);
            let explained = between.0.with_usage(between.1, usage);
            (between.0 == self.before && explained == Some(state)).then_some(state)
        } else {
            Some(self.before)
        };
        match vouches {
            Some(state) => write(&dir.state(), &state.bytes()),
            None => Ok(()),
        }
    }

    fn state(&self) -> Result<State> {
        State::read(&self.dir).context("cannot look at", &self.path)
    }
}

impl State {
    fn read(dir: &File) -> std::io::Result<State> {
        let now = filesystem::read(dir)?;
        Ok(State {
            kind: now.kind.number(),
            size: now.blocks * now.block_size,
            blocks: (now.blocks - now.free_blocks) * (now.block_size / 512),
            inodes: now.inodes.wrapping_sub(now.free_inodes),
        })
    }

    /// The state after so much has been taken or given back.
    fn with_usage(self, before: Usage, after: Usage) -> Option<State> {
        let blocks = (self.blocks + after.blocks).checked_sub(before.blocks)?;
        let inodes = (self.inodes + after.inodes).checked_sub(before.inodes)?;
        Some(State { blocks, inodes, ..self })
    }

    fn bytes(self) -> [u8; LEN] {
        let mut bytes = [0; LEN];
        for (at, number) in [(0, self.kind), (8, self.size), (16, self.blocks), (24, self.inodes)] {
            bytes[at..at + 8].copy_from_slice(&number.to_le_bytes());
        }
        let sum = Sha256::digest(&bytes[..32]);
        bytes[32..].copy_from_slice(&sum);
        bytes
    }

    fn from_bytes(bytes: &[u8; LEN]) -> Option<State> {
        let number = |at: usize| Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?));
        let state = State { kind: number(0)?, size: number(8)?, blocks: number(16)?, inodes: number(24)? };
        (state.bytes() == *bytes).then_some(state)
    }
}

fn read(path: &Path) -> Option<State> {
    let file = File::open(path).ok()?;
    let mut bytes = [0; LEN];
    file.read_exact_at(&mut bytes, 0).ok()?;
    State::from_bytes(&bytes)
}

/// Writes the file's only block in place. A crash in the middle spoils the checksum, and then the next
/// run walks.
fn write(path: &Path, bytes: &[u8; LEN]) -> Result<()> {
    let open = || {
        let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)?;
        file.write_all_at(bytes, 0)
    };
    open().context("cannot write", path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_read_back_whole_or_not_at_all() {
        let state = State { kind: EXACT[0].number(), size: 1 << 40, blocks: 12345, inodes: 678 };
        assert_eq!(State::from_bytes(&state.bytes()), Some(state));
        assert_eq!(State::from_bytes(&[0; LEN]), None);
        for at in 0..LEN {
            let mut bytes = state.bytes();
            bytes[at] ^= 1;
            assert_eq!(State::from_bytes(&bytes), None, "{at}");
        }
    }

    #[test]
    fn what_own_files_take_is_told_from_what_others_take() {
        let state = State { kind: EXACT[1].number(), size: 1 << 40, blocks: 100, inodes: 10 };
        let (before, after) = (Usage { blocks: 8, inodes: 2 }, Usage { blocks: 24, inodes: 3 });
        assert_eq!(state.with_usage(before, after), Some(State { blocks: 116, inodes: 11, ..state }));
        assert_eq!(state.with_usage(after, before), Some(State { blocks: 84, inodes: 9, ..state }));
    }
}
