//! The root file system of a sandbox, assembled by its process 1 while that is still root on the server: the
//! mounts then belong to the server's user namespace, and the jail has no power over them.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use bkctld_core::Jail;
use bkctld_core::error::{Error, Result};
use bkctld_sys::mount::{Attributes, set_attributes};
use rustix::fs::{
    AtFlags, CWD, Dev, FileType, Gid, Mode, Uid, chmodat, chownat, makedev, mkdirat, mknodat, symlinkat,
};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountPropagationFlags, MoveMountFlags, UnmountFlags,
    fsconfig_create, fsconfig_set_string, fsmount, fsopen, mount_change, move_mount, unmount,
};
use rustix::process::{chdir, fchdir, pivot_root};

use super::trees::{Trees, beneath};

/// The group `tty`, which owns terminals, inside of every jail.
const TTY: u32 = 5;

/// The owner of the new file systems: the jail's root, by its id on the server.
#[derive(Clone, Copy)]
pub(crate) struct Owner(pub(crate) u32);

/// Enters the new root and detaches the old one.
///
/// Returns whether `/var/backup` is served.
pub(crate) fn enter(jail: &Jail, trees: &Trees, owner: Owner) -> Result<bool> {
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
        .step("make mounts private")?;
    // Any directory can be the mount point; this one always exists.
    move_mount(&trees.root, "", CWD, "/proc", MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
        .step("attach the root")?;
    let root = trees.root.as_fd();
    let attach = |tree: BorrowedFd<'_>, at: &str| {
        let target = beneath(root, at).map_err(|error| {
            Error::io("cannot open", &jail.rootfs().join(at), error)
                .with_hint(format!("run 'bkctld update {}'", jail.name()))
        })?;
        attach(tree, target.as_fd(), at)
    };
    attach(trees.usr.as_fd(), "usr")?;
    attach(trees.var.as_fd(), "var")?;
    attach(trees.data.as_fd(), "data")?;
    let backup = attach_backup(trees);
    attach(tmpfs(owner, "64m", "1777")?.as_fd(), "tmp")?;
    attach(run(owner)?.as_fd(), "run")?;
    let dev = dev(owner)?;
    attach(dev.as_fd(), "dev")?;
    attach(terminals(owner)?.as_fd(), "dev/pts")?;
    attach(proc()?.as_fd(), "proc")?;

    fchdir(root).step("enter the root")?;
    pivot_root(".", ".").step("change the root")?;
    unmount(".", UnmountFlags::DETACH).step("leave the server's root")?;
    chdir("/").step("enter the root")?;
    Ok(backup)
}

fn attach(tree: BorrowedFd<'_>, target: BorrowedFd<'_>, at: &str) -> Result<()> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    move_mount(tree, "", target, "", flags).step(&format!("attach /{at}"))
}

/// The client writes in `/var` and may have replaced `backup` since it was checked; then the session has no
/// `/var/backup`.
fn attach_backup(trees: &Trees) -> bool {
    let Some(backup) = &trees.backup else { return false };
    beneath(trees.var.as_fd(), "backup")
        .is_ok_and(|target| attach(backup.as_fd(), target.as_fd(), "var/backup").is_ok())
}

fn tmpfs(owner: Owner, size: &str, mode: &str) -> Result<OwnedFd> {
    let id = owner.0.to_string();
    let options = [("size", size), ("nr_inodes", "16384"), ("mode", mode), ("uid", &id), ("gid", &id)];
    file_system("tmpfs", &options)
}

fn run(owner: Owner) -> Result<OwnedFd> {
    let run = tmpfs(owner, "4m", "755")?;
    // sshd refuses to start unless this belongs to root and nobody else may write there.
    mkdirat(&run, "sshd", Mode::from_raw_mode(0o755)).step("make /run/sshd")?;
    own(run.as_fd(), "sshd", owner)?;
    Ok(run)
}

fn own(dir: BorrowedFd<'_>, name: &str, owner: Owner) -> Result<()> {
    let (uid, gid) = (Uid::from_raw(owner.0), Gid::from_raw(owner.0));
    chownat(dir, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW).step("set the owner in /run or /dev")
}

fn dev(owner: Owner) -> Result<OwnedFd> {
    let id = owner.0.to_string();
    let dev = file_system_with(
        "tmpfs",
        &[("size", "64k"), ("nr_inodes", "64"), ("mode", "755"), ("uid", &id), ("gid", &id)],
        // Devices work here, and only here.
        MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NOEXEC,
    )?;
    let nodes: [(&str, Dev); 6] = [
        ("null", makedev(1, 3)),
        ("zero", makedev(1, 5)),
        ("full", makedev(1, 7)),
        ("random", makedev(1, 8)),
        ("urandom", makedev(1, 9)),
        ("tty", makedev(5, 0)),
    ];
    let all = Mode::from_raw_mode(0o666);
    for (name, device) in nodes {
        mknodat(&dev, name, FileType::CharacterDevice, all, device).step("make a device in /dev")?;
        chmodat(&dev, name, all, AtFlags::empty()).step("set the mode of a device")?;
        own(dev.as_fd(), name, owner)?;
    }
    mkdirat(&dev, "pts", Mode::from_raw_mode(0o755)).step("make /dev/pts")?;
    for (name, target) in [
        ("ptmx", "pts/ptmx"),
        ("fd", "/proc/self/fd"),
        ("stdin", "/proc/self/fd/0"),
        ("stdout", "/proc/self/fd/1"),
        ("stderr", "/proc/self/fd/2"),
    ] {
        symlinkat(target, &dev, name).step("make a link in /dev")?;
    }
    let frozen = Attributes { read_only: true, nosuid: true, nodev: false, noexec: true };
    set_attributes(dev.as_fd(), frozen, None).step("make /dev read-only")?;
    Ok(dev)
}

fn terminals(owner: Owner) -> Result<OwnedFd> {
    let group = (owner.0 + TTY).to_string();
    file_system_with(
        "devpts",
        &[("mode", "620"), ("ptmxmode", "666"), ("gid", &group)],
        MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NOEXEC,
    )
}

fn proc() -> Result<OwnedFd> {
    file_system_with(
        "proc",
        // The processes of the sandbox, and nothing of the kernel.
        &[("subset", "pid")],
        restricted() | MountAttrFlags::MOUNT_ATTR_RDONLY,
    )
}

fn restricted() -> MountAttrFlags {
    MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV | MountAttrFlags::MOUNT_ATTR_NOEXEC
}

fn file_system(kind: &str, options: &[(&str, &str)]) -> Result<OwnedFd> {
    file_system_with(kind, options, restricted())
}

fn file_system_with(kind: &str, options: &[(&str, &str)], attributes: MountAttrFlags) -> Result<OwnedFd> {
    let make = || -> rustix::io::Result<OwnedFd> {
        let context = fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)?;
        for (key, value) in options {
            fsconfig_set_string(context.as_fd(), *key, *value)?;
        }
        fsconfig_create(context.as_fd())?;
        fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attributes)
    };
    make().step(&format!("new {kind}"))
}

/// Names the step of making a sandbox that failed.
pub(crate) trait Step<T> {
    /// `what` completes "cannot make the sandbox: …".
    fn step(self, what: &str) -> Result<T>;
}

impl<T, E: Into<std::io::Error>> Step<T> for std::result::Result<T, E> {
    fn step(self, what: &str) -> Result<T> {
        self.map_err(|error| Error::kernel(format!("cannot make the sandbox: {what}"), error))
    }
}
