//! The directory of the locks: whether only root can change it. Root writes there, and believes what it
//! finds there.

use std::path::Path;

use super::{Parts, Severity};
use crate::config::{DEFAULT_FILE, Settings};
use crate::{lock_dir, text};

/// Whether the locks can be believed. Where they cannot, that is said once, and nothing is asked of them.
pub(super) fn check(settings: &Settings, parts: &mut Parts) -> bool {
    let dir = &settings.lock_dir;
    if let Err(error) = lock_dir::open(dir) {
        parts.add("locks", Severity::Critical, error);
        return false;
    }
    if settings.lock_dir_of_before {
        // Safe as long as it is there, and no place any more after a boot.
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
        "'chmod go-w' the directory that it lies in".to_owned()
    } else {
        let config = settings.file.as_deref().unwrap_or(Path::new(DEFAULT_FILE));
        format!("delete LOCKDIR from {}: {} is the place without it", text::path(config), lock_dir::PLACE)
    };
    format!(
        "LOCKDIR {} lies where others may make names: who does so first after a boot keeps bkctld from running ({todo})",
        text::path(dir)
    )
}

/// Where locks were before may be somebody else's: whoever made it first. A program of before that has
/// started listeners there goes unseen then.
fn strangers_place(parts: &mut Parts) {
    if let Err(error) = lock_dir::open(Path::new(lock_dir::EARLIER_PLACE)) {
        let text =
            format!("{error}; jails that an earlier version started with locks there are shown as off");
        parts.add("locks", Severity::Warning, text);
    }
}
