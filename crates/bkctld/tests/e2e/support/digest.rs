//! What a tree is: names, types, content, mode, owner, modification times, extended attributes and
//! which of its names are one file. Access and change times are no part of it: reading, and the hard
//! links of later incs, change those.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::SeekFrom;
use sha2::{Digest as _, Sha256};

/// One line of facts for each name in a tree.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Digest(BTreeMap<Vec<u8>, String>);

impl Digest {
    /// Of everything at and below a directory.
    pub fn of(top: &Path) -> Digest {
        let mut entries = BTreeMap::new();
        let mut files: BTreeMap<(u64, u64), Vec<Vec<u8>>> = BTreeMap::new();
        let mut pending = vec![top.to_path_buf()];
        while let Some(path) = pending.pop() {
            let meta = path.symlink_metadata().unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            let name = path.strip_prefix(top).expect("below top").as_os_str().as_bytes().to_vec();
            if meta.is_dir() {
                pending.extend(fs::read_dir(&path).expect("read_dir").map(|e| e.expect("entry").path()));
            } else {
                files.entry((meta.dev(), meta.ino())).or_default().push(name.clone());
            }
            entries.insert(name, facts(&path, &meta));
        }
        // Link counts among the tree's own names, never those of the file system: an inc shares
        // inodes with its neighbours.
        for mut names in files.into_values().filter(|names| names.len() > 1) {
            names.sort();
            for name in &names {
                if let Entry::Occupied(mut entry) = entries.entry(name.clone()) {
                    let first = names[0].escape_ascii();
                    entry.get_mut().push_str(&format!(" one of {} links with {first}", names.len()));
                }
            }
        }
        Digest(entries)
    }

    /// How many names.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Fails with the first differences, if there are any.
    #[track_caller]
    pub fn assert_same(&self, now: &Digest, what: &str) {
        let show = |digest: &Digest, name| digest.0.get(name).map_or("absent", String::as_str).to_owned();
        let names = self.0.keys().chain(now.0.keys().filter(|name| !self.0.contains_key(*name)));
        let differences: Vec<String> = names
            .filter(|name| self.0.get(*name) != now.0.get(*name))
            .map(|name| format!("{}:\n  {}\n  {}", name.escape_ascii(), show(self, name), show(now, name)))
            .collect();
        let shown = differences.iter().take(10).cloned().collect::<Vec<_>>().join("\n");
        assert!(differences.is_empty(), "{what}: {} differences\n{shown}", differences.len());
    }
}

fn facts(path: &Path, meta: &fs::Metadata) -> String {
    let kind = meta.file_type();
    let content = if kind.is_file() {
        format!("file of {} bytes {}", meta.len(), hash(path))
    } else if kind.is_symlink() {
        let target = fs::read_link(path).expect("readlink").into_os_string().into_vec();
        format!("link to {}", target.escape_ascii())
    } else if kind.is_dir() {
        "directory".to_owned()
    } else if kind.is_fifo() {
        "fifo".to_owned()
    } else if kind.is_socket() {
        "socket".to_owned()
    } else {
        format!("device {:x}", meta.rdev())
    };
    format!(
        "{content} mode {:o} owner {}:{} mtime {}.{:09} xattrs [{}]",
        meta.mode(),
        meta.uid(),
        meta.gid(),
        meta.mtime(),
        meta.mtime_nsec(),
        xattrs(path)
    )
}

/// Of what is in a file, block by block; blocks of zeros count as holes, so that it says nothing
/// about which of the two they are, and takes no time for the holes of a big file.
fn hash(path: &Path) -> String {
    use std::os::unix::fs::FileExt;
    const BLOCK: u64 = 1 << 16;
    let file = fs::File::open(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; BLOCK as usize];
    let mut at = 0;
    // An error is the end: no data behind this place.
    while let Ok(data) = rustix::fs::seek(&file, SeekFrom::Data(at)) {
        at = data / BLOCK * BLOCK;
        let mut filled = 0;
        loop {
            let count = file.read_at(&mut buffer[filled..], at + filled as u64).expect("read");
            filled += count;
            if count == 0 || filled == buffer.len() {
                break;
            }
        }
        let block = &buffer[..filled];
        if block.iter().any(|byte| *byte != 0) {
            hasher.update(at.to_le_bytes());
            hasher.update(block);
        }
        at += BLOCK;
    }
    hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// `name=value` of each extended attribute, sorted.
pub fn xattrs(path: &Path) -> String {
    let mut names = vec![0u8; 1 << 16];
    let length = rustix::fs::llistxattr(path, &mut names[..])
        .unwrap_or_else(|e| panic!("llistxattr {}: {e}", path.display()));
    let mut all: Vec<String> = names[..length]
        .split(|byte| *byte == 0)
        // XFS shows each ACL a second time, in its own form.
        .filter(|name| !name.is_empty() && !name.starts_with(b"trusted.SGI_ACL_"))
        .map(|name| {
            let mut value = vec![0u8; 1 << 16];
            let length = rustix::fs::lgetxattr(path, OsStr::from_bytes(name), &mut value[..])
                .unwrap_or_else(|e| panic!("lgetxattr {}: {e}", path.display()));
            format!("{}={}", name.escape_ascii(), value[..length].escape_ascii())
        })
        .collect();
    all.sort();
    all.join(" ")
}

/// Sum of the disk space of everything below a directory, in bytes, each file counted once.
pub fn disk_usage(top: &Path) -> u64 {
    let mut seen = std::collections::BTreeSet::new();
    let mut pending: Vec<PathBuf> = vec![top.to_path_buf()];
    let mut sum = 0;
    while let Some(path) = pending.pop() {
        let meta = path.symlink_metadata().expect("stat");
        if seen.insert((meta.dev(), meta.ino())) {
            sum += meta.blocks() * 512;
        }
        if meta.is_dir() {
            pending.extend(fs::read_dir(&path).expect("read_dir").map(|e| e.expect("entry").path()));
        }
    }
    sum
}
