//! Text that a client may have written, made fit for a terminal, a log or a table.

use std::borrow::Cow;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// The text with every control character and every byte that is not UTF-8 written as an escape,
/// so that it stays on its line and cannot steer a terminal.
pub fn printable(bytes: &[u8]) -> Cow<'_, str> {
    if let Ok(text) = std::str::from_utf8(bytes)
        && !text.chars().any(steers_a_terminal)
    {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(bytes.len() + 8);
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            if steers_a_terminal(c) {
                out.extend(c.escape_default());
            } else {
                out.push(c);
            }
        }
        for byte in chunk.invalid() {
            out.push_str(&format!("\\x{byte:02x}"));
        }
    }
    Cow::Owned(out)
}

/// Control characters (C0, DEL, C1) and the marks that turn the direction of writing.
fn steers_a_terminal(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The text fit for one field of a line that monitoring takes apart: as [`printable`], and without
/// `|`, where a plugin's performance data begins.
pub fn one_field(text: &str) -> String {
    printable(text.as_bytes()).replace('|', "\\u{7c}")
}

/// A path fit for a message.
pub fn path(path: &Path) -> impl fmt::Display + '_ {
    printable(path.as_os_str().as_bytes())
}

/// The longest path that [`path_head`] gives whole, in bytes.
const HEAD: usize = 200;

/// A path fit for a message that is kept: of a long one the begin, since a client can make paths of any
/// length.
pub fn path_head(path: &Path) -> String {
    let bytes = path.as_os_str().as_bytes();
    match bytes.get(..HEAD) {
        Some(head) if bytes.len() > HEAD => format!("{}...", printable(head)),
        _ => printable(bytes).into_owned(),
    }
}

/// A number of bytes as one reads it: `1.5 GiB`.
pub fn bytes(bytes: u64) -> String {
    let units = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    // What would be rounded to 1024.0 is one of the next unit.
    while value >= 1023.95 && unit + 1 < units.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", units[unit])
}

/// A number of things: `1 inc`, `2 incs`.
pub fn count(number: usize, thing: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {thing}{plural}")
}

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod properties;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_thing_is_no_plural() {
        assert_eq!([0, 1, 2].map(|number| count(number, "inc")), ["0 incs", "1 inc", "2 incs"]);
    }

    #[test]
    fn a_number_of_bytes_has_the_unit_that_it_is_read_in() {
        for (number, text) in [
            (0, "0.0 KiB"),
            (4096, "4.0 KiB"),
            ((1 << 20) - 1, "1.0 MiB"),
            (3 << 29, "1.5 GiB"),
            (u64::MAX, "16.0 EiB"),
        ] {
            assert_eq!(bytes(number), text);
        }
    }

    #[test]
    fn escapes_what_steers_a_terminal_and_keeps_the_rest() {
        assert_eq!(printable(b"plain \xc3\xa9"), "plain é");
        assert_eq!(printable(b"a\nb\x1b[31m\x7f"), "a\\nb\\u{1b}[31m\\u{7f}");
        assert_eq!(printable(b"\xff\xc3\xa9"), "\\xffé");
        assert_eq!(printable("\u{202e}txt".as_bytes()), "\\u{202e}txt");
        assert_eq!(printable("\u{61c}txt".as_bytes()), "\\u{61c}txt");
    }
    #[test]
    fn of_a_long_path_the_begin_is_told() {
        assert_eq!(path_head(Path::new("a\nb")), "a\\nb");
        let whole = "d".repeat(HEAD);
        assert_eq!(path_head(Path::new(&whole)), whole);
        assert_eq!(path_head(Path::new(&"d/".repeat(1_000_000))), format!("{}...", "d/".repeat(HEAD / 2)));
    }
}
