//! The directories of a tree and their times of change: whether a name has come, gone or been moved in any
//! of them. (Not whether a file has grown.)

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use bkctld_tree::hold;
use bkctld_tree::stat::{FsTime, Inode, ctime};
use rustix::fs::{Stat, fstat};
use sha2::{Digest, Sha256};

use crate::error::Result;
use crate::file::{self, Sync};

/// What is known of one directory: inode, seconds and nanoseconds of its last change.
const MARK: usize = 8 + 8 + 4;

/// The longest path that is looked up again, in bytes: the kernel takes none of this length.
const PATH_MAX: usize = 4096;

/// The largest trail, in bytes: a client makes the directories, and the server keeps them in memory.
const MOST: usize = 64 << 20;

/// The directories of one tree, by path.
#[derive(Debug, Default)]
pub(super) struct Trail {
    marks: Vec<(Vec<u8>, [u8; MARK])>,
    /// In bytes; what the list itself takes for each entry, too.
    size: usize,
    given_up: bool,
}

impl Trail {
    /// Adds a directory. With a path too long, or when all are too much, there is no trail, and the tree
    /// is walked again the next time.
    pub(super) fn add(&mut self, path: PathBuf, stat: &Stat) {
        let path = path.into_os_string().into_vec();
        self.size = self.size.saturating_add(size_of::<(Vec<u8>, [u8; MARK])>() + path.len());
        if path.len() >= PATH_MAX || self.size > MOST {
            *self = Trail { given_up: true, ..Trail::default() };
        }
        if !self.given_up {
            self.marks.push((path, mark(stat)));
        }
    }

    /// Whether a further directory would still be kept.
    pub(super) fn is_kept(&self) -> bool {
        !self.given_up
    }

    pub(super) fn sort(&mut self) {
        self.marks.sort_unstable();
    }

    /// Writes it, unless it is there already. Gives its checksum; none where there is no trail.
    pub(super) fn write(&self, path: &Path) -> Result<Option<String>> {
        if self.given_up {
            file::remove_if_there(path)?;
            return Ok(None);
        }
        let mut bytes = Vec::new();
        for (name, mark) in &self.marks {
            bytes.extend_from_slice(mark);
            bytes.extend_from_slice(name);
            bytes.push(0);
        }
        if fs::read(path).ok().as_ref() != Some(&bytes) {
            file::replace_with(path, 0o600, &bytes, Sync::Later)?;
        }
        Ok(Some(checksum(&bytes)))
    }
}

/// Whether every directory of the tree is as it was when the trail of this checksum was written.
pub(super) fn is_unchanged(top: &OwnedFd, path: &Path, sum: &str) -> bool {
    let Ok(bytes) = fs::read(path) else { return false };
    if checksum(&bytes) != sum {
        return false;
    }
    let mut rest = bytes.as_slice();
    while let Some((was, after)) = rest.split_first_chunk::<MARK>() {
        let Some(end) = after.iter().position(|byte| *byte == 0) else { return false };
        let (name, after) = after.split_at(end);
        // By descriptors: the client may have put a link in the way. A path that is too long to be
        // looked up is as if it had changed.
        if !hold(top, name).is_ok_and(|dir| fstat(&dir).is_ok_and(|stat| mark(&stat) == *was)) {
            return false;
        }
        rest = after.get(1..).unwrap_or_default();
    }
    rest.is_empty()
}

fn checksum(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn mark(stat: &Stat) -> [u8; MARK] {
    let mut mark = [0; MARK];
    let FsTime { seconds, nanoseconds } = ctime(stat);
    mark[..8].copy_from_slice(&Inode::from_stat(stat).number.to_le_bytes());
    mark[8..16].copy_from_slice(&seconds.to_le_bytes());
    mark[16..].copy_from_slice(&nanoseconds.to_le_bytes());
    mark
}

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod properties;

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    #[test]
    fn a_name_that_comes_goes_or_moves_shows_and_a_file_that_grows_does_not() {
        let dir = tempfile::tempdir().unwrap();
        let (tree, kept) = (dir.path().join("tree"), dir.path().join("trail"));
        fs::create_dir_all(tree.join("a/b")).unwrap();
        fs::write(tree.join("a/b/file"), "x").unwrap();
        let top: OwnedFd = File::open(&tree).unwrap().into();
        let trail = |paths: &[&str]| {
            let mut trail = Trail::default();
            for path in paths {
                trail.add(PathBuf::from(path), &fstat(File::open(tree.join(path)).unwrap()).unwrap());
            }
            trail.sort();
            trail.write(&kept).unwrap().unwrap()
        };
        let sum = trail(&["a/b", ".", "a"]);
        assert!(is_unchanged(&top, &kept, &sum));
        assert!(!is_unchanged(&top, &kept, "other"));
        // The clock of the file system is coarse.
        std::thread::sleep(std::time::Duration::from_millis(20));
        fs::write(tree.join("a/b/file"), "longer").unwrap();
        assert!(is_unchanged(&top, &kept, &sum));
        fs::rename(tree.join("a/b/file"), dir.path().join("out")).unwrap();
        assert!(!is_unchanged(&top, &kept, &sum));
        let sum = trail(&["a/b", ".", "a"]);
        fs::rename(tree.join("a"), tree.join("moved")).unwrap();
        std::os::unix::fs::symlink("moved", tree.join("a")).unwrap();
        assert!(!is_unchanged(&top, &kept, &sum));
        fs::write(&kept, "damaged").unwrap();
        assert!(!is_unchanged(&top, &kept, &sum));
    }
    #[test]
    fn a_trail_that_a_client_makes_too_long_is_given_up_and_leaves_no_file() {
        let dir = tempfile::tempdir().unwrap();
        let kept = dir.path().join("trail");
        let stat = fstat(File::open(dir.path()).unwrap()).unwrap();
        let mut short = Trail::default();
        short.add(PathBuf::from("d/".repeat(PATH_MAX / 2 - 1)), &stat);
        assert!(short.write(&kept).unwrap().is_some());
        let mut long = Trail::default();
        long.add(PathBuf::from("."), &stat);
        long.add(PathBuf::from("d/".repeat(PATH_MAX / 2)), &stat);
        let mut many = Trail::default();
        for _ in 0..=MOST / 4000 {
            many.add(PathBuf::from("d".repeat(4000)), &stat);
        }
        for trail in [&mut long, &mut many] {
            trail.add(PathBuf::from("a"), &stat);
            assert!(!trail.is_kept() && trail.marks.is_empty());
            assert_eq!(trail.write(&kept).unwrap(), None);
            assert!(!kept.exists());
        }
    }
}
