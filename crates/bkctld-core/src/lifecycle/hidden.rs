//! Hidden names in `JAILDIR`, which are no jails': those begin with a letter or digit.

use crate::config::Settings;
use crate::error::{IoContext, Result};
use crate::jail::JailName;

/// The jails for which there is a hidden name with this prefix, sorted.
pub(super) fn jails_with(settings: &Settings, prefix: &str) -> Result<Vec<JailName>> {
    let dir = &settings.jail_dir;
    let mut names: Vec<JailName> = Vec::new();
    for entry in std::fs::read_dir(dir).context("cannot read JAILDIR", dir)? {
        let name = entry.context("cannot read JAILDIR", dir)?.file_name();
        names.extend(name.to_str().and_then(|name| name.strip_prefix(prefix)?.parse().ok()));
    }
    names.sort();
    Ok(names)
}
