//! What holds of every text that is shown.

use super::*;
use crate::fuzzing::assert_shown;
use crate::syslog::{Entry, Severity};

pub(crate) fn hold(bytes: &[u8]) {
    let shown = printable(bytes);
    assert_shown(&shown);
    // What was made printable once is shown again by who does not know that it was.
    assert_eq!(printable(shown.as_bytes()), shown);
    assert!(shown.len() <= 10 * bytes.len(), "{} out of {}", shown.len(), bytes.len());
    let field = one_field(&String::from_utf8_lossy(bytes));
    assert_shown(&field);
    assert!(!field.contains('|'));
    let head = path_head(Path::new(std::ffi::OsStr::from_bytes(bytes)));
    assert_shown(&head);
    assert!(head.len() <= 10 * HEAD + 3);
    let message = Entry::new(Severity::Warning, String::from_utf8_lossy(bytes)).by("inc").message();
    assert_shown(&message);
    assert!(message.len() <= 8 << 10);
}
