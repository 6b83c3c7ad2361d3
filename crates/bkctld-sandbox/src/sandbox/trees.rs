//! The directories of the server that a session sees, as mounts that are not attached yet.
//!
//! They are taken by descriptor from the server's own mount namespace; the sandbox then only
//! attaches them. Nothing below `data` and `var` is looked up by a path that a link could bend.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use bkctld_core::error::{Error, IoContext, Result};
use bkctld_core::{Jail, text};
use bkctld_sys::mount::{Attributes, set_attributes};
use rustix::fs::{CWD, FlockOperation, Mode, OFlags, ResolveFlags, flock, mkdirat, openat, openat2};
use rustix::io::Errno;
use rustix::mount::{OpenTreeFlags, open_tree};

use crate::served::ServedJail;

/// The mounts of one session.
#[derive(Debug)]
pub(crate) struct Trees {
    pub(crate) root: OwnedFd,
    pub(crate) usr: OwnedFd,
    pub(crate) var: OwnedFd,
    pub(crate) data: OwnedFd,
    /// `data` again, for `/var/backup`; none if the client has replaced it.
    pub(crate) backup: Option<OwnedFd>,
    /// Holds a shared lock on the runtime, so that `update` sees that it is in use.
    pub(crate) runtime: File,
}

const CLIENT_DATA: Attributes = Attributes { read_only: false, nosuid: true, nodev: true, noexec: true };
const ROOT: Attributes = Attributes { read_only: true, nosuid: true, nodev: true, noexec: true };
const PROGRAMS: Attributes = Attributes { read_only: true, nosuid: true, nodev: true, noexec: false };

impl Trees {
    /// Takes the mounts, their owners shifted into this user namespace.
    pub(crate) fn take(served: &ServedJail, ids: Option<BorrowedFd<'_>>) -> Result<Trees> {
        let jail = &served.jail;
        let dir = openat(CWD, jail.dir(), DIR | OFlags::NOFOLLOW, Mode::empty())
            .context("cannot open", jail.dir())?;
        let part = |name: &str, attributes| {
            let path = jail.dir().join(name);
            let part = beneath(dir.as_fd(), name).map_err(|error| missing(jail, &path, error))?;
            take(part.as_fd(), &path, attributes, ids)
        };
        let runtime_path = served.runtime();
        let runtime = open_runtime(jail, &runtime_path)?;
        let usr_path = runtime_path.join("usr");
        let usr = beneath(runtime.as_fd(), "usr").map_err(|error| missing(jail, &usr_path, error))?;
        let backup = backup_mount_point(&dir).then(|| part("data", CLIENT_DATA)).transpose()?;
        Ok(Trees {
            root: part("rootfs", ROOT)?,
            // Not shifted: its owners are shown as nobody, which no program minds, and its file
            // system need not know idmapped mounts.
            usr: take(usr.as_fd(), &usr_path, PROGRAMS, None)?,
            var: part("var", CLIENT_DATA)?,
            data: part("data", CLIENT_DATA)?,
            backup,
            runtime,
        })
    }
}

const DIR: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// Opens a directory below another without following any link.
pub(crate) fn beneath(dir: BorrowedFd<'_>, name: &str) -> rustix::io::Result<OwnedFd> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    loop {
        // EAGAIN: something was renamed meanwhile and the kernel could not be sure.
        match openat2(dir, name, DIR, Mode::empty(), resolve) {
            Err(Errno::AGAIN) => {}
            other => return other,
        }
    }
}

/// The hint for what `update` mends.
fn update(jail: &Jail) -> String {
    format!("run 'bkctld update {}'", jail.name())
}

fn missing(jail: &Jail, path: &Path, error: Errno) -> Error {
    match error {
        Errno::NOENT | Errno::NOTDIR | Errno::LOOP => {
            Error::bad_file(path, "is missing or not a directory").with_hint(update(jail))
        }
        error => Error::io("cannot open", path, error),
    }
}

fn take(
    dir: BorrowedFd<'_>,
    path: &Path,
    attributes: Attributes,
    ids: Option<BorrowedFd<'_>>,
) -> Result<OwnedFd> {
    let flags =
        OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
    let tree = open_tree(dir, "", flags).context("cannot take a mount of", path)?;
    set_attributes(tree.as_fd(), attributes, ids).map_err(|error| {
        if ids.is_some() && error.raw_os_error() == Some(Errno::INVAL.raw_os_error()) {
            let path_shown = text::path(path);
            let message = format!(
                "the file system of {path_shown} does not support idmapped mounts, which full isolation needs"
            );
            return Error::refused(message)
                .at(path)
                .with_hint("set ISOLATION=compat in the jail's session_policy, or move the jail");
        }
        Error::io("cannot restrict the mount of", path, error)
    })?;
    Ok(tree)
}

/// Opens the runtime that `current` names now, and locks it.
fn open_runtime(jail: &Jail, path: &Path) -> Result<File> {
    let runtime = File::open(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => {
            let message = format!("there is no runtime at {}", text::path(path));
            Error::refused(message).at(path).with_hint(update(jail))
        }
        _ => Error::io("cannot open", path, error),
    })?;
    flock(&runtime, FlockOperation::LockShared).context("cannot lock", path)?;
    Ok(runtime)
}

/// Whether `var/backup` is a directory, made if nothing is there. The client may put anything else
/// in its place; then its sessions have `/data` only.
fn backup_mount_point(jail_dir: &OwnedFd) -> bool {
    let Ok(var) = beneath(jail_dir.as_fd(), "var") else { return false };
    match beneath(var.as_fd(), "backup") {
        Ok(_) => true,
        Err(Errno::NOENT) => mkdirat(&var, "backup", Mode::from_raw_mode(0o755)).is_ok(),
        Err(_) => false,
    }
}
