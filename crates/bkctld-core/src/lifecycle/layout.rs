//! What lies in a jail's directory besides its configuration: the directories and links that a
//! session's root is put together from.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use crate::config::Settings;
use crate::error::{Error, IoContext, Result};
use crate::file::{self, Sync};
use crate::jail::Jail;
use crate::runtime::RuntimeStore;

/// Directories of the jail's root, with their modes. Most are mount points of a session.
const ROOT_DIRS: [(&str, u32); 12] = [
    ("", 0o755),
    ("etc", 0o755),
    ("etc/ssh", 0o755),
    ("root", 0o700),
    ("root/.ssh", 0o700),
    ("usr", 0o755),
    ("data", 0o755),
    ("var", 0o755),
    ("tmp", 0o755),
    ("run", 0o755),
    ("dev", 0o755),
    ("proc", 0o555),
];

/// Makes what a start needs where it is missing: the programs that the jails share, and what the
/// original did not make in a jail's root.
pub fn make_ready(settings: &Settings, jail: &Jail) -> Result<()> {
    let store = RuntimeStore::ready(settings)?;
    let rootfs = jail.rootfs();
    let complete = ROOT_DIRS.iter().all(|(name, _)| rootfs.join(name).is_dir());
    if complete { Ok(()) } else { lay_out(jail, &store) }
}

/// Makes what a session's root needs, or mends it where something is missing. The programs that
/// the original copied into the jail give way to links into the shared runtime.
///
/// # Errors
/// [`Error::NoSuchJail`], where another command has renamed, archived or deleted it while the caller
/// waited for its lock: nothing of it must come back by this.
pub fn lay_out(jail: &Jail, runtime: &RuntimeStore) -> Result<()> {
    if !jail.exists() {
        return Err(Error::NoSuchJail(jail.name().clone()));
    }
    let rootfs = jail.rootfs();
    for (name, mode) in ROOT_DIRS {
        let dir = rootfs.join(name);
        file::make_private_dir(&dir, mode)?;
    }
    file::make_private_dir(&jail.data(), 0o755)?;
    // Only what has no client yet is made in `var` by path: the client may turn names there into
    // links, and a session makes what it misses by descriptor.
    if !jail.var().exists() {
        make_var(&jail.var())?;
    }
    link_programs(&rootfs, runtime)?;
    copy_os_release(&rootfs)
}

fn make_var(var: &Path) -> Result<()> {
    for (name, mode) in [("", 0o755), ("log", 0o755), ("backup", 0o755), ("tmp", 0o1777)] {
        let dir = var.join(name);
        file::make_private_dir(&dir, mode)?;
    }
    let lastlog = var.join("log/lastlog");
    file::replace_with(&lastlog, 0o664, b"", Sync::Later)
}

/// `bin`, `lib64` and the like become links into `usr`, as the runtime has them.
fn link_programs(rootfs: &Path, runtime: &RuntimeStore) -> Result<()> {
    let current = runtime.current();
    for entry in fs::read_dir(&current).context("cannot read", &current)? {
        let entry = entry.context("cannot read", &current)?;
        if !entry.file_type().is_ok_and(|kind| kind.is_symlink()) {
            continue;
        }
        let target = fs::read_link(entry.path()).context("cannot read", entry.path())?;
        let link = rootfs.join(entry.file_name());
        match fs::symlink_metadata(&link) {
            Ok(meta) if meta.is_symlink() && leads_to(&link, &target) => continue,
            Ok(meta) if meta.is_dir() => fs::remove_dir_all(&link).context("cannot delete", &link)?,
            Ok(_) => fs::remove_file(&link).context("cannot delete", &link)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error).context("cannot read", &link),
        }
        symlink(&target, &link).context("cannot make link", &link)?;
    }
    Ok(())
}

/// The original wrote `./usr/bin`; a container of its that runs must not be without for a moment.
fn leads_to(link: &Path, target: &Path) -> bool {
    fs::read_link(link).is_ok_and(|found| found.strip_prefix(".").unwrap_or(&found) == target)
}

/// Deletes the programs that the original copied below `rootfs/usr`, which the runtime hides.
pub fn clear_old_programs(jail: &Jail) -> Result<()> {
    let usr = jail.rootfs().join("usr");
    for entry in fs::read_dir(&usr).context("cannot read", &usr)? {
        let entry = entry.context("cannot read", &usr)?;
        let path = entry.path();
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            fs::remove_dir_all(&path).context("cannot delete", &path)?;
        } else {
            fs::remove_file(&path).context("cannot delete", &path)?;
        }
    }
    fs::set_permissions(&usr, Permissions::from_mode(0o755)).context("cannot set the mode of", &usr)
}

/// Clients look here for what system they are on; the programs are the host's.
fn copy_os_release(rootfs: &Path) -> Result<()> {
    let source = Path::new("/etc/os-release");
    let content = file::read_if_there(source)?.unwrap_or_default();
    file::replace_with(&rootfs.join("etc/os-release"), 0o644, &content, Sync::Later)
}
