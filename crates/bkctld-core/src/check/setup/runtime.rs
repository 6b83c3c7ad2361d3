//! Checks whether the server has newer programs than the jails.

use super::{Parts, Severity};
use crate::config::Settings;
use crate::jail::Jail;
use crate::runtime::RuntimeStore;
use crate::text;

/// The maximum number of files to name.
const NAMED: usize = 5;

pub(super) fn check(settings: &Settings, jails: &[Jail], parts: &mut Parts) {
    let store = RuntimeStore::new(settings);
    // The runtime is made with the first jail; a server whose jails the original serves has none yet.
    if jails.is_empty() || !store.is_built() {
        return;
    }
    let changed = match store.changed_on_the_server() {
        Ok(changed) => changed,
        Err(error) => return parts.unknown("runtime", error),
    };
    if changed.is_empty() {
        return parts.add("runtime", Severity::Ok, "the programs of the jails match those of this server.");
    }
    let names: Vec<_> = changed
        .iter()
        .take(NAMED)
        .filter_map(|path| path.file_name())
        .map(|name| text::printable(name.as_encoded_bytes()))
        .collect();
    let more = changed.len().saturating_sub(names.len());
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let text = format!(
        "the server and the jails have different versions of {}{more} ('bkctld update all' renews them)",
        names.join(", ")
    );
    parts.add("runtime", Severity::Warning, text);
}
