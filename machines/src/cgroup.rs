//! The control groups of a machine.
//!
//! Made here and not by this machine's systemd: where none is init, nobody would make a unit for the
//! container, or clear away the groups that it leaves; and a systemd outside of our PID namespace would take the
//! numbers of our processes for those of others.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The hierarchies in which systemd could look: the unified one, or the old ones of which some machines still
/// have nothing else.
fn hierarchies() -> impl Iterator<Item = PathBuf> {
    ["/sys/fs/cgroup", "/sys/fs/cgroup/systemd", "/sys/fs/cgroup/unified"]
        .into_iter()
        .map(PathBuf::from)
        .filter(|hierarchy| hierarchy.join("cgroup.procs").exists())
}

/// Whether this machine has the unified hierarchy alone.
pub fn is_unified() -> bool {
    Path::new("/sys/fs/cgroup/cgroup.controllers").exists()
}

/// Makes the group `name`, which may be one below another; in each hierarchy its directory.
pub fn make(name: &str) -> Vec<PathBuf> {
    let groups: Vec<PathBuf> = hierarchies().map(|hierarchy| hierarchy.join(name)).collect();
    for group in &groups {
        fs::create_dir_all(group).unwrap_or_else(|error| panic!("{}: {error}", group.display()));
    }
    groups
}

/// Removes the group with all below it. The kernel may still be at the end of its processes.
pub fn remove(name: &str) {
    for hierarchy in hierarchies() {
        for _ in 0..100 {
            match remove_tree(&hierarchy.join(name)) {
                Err(error) if error.kind() == ErrorKind::ResourceBusy => {
                    std::thread::sleep(Duration::from_millis(100));
                }
                Ok(()) | Err(_) => break,
            }
        }
    }
}

/// A group's files go with its directory, so only directories are removed.
fn remove_tree(group: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(group)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_tree(&entry.path())?;
        }
    }
    fs::remove_dir(group)
}
