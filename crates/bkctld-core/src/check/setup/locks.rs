//! Checks that only root can change the directory of the locks, because root writes there and trusts its
//! contents.

use std::path::Path;

use super::{Parts, Severity};
use crate::config::{DEFAULT_FILE, Settings};
use crate::{lock_dir, text};

/// Whether the locks can be trusted. If not, this is reported once, and no other check uses them.
pub(super) fn check(settings: &Settings, parts: &mut Parts) -> bool {
    let dir = &settings.lock_dir;
    if let Err(error) = lock_dir::open(dir) {
        parts.add("locks", Severity::Critical, error);
        return false;
    }
    if settings.lock_dir_of_before {
        // The directory is safe while it exists, but not after a boot.
        return true;
    }
    if lock_dir::anyone_could_make(dir) {
        parts.add("locks", Severity::Warning, anyone_could_make(settings));
    }
    if dir == Path::new(lock_dir::PLACE) {
        strangers_place(parts);
    }
    true
}

fn anyone_could_make(settings: &Settings) -> String {
    let dir = &settings.lock_dir;
    let todo = if dir == Path::new(lock_dir::PLACE) {
        "'chmod go-w' its parent directory".to_owned()
    } else {
        let config = settings.file.as_deref().unwrap_or(Path::new(DEFAULT_FILE));
        format!("delete LOCKDIR from {}: the default is {}", text::path(config), lock_dir::PLACE)
    };
    format!(
        "LOCKDIR {} is in a directory to which others may write: whoever creates it after a boot can stop bkctld from running ({todo})",
        text::path(dir)
    )
}

/// The former directory of the locks may belong to another user, who created it first. Listeners that an
/// earlier version started there are not seen then.
fn strangers_place(parts: &mut Parts) {
    if let Err(error) = lock_dir::open(Path::new(lock_dir::EARLIER_PLACE)) {
        let text =
            format!("{error}; jails that an earlier version started with locks there are shown as off");
        parts.add("locks", Severity::Warning, text);
    }
}
