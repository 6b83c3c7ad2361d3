//! The layout of a jail of the first format: the root file system directly in `JAILDIR/J`, the data in
//! `var/backup`, and no `version` file.
//!
//! An interrupted conversion leaves some parts at their new path, so each part is looked for there first. The
//! client can change everything in such a jail, because it was root in a mere chroot of the server.

use std::io;
use std::path::{Path, PathBuf};

use super::{DATA, ROOTFS, VERSION};

/// The path of the data below the jail's directory.
pub(crate) const OLD_DATA: &str = "var/backup";

/// Whether this directory contains a jail of the first format.
pub(super) fn found_in(dir: &Path) -> bool {
    let no_version = || {
        let version = dir.join(VERSION).symlink_metadata();
        version.is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
    };
    dir.symlink_metadata().is_ok_and(|meta| meta.is_dir()) && no_version()
}

/// The present location of a path of the root file system.
pub(super) fn in_root(dir: &Path, path: &Path) -> PathBuf {
    let moved = dir.join(ROOTFS).join(path);
    if moved.symlink_metadata().is_ok() { moved } else { dir.join(path) }
}

/// The present location of the data.
pub(super) fn data(dir: &Path) -> PathBuf {
    let old = dir.join(OLD_DATA);
    let moved = dir.join(DATA);
    if old.symlink_metadata().is_err() && moved.symlink_metadata().is_ok() { moved } else { old }
}
