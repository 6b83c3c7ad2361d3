//! Volumes in files, mounted where nobody else sees them.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use bkctld_sys::namespace::{Namespace, unshare};
use tempfile::TempDir;

use crate::Result;

/// The file systems that a backup server has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// ext4.
    Ext4,
    /// XFS with reflinks.
    Xfs,
    /// btrfs.
    Btrfs,
}

impl Kind {
    /// Its name, as `mkfs` has it.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Ext4 => "ext4",
            Kind::Xfs => "xfs",
            Kind::Btrfs => "btrfs",
        }
    }
}

/// A mounted volume; it goes with this value.
#[derive(Debug)]
pub struct Volume {
    dir: TempDir,
}

impl Volume {
    /// Makes and mounts one of so many GiB (the file is sparse).
    pub fn new(kind: Kind, gib: u64) -> Result<Volume> {
        let dir = tempfile::Builder::new().prefix("bkctld-bench-").tempdir()?;
        let image = dir.path().join("image");
        File::create(&image)?.set_len(gib << 30)?;
        command(Command::new(format!("mkfs.{}", kind.name())).arg("-q").arg(&image))?;
        fs::create_dir(dir.path().join("volume"))?;
        let volume = Volume { dir };
        command(Command::new("mount").args(["-o", "loop,noatime"]).arg(&image).arg(volume.path()))?;
        Ok(volume)
    }

    /// Where it is mounted.
    pub fn path(&self) -> PathBuf {
        self.dir.path().join("volume")
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        if let Err(error) = command(Command::new("umount").arg("-l").arg(self.path())) {
            eprintln!("bench: {error}");
        }
    }
}

/// From here on mounts and the loopback network are this process's and its children's: the mounts
/// vanish with them, and no port is another program's.
pub fn enter_namespaces() -> Result<()> {
    unshare(&[Namespace::Mount, Namespace::Net])?;
    command(Command::new("mount").args(["--make-rprivate", "/"]))?;
    command(Command::new("ip").args(["link", "set", "lo", "up"]))
}

/// Runs a program that must succeed; its words are in the error.
pub fn command(command: &mut Command) -> Result<()> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr)).into())
}

/// Makes `files` files of `bytes` bytes below `dir`, a hundred in each directory.
pub fn many_files(dir: &Path, files: usize, bytes: usize) -> Result<()> {
    let content = vec![b'x'; bytes];
    for group in 0..files.div_ceil(100) {
        let group_dir = dir.join(format!("{:03}", group / 100)).join(format!("{group:05}"));
        fs::create_dir_all(&group_dir)?;
        for file in 0..100.min(files - group * 100) {
            fs::write(group_dir.join(format!("file-{file:02}")), &content)?;
        }
    }
    Ok(())
}
