//! The contents of a jail's directory besides its configuration: the directories and links from which the
//! root of a session is assembled.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use bkctld_sys::btrfs;
use rustix::fs::{Dir, OFlags};

use super::Jail;
use crate::config::Settings;
use crate::error::{Error, IoContext, Result};
use crate::file::{self, Sync};
use crate::runtime::RuntimeStore;
use crate::tree;

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

/// Closes the jail to the server's other users, and creates missing parts that a start needs: the programs
/// that the jails share, and directories that the original did not create in a jail's root.
pub fn make_ready(settings: &Settings, jail: &Jail) -> Result<()> {
    jail.close_to_others()?;
    let store = RuntimeStore::ready(settings)?;
    let complete = root_dirs(jail).all(|(dir, _)| file_type(&dir).is_some_and(|kind| kind.is_dir()));
    if complete { Ok(()) } else { lay_out(jail, &store) }
}

/// The directories of the jail's root by path, parents first.
fn root_dirs(jail: &Jail) -> impl Iterator<Item = (PathBuf, u32)> {
    let rootfs = jail.rootfs();
    // Without the slash at the end, which would follow a link.
    ROOT_DIRS.into_iter().map(move |(name, mode)| match name {
        "" => (rootfs.clone(), mode),
        name => (rootfs.join(name), mode),
    })
}

fn file_type(path: &Path) -> Option<fs::FileType> {
    path.symlink_metadata().ok().map(|meta| meta.file_type())
}

/// Refuses a root whose directories are something else. The client of a jail of the first format owns
/// all of it and can plant, before the jail is converted, a link to a directory of the host's, in which
/// root would then make and delete.
pub(crate) fn check_root(jail: &Jail) -> Result<()> {
    root_dirs(jail).try_for_each(|(dir, _)| check_dir(&dir))
}

/// Refuses anything but a directory; a link to one is refused too.
pub(crate) fn check_dir(path: &Path) -> Result<()> {
    if file::exists(path)? && !file_type(path).is_some_and(|kind| kind.is_dir()) {
        return Err(not_a_directory(path));
    }
    Ok(())
}

/// Refuses a name that is not a directory.
pub(crate) fn not_a_directory(path: &Path) -> Error {
    Error::untrusted(path, "is not a directory, or a link to one: nothing was changed")
}

/// Creates the parts of a session's root, or repairs them if some are missing. The programs that the original
/// copied into the jail are replaced by links into the shared runtime.
///
/// # Errors
/// [`NoSuchJail`](crate::ErrorKind::NoSuchJail), where another command has renamed, archived or deleted it while the caller
/// waited for its lock: nothing of it must come back by this. [`Untrusted`](crate::ErrorKind::Untrusted) where a directory of
/// the root is a link or something else: nothing is changed then.
pub fn lay_out(jail: &Jail, runtime: &RuntimeStore) -> Result<()> {
    if !jail.exists() {
        return Err(Error::no_such_jail(jail.name()));
    }
    check_root(jail)?;
    jail.close_to_others()?;
    let rootfs = jail.rootfs();
    for (dir, mode) in root_dirs(jail) {
        file::make_private_dir(&dir, mode)?;
    }
    file::make_private_dir(&jail.data(), 0o755)?;
    // In `var`, directories are created by path only while the jail has no client: a client may turn names
    // there into links, so a session creates missing directories by descriptor.
    if !jail.var().exists() {
        make_var(&jail.var())?;
    }
    link_programs(&rootfs, runtime)?;
    copy_os_release(&rootfs)
}

/// A btrfs subvolume, so that it can be snapshot, else a directory. Nobody but root looks into it:
/// it holds another machine's files.
pub(crate) fn make_top(dir: &Path) -> Result<()> {
    let parent = dir.parent().unwrap_or(Path::new("/"));
    let parent_dir = File::open(parent).context("cannot open", parent)?;
    if btrfs::is_btrfs(&parent_dir).context("cannot tell the file system of", parent)? {
        let name = dir.file_name().unwrap_or_default();
        btrfs::create_subvolume(&parent_dir, name).context("cannot create the subvolume", dir)?;
    } else {
        fs::create_dir(dir).context("cannot create directory", dir)?;
    }
    fs::set_permissions(dir, std::os::unix::fs::PermissionsExt::from_mode(0o700))
        .context("cannot set the mode of", dir)
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

/// The original wrote `./usr/bin`; its running container must not lack the link for a moment.
fn leads_to(link: &Path, target: &Path) -> bool {
    fs::read_link(link).is_ok_and(|found| found.strip_prefix(".").unwrap_or(&found) == target)
}

/// Deletes the programs that the original copied below `rootfs/usr`, which the runtime hides. The directory
/// itself stays: it is the mount point of the runtime in running sessions.
///
/// # Errors
/// [`Untrusted`](crate::ErrorKind::Untrusted) where `rootfs` is no directory. A link in place of `usr` is deleted, and a
/// directory made.
pub fn clear_old_programs(jail: &Jail) -> Result<()> {
    let rootfs = jail.rootfs();
    check_dir(&rootfs)?;
    let usr = rootfs.join("usr");
    if file_type(&usr).is_some_and(|kind| !kind.is_dir()) {
        fs::remove_file(&usr).context("cannot delete", &usr)?;
    }
    file::make_private_dir(&usr, 0o755)?;
    let dir = open_no_link(&usr)?;
    for entry in Dir::read_from(&dir).context("cannot read", &usr)? {
        let entry = entry.context("cannot read", &usr)?;
        let name = OsStr::from_bytes(entry.file_name().to_bytes());
        if name != "." && name != ".." {
            tree::delete_in(&dir, name, &usr)?;
        }
    }
    dir.set_permissions(Permissions::from_mode(0o755)).context("cannot set the mode of", &usr)
}

fn open_no_link(path: &Path) -> Result<File> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW;
    let flags = i32::try_from(flags.bits()).unwrap_or_default();
    OpenOptions::new().read(true).custom_flags(flags).open(path).context("cannot open", path)
}

/// Clients look here for the system that they are on; the programs are the server's.
fn copy_os_release(rootfs: &Path) -> Result<()> {
    let source = Path::new("/etc/os-release");
    let content = file::read_if_there(source)?.unwrap_or_default();
    file::replace_with(&rootfs.join("etc/os-release"), 0o644, &content, Sync::Later)
}

#[cfg(test)]
mod tests;
