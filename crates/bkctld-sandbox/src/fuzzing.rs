//! The properties of parsers for the output of a session's programs and of sshd: see `bkctld_core::fuzzing`.

use crate::session::{kind, login};

/// As `bkctld_core::fuzzing::Property`, which is there only with that crate's feature.
pub type Property = fn(&[u8]);

/// All properties, by the name of their directory in `fuzz/corpus`.
pub const PROPERTIES: &[(&str, Property)] =
    &[("command", kind::properties::hold), ("sshd-log", login::properties::hold)];

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn every_property_holds_of_its_corpus() {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus");
        for (target, holds) in PROPERTIES {
            let entries: Vec<_> = std::fs::read_dir(corpus.join(target)).unwrap().collect();
            assert!(!entries.is_empty(), "{target}");
            for entry in entries {
                let path = entry.unwrap().path();
                let bytes = std::fs::read(&path).unwrap();
                let held = std::panic::catch_unwind(|| holds(&bytes));
                assert!(held.is_ok(), "{} breaks the property '{target}'", path.display());
            }
        }
    }
}
