//! btrfs quotas: each snapshot, and each deletion of one, has the kernel count every extent anew.

use std::fs::File;
use std::path::{Path, PathBuf};

use bkctld_sys::btrfs;

use super::{Parts, Severity};
use crate::config::Settings;
use crate::error::{IoContext, Result};
use crate::text;

pub(super) fn check(settings: &Settings, parts: &mut Parts) {
    // Snapshots are made only where both are on one file system.
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

/// Whether quotas of the kind that follows every extent are on. Simple quotas (Linux 6.7) do not.
fn counts_extents(dir: &Path) -> Result<bool> {
    let Ok(dir_fd) = File::open(dir) else {
        return Ok(false); // Said elsewhere.
    };
    if !btrfs::is_btrfs(&dir_fd).context("cannot look at", dir)? {
        return Ok(false);
    }
    let id = btrfs::file_system_id(&dir_fd).context("cannot look at", dir)?;
    // There is such a directory only while quotas are on.
    let state = PathBuf::from(format!("/sys/fs/btrfs/{id}/qgroups"));
    let mode = std::fs::read_to_string(state.join("mode")).unwrap_or_default();
    Ok(state.is_dir() && mode.trim() != "squota")
}
