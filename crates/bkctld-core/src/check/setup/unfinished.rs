//! Lists commands that were interrupted and that nobody has run again.

use super::Parts;
use crate::check::report::Severity;
use crate::config::Settings;
use crate::lifecycle;

pub(super) fn check(settings: &Settings, parts: &mut Parts) {
    match lifecycle::unfinished(settings) {
        Ok(unfinished) => {
            for one in unfinished {
                let text = format_args!("an interrupted command has to be run again: '{}'", one.command);
                parts.add("unfinished", Severity::Critical, text);
            }
        }
        Err(error) => parts.unknown("unfinished", error),
    }
}
