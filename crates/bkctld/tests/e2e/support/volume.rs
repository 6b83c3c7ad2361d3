//! A file system in a file, mounted for one test.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::run::{run, sh, wait_for};

/// The file systems that a backup partition is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FsKind {
    Btrfs,
    Ext4,
    Xfs,
}

/// A loop-mounted image; unmounted when dropped.
pub struct Volume {
    pub image: PathBuf,
    pub mount: PathBuf,
    /// `major:minor` as in mountinfo.
    pub device: String,
}

impl Volume {
    /// Makes a file system of so many MiB (a sparse file) below `dir` and mounts it.
    pub fn make(dir: &Path, kind: FsKind, mib: u64) -> Volume {
        let image = dir.join("volume.img");
        let mount = dir.join("backup");
        std::fs::create_dir(&mount).expect("mount point");
        let file = std::fs::File::create(&image).expect("image");
        file.set_len(mib << 20).expect("image size");
        // Default features; only work that mkfs does ahead of time is left out.
        let mkfs: &[&str] = match kind {
            FsKind::Btrfs => &["mkfs.btrfs", "-q"],
            FsKind::Ext4 => &["mkfs.ext4", "-q", "-E", "lazy_itable_init=1,lazy_journal_init=1"],
            FsKind::Xfs => &["mkfs.xfs", "-q"],
        };
        let mut command = Command::new(mkfs[0]);
        command.args(&mkfs[1..]).arg(&image);
        run(command).ok();
        let mut command = Command::new("mount");
        command.args(["-o", "loop"]).args([&image, &mount]);
        run(command).ok();
        let device = device_of(&mount);
        Volume { image, mount, device }
    }

    /// Makes the volume read-only or writable again.
    pub fn remount(&self, mode: &str) {
        sh(&format!("mount -o remount,{mode} {}", self.mount.display()));
    }

    /// Whether the kernel still holds the image: a mount of it is left in some namespace.
    fn is_attached(&self) -> bool {
        !sh(&format!("losetup -j {}", self.image.display())).is_empty()
    }

    /// Unmounts, and demands that nothing holds it anywhere.
    pub fn unmount(&self) {
        let mount = self.mount.display().to_string();
        let unmounted = || {
            let mut command = Command::new("umount");
            command.arg(&mount);
            run(command).code == 0
        };
        if std::thread::panicking() {
            if !unmounted() {
                sh(&format!("umount -l {mount}"));
            }
        } else {
            wait_for("the volume can be unmounted", unmounted);
            wait_for("no other mount of the volume is left", || !self.is_attached());
        }
    }
}

/// `major:minor` of the mount at this place.
fn device_of(mount: &Path) -> String {
    let wanted = mount.to_str().expect("temporary paths are UTF-8");
    let table = std::fs::read_to_string("/proc/thread-self/mountinfo").expect("mountinfo");
    let mut lines = table.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    let fields = lines.find(|fields| fields[4] == wanted).expect("the volume is mounted");
    fields[2].to_owned()
}
