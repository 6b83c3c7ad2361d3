//! Finds properties of btrfs that interfere with incs.

use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use bkctld_sys::btrfs;

use super::{Parts, Severity};
use crate::config::Settings;
use crate::error::{IoContext, Result};
use crate::jail::Jail;
use crate::text;

/// Subvolumes nested in a jail are empty directories in its incs. No session can make one, but an
/// administrator can, and so could the clients of the original.
pub(super) fn nested(jails: &[Jail], parts: &mut Parts) {
    for jail in jails {
        match count_nested(jail) {
            Ok(0) => {}
            Ok(count) => {
                let text = format!("nested subvolumes in the jail, which incs do not contain: {count}");
                parts.add_of_jail("subvolumes", Severity::Warning, jail, text);
            }
            Err(error) => parts.add_of_jail("subvolumes", Severity::Unknown, jail, error),
        }
    }
}

fn count_nested(jail: &Jail) -> Result<usize> {
    let dir = match File::open(jail.dir()) {
        // Removed since the jails were listed.
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(0),
        dir => dir.context("cannot open", jail.dir())?,
    };
    if !btrfs::is_subvolume(&dir).context("cannot look at", jail.dir())? {
        return Ok(0);
    }
    Ok(btrfs::children(&dir).context("cannot list the subvolumes of", jail.dir())?.len())
}

/// With quotas, the kernel counts every extent again whenever a snapshot is made or deleted.
pub(super) fn quota(settings: &Settings, parts: &mut Parts) {
    // Snapshots require that both are on one file system.
    let dir = &settings.jail_dir;
    match counts_extents(dir) {
        Ok(false) => {}
        Ok(true) => parts.add(
            "quota",
            Severity::Warning,
            format!(
                "btrfs quotas are on where {} lies, which makes incs slow ('btrfs quota disable' turns them off)",
                text::path(dir)
            ),
        ),
        Err(error) => parts.unknown("quota", error),
    }
}

/// Whether quotas that track every extent are on. Simple quotas (Linux 6.7) do not track extents.
fn counts_extents(dir: &Path) -> Result<bool> {
    let Ok(dir_fd) = File::open(dir) else {
        return Ok(false); // Said elsewhere.
    };
    if !btrfs::is_btrfs(&dir_fd).context("cannot look at", dir)? {
        return Ok(false);
    }
    let id = btrfs::file_system_id(&dir_fd).context("cannot look at", dir)?;
    // This directory exists only while quotas are on.
    let state = PathBuf::from(format!("/sys/fs/btrfs/{id}/qgroups"));
    let mode = std::fs::read_to_string(state.join("mode")).unwrap_or_default();
    Ok(state.is_dir() && mode.trim() != "squota")
}
