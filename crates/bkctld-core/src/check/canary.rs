//! Checks that each client has pushed today: it pushes a file with a line for each day, the canary, with
//! every backup.

use std::io::{self, ErrorKind, Read};
use std::path::Path;

use jiff::Zoned;
use jiff::civil::Date;

use super::report::{Canary, Details, Finding, Report, Severity};
use crate::config::Settings;
use crate::error::{IoContext, Result};
use crate::jail::{ClientFile, Jail, JailName, Lookup};

/// The maximum size of a canary in bytes: one line a day for a century is less. The client controls the size,
/// and the check reads the canaries of all jails.
const LIMIT: u64 = 4 << 20;

/// Checks the canary of each jail.
pub fn canaries(settings: &Settings, names: &[JailName], now: &Zoned) -> Report {
    let today = now.date();
    let findings = names.iter().map(|name| {
        let jail = Jail::new(settings, name.clone());
        finding_of(&jail, settings, today)
            .unwrap_or_else(|error| Finding::of_jail(Severity::Critical, name, error))
    });
    Report::new(findings.collect())
}

fn finding_of(jail: &Jail, settings: &Settings, today: Date) -> Result<Finding> {
    let name = settings.canary_relative_file.as_str();
    let finding = |severity, text: String, canary: Canary| {
        Ok(Finding::of_jail(severity, jail.name(), text).with(Details::Canary { canary }))
    };
    // Printed like the original does: with its leading slash, below the jail's data.
    let data = jail.data();
    let below = data.strip_prefix(jail.dir()).unwrap_or(&data).join(name.trim_start_matches('/'));
    let canary = match ClientFile::find(jail, &below)? {
        Lookup::File(canary) => canary,
        Lookup::Missing => {
            return finding(Severity::Critical, format!("missing {name} file"), Canary::Missing);
        }
        Lookup::NotAFile(what) => {
            return finding(Severity::Critical, format!("{name} is {what}"), Canary::Unusable);
        }
    };
    // The last day of the calendar has no day after it, the first none before it.
    let yesterday = today.yesterday().unwrap_or(today);
    let days = [today, yesterday].map(|day| day.to_string());
    let found = if canary.size() > LIMIT {
        Err(ErrorKind::FileTooLarge.into())
    } else {
        search(canary.open()?, [days[0].as_bytes(), days[1].as_bytes()])
    };
    match found {
        Ok([true, _]) => {
            finding(Severity::Ok, format!("entries found for today ({today}) in {name} file"), Canary::Today)
        }
        Ok([_, true]) => {
            let text = format!("entries found for yesterday ({yesterday}) in {name} file");
            finding(Severity::Warning, text, Canary::Yesterday)
        }
        Ok(_) => {
            let text = format!("No entry for today ({today}) nor yesterday ({yesterday}) in {name} file");
            finding(Severity::Critical, text, Canary::Outdated)
        }
        Err(error) if error.kind() == ErrorKind::FileTooLarge => {
            let text = format!(
                "{name} is larger than {} MiB: too large for a canary, so it was not read",
                LIMIT >> 20
            );
            finding(Severity::Critical, text, Canary::Unusable)
        }
        Err(error) => Err(error).context("cannot read", jail.dir().join(Path::new(&below))),
    }
}

/// Finds which of the words the text contains. Stops once the first one is found. Fails if the text is longer
/// than [`LIMIT`], as when the file has grown since its size was checked.
fn search(mut from: impl Read, words: [&[u8]; 2]) -> io::Result<[bool; 2]> {
    let longest = words.iter().map(|word| word.len()).max().unwrap_or(0);
    let mut found = [false; 2];
    let mut buffer = vec![0; 64 << 10];
    // The end of the previous piece, in which a word may have begun.
    let (mut kept, mut total) = (0, 0);
    while !found[0] {
        let read = match from.read(&mut buffer[kept..]) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            read => read?,
        };
        if read == 0 {
            break;
        }
        total += read as u64;
        if total > LIMIT {
            return Err(ErrorKind::FileTooLarge.into());
        }
        let piece = &buffer[..kept + read];
        for (word, found) in words.iter().zip(&mut found) {
            *found |= piece.windows(word.len()).any(|part| part == *word);
        }
        let end = piece.len();
        kept = end.min(longest.saturating_sub(1));
        buffer.copy_within(end - kept..end, 0);
    }
    Ok(found)
}

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod properties;

#[cfg(test)]
mod tests {
    use super::*;

    /// A reader that returns this many bytes at a time.
    struct Slow<'a>(&'a [u8], usize);

    impl Read for Slow<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let len = self.1.min(self.0.len()).min(buffer.len());
            buffer[..len].copy_from_slice(&self.0[..len]);
            self.0 = &self.0[len..];
            Ok(len)
        }
    }

    #[test]
    fn a_date_is_found_wherever_the_pieces_end() {
        let words: [&[u8]; 2] = [b"2026-03-02", b"2026-03-01"];
        for (text, expected) in [
            ("", [false, false]),
            ("2026-03-0", [false, false]),
            ("2026-03-02", [true, false]),
            ("x 2026-03-01 y\n", [false, true]),
            ("2026-02-28 a\n2026-03-01 b\n2026-03-02 c\n", [true, true]),
            ("2026-02-022026-03-2026-03-01", [false, true]),
        ] {
            for piece in [1, 2, 3, 7, 9, 10, 11, 1000] {
                let found = search(Slow(text.as_bytes(), piece), words).unwrap();
                assert_eq!(
                    (found[0], found[0] || found[1]),
                    (expected[0], expected[0] || expected[1]),
                    "{text}"
                );
            }
        }
        let far = [vec![b'x'; (64 << 10) - 4], b"2026-03-02".to_vec()].concat();
        assert!(search(&far[..], words).unwrap()[0]);
    }

    #[test]
    fn no_more_is_read_than_a_canary_may_hold() {
        let words: [&[u8]; 2] = [b"a", b"b"];
        let error = search(io::repeat(b'x'), words).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::FileTooLarge);
        assert_eq!(search(io::repeat(b'x').take(LIMIT), words).unwrap(), [false, false]);
    }
}
