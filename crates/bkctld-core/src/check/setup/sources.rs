//! Finds an original that was installed from its sources, which a package does not replace.

use super::{Parts, Severity};
use crate::service::original::sources;
use crate::text;

pub(super) fn check(parts: &mut Parts) {
    let left: Vec<String> = sources::left().iter().map(|path| text::path(path).to_string()).collect();
    if !left.is_empty() {
        let text = format!(
            "an original installed from sources is found before this program: move {} away (see docs/migration.md).",
            left.join(", ")
        );
        parts.add("sources", Severity::Warning, text);
    }
}
