//! Checks whether users other than root can change the files that root relies on. Somebody who can write to a
//! policy can have incs deleted; somebody who can write to the jails' programs runs code in each session.

use std::path::Path;

use super::{Parts, Severity};
use crate::config::{DEFAULT_FILE, Settings};
use crate::{root_only, text};

pub(super) fn check(settings: &Settings, parts: &mut Parts) {
    let config = settings.file.as_deref().unwrap_or(Path::new(DEFAULT_FILE));
    for (name, path) in [
        ("the configuration", config),
        ("CONFDIR", &settings.conf_dir),
        ("DATADIR", &settings.data_dir),
        ("JAILDIR", &settings.jail_dir),
        ("INCDIR", &settings.inc_dir),
        ("ARCHIVESDIR", &settings.archives_dir),
    ] {
        match root_only::fault(path) {
            Ok(None) => {}
            Ok(Some(fault)) => {
                let text = format!(
                    "{name} {}: {fault}, who can so control what root does ('chown root' and 'chmod go-w' it)",
                    text::path(path)
                );
                parts.add("writable-by-others", Severity::Warning, text);
            }
            Err(error) => parts.unknown("writable-by-others", error),
        }
    }
}
