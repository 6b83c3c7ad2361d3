//! Where things lie in a jail of the first format: the root file system right in `JAILDIR/J`, the data
//! in `var/backup`, and no `version` file.
//!
//! A conversion that was interrupted leaves some of it at its new place; each thing is looked for
//! there first. All of such a jail is the client's, who was root in a mere chroot of the server.

use std::io;
use std::path::{Path, PathBuf};

use super::{DATA, ROOTFS, VERSION};

/// Where the data lay, below the jail's directory.
pub(crate) const OLD_DATA: &str = "var/backup";

/// Whether a jail of the first format lies in this directory.
pub(super) fn found_in(dir: &Path) -> bool {
    let no_version = || {
        let version = dir.join(VERSION).symlink_metadata();
        version.is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
    };
    dir.symlink_metadata().is_ok_and(|meta| meta.is_dir()) && no_version()
}

/// The place of a path of the root file system.
pub(super) fn in_root(dir: &Path, path: &Path) -> PathBuf {
    let moved = dir.join(ROOTFS).join(path);
    if moved.symlink_metadata().is_ok() { moved } else { dir.join(path) }
}

/// The place of the data.
pub(super) fn data(dir: &Path) -> PathBuf {
    let old = dir.join(OLD_DATA);
    let moved = dir.join(DATA);
    if old.symlink_metadata().is_err() && moved.symlink_metadata().is_ok() { moved } else { old }
}
