//! Checks that the backup partition is mounted, writable and not full.

use std::io;
use std::path::Path;

use rustix::fs::{StatVfsMountFlags, stat, statvfs};

use super::{Measure, Parts, Severity};
use crate::config::Settings;
use crate::{file, text};

pub(super) fn check(settings: &Settings, parts: &mut Parts) {
    let partition = &settings.backup_partition;
    let dirs = [&settings.jail_dir, &settings.inc_dir];
    // If no directory is below it, `BACKUP_PARTITION` is only a default without meaning here.
    if dirs.iter().any(|dir| dir.starts_with(partition)) {
        let (severity, text) = mounted(partition);
        let disk = &settings.backup_disk;
        let named = severity != Severity::Ok && !disk.is_empty();
        let text = if named { format!("{text} (BACKUP_DISK is {disk})") } else { text };
        parts.add("partition", severity, text);
    }
    for dir in dirs.iter().filter(|dir| !dir.starts_with(partition)) {
        match statvfs(dir.as_path()) {
            Ok(of) if of.f_flag.contains(StatVfsMountFlags::RDONLY) => {
                parts.add("partition", Severity::Critical, format!("{} is read-only !", text::path(dir)));
            }
            _ => {}
        }
    }
    fill(settings, &settings.jail_dir, "", parts);
    let device = |dir: &Path| stat(dir).map(|meta| meta.st_dev).ok();
    // Another check reports missing directories, or they will be made. Two subvolumes of one btrfs are
    // reported twice.
    if device(&settings.inc_dir).is_some_and(|of_incs| Some(of_incs) != device(&settings.jail_dir)) {
        fill(settings, &settings.inc_dir, "_incs", parts);
    }
}

fn mounted(partition: &Path) -> (Severity, String) {
    let shown = text::path(partition);
    let found = || -> io::Result<(bool, bool)> {
        let mounted = file::is_mount_point(partition)?;
        // Both the flags of the mount and those of the file system, which the kernel makes read-only when it
        // finds damage.
        let read_only = statvfs(partition)?.f_flag.contains(StatVfsMountFlags::RDONLY);
        Ok((mounted, read_only))
    };
    match found() {
        Ok((true, false)) => (Severity::Ok, format!("Backup disk '{shown}' is mounted and writable.")),
        Ok((true, true)) => (Severity::Critical, format!("Backup disk '{shown}' is read-only !")),
        Ok((false, _)) => (Severity::Critical, format!("Backup disk '{shown}' is not mounted !")),
        Err(error) => (Severity::Critical, format!("Backup disk '{shown}' cannot be examined: {error}")),
    }
}

/// The used space of the file system, as `df` calculates it: space reserved for root counts as used.
fn fill(settings: &Settings, dir: &Path, suffix: &str, parts: &mut Parts) {
    let Ok(of) = statvfs(dir) else { return };
    let thresholds = settings.check_thresholds;
    let thresholds = (thresholds.disk_warning, thresholds.disk_critical);
    let space = percent(of.f_blocks.saturating_sub(of.f_bfree), of.f_bavail);
    let severity = judge(space, thresholds);
    let shown = text::path(dir);
    let (warning, critical) = thresholds;
    parts.add("disk", severity, format!("{shown} uses {space}% of its space ({warning}/{critical})."));
    parts.measures.push(Measure { label: format!("disk{suffix}"), value: space, unit: "%", thresholds });
    // btrfs, among others, has no fixed number of inodes.
    let inodes = percent(of.f_files.saturating_sub(of.f_ffree), of.f_favail);
    if of.f_files > 0 {
        parts.measures.push(Measure {
            label: format!("inodes{suffix}"),
            value: inodes,
            unit: "%",
            thresholds,
        });
    }
    // Enough inodes are not worth a line.
    if judge(inodes, thresholds) != Severity::Ok {
        let text = format!("{shown} uses {inodes}% of its inodes ({warning}/{critical}).");
        parts.add("inodes", judge(inodes, thresholds), text);
    }
}

fn judge(used: u64, (warning, critical): (u64, u64)) -> Severity {
    let over = |threshold: u64| threshold > 0 && used >= threshold;
    match () {
        () if over(critical) => Severity::Critical,
        () if over(warning) => Severity::Warning,
        () => Severity::Ok,
    }
}

/// The percentage, rounded up like `df` does.
fn percent(used: u64, available: u64) -> u64 {
    let all = u128::from(used) + u128::from(available);
    (u128::from(used) * 100).div_ceil(all.max(1)) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percents_are_those_of_df() {
        for (used, available, expected) in [
            (0, 0, 0),
            (0, 10, 0),
            (1, 99, 1),
            (1, 999, 1),
            (97, 3, 97),
            (10, 0, 100),
            (u64::MAX, u64::MAX, 50),
        ] {
            assert_eq!(percent(used, available), expected, "{used} {available}");
        }
    }

    #[test]
    fn a_threshold_that_is_reached_counts_and_zero_turns_it_off() {
        for (used, thresholds, expected) in [
            (96, (97, 99), Severity::Ok),
            (97, (97, 99), Severity::Warning),
            (99, (97, 99), Severity::Critical),
            (100, (0, 0), Severity::Ok),
            (100, (97, 0), Severity::Warning),
        ] {
            assert_eq!(judge(used, thresholds), expected, "{used} {thresholds:?}");
        }
    }
}
