//! `CONFDIR/J.d/check_policy`: what monitoring expects of one jail.

use std::path::Path;

use serde::Serialize;

use crate::config::Settings;
use crate::error::{Error, Result};
use crate::file;
use crate::jail::Jail;

/// The number of bad lines that are reported one by one; a file with more is not a policy.
const TOLD: usize = 5;

/// The contents of the file, read line by line as by the original, not as a file of assignments: a line that
/// is not understood is ignored and reported.
#[derive(Debug, Default)]
pub struct CheckPolicy {
    /// `WARNING`, in hours; none if the server's configuration applies.
    pub warning: Option<u32>,
    /// `CRITICAL`, in hours; none if the server's configuration applies.
    pub critical: Option<u32>,
    /// `EXPECTED_STATE`, which is `ON` by default.
    pub expected_state: ExpectedState,
    /// The lines that have no effect, or not the intended one: each a [`BadFile`](crate::ErrorKind::BadFile).
    pub bad_lines: Vec<Error>,
}

/// The state that monitoring expects of the jail.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ExpectedState {
    /// The jail should be on: that it is off is a finding.
    #[default]
    On,
    /// The jail may be off, and `start all` leaves it so.
    Off,
}

/// The hours without a login after which a client is reported; 0 turns a level off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Thresholds {
    /// Hours of silence before a warning.
    pub warning: u32,
    /// Hours of silence before it is critical.
    pub critical: u32,
}

impl CheckPolicy {
    /// Reads the jail's policy; a missing one sets nothing. Fails if the file exists and cannot be read.
    pub fn read(jail: &Jail) -> Result<CheckPolicy> {
        let path = jail.check_policy();
        Ok(match file::read_if_there(&path)? {
            Some(content) => CheckPolicy::parse(&path, &content),
            None => CheckPolicy::default(),
        })
    }

    /// The jail's thresholds, or those of the server if it has none.
    pub fn thresholds(&self, settings: &Settings) -> Thresholds {
        Thresholds {
            warning: self.warning.unwrap_or(settings.check_thresholds.warning),
            critical: self.critical.unwrap_or(settings.check_thresholds.critical),
        }
    }

    fn parse(path: &Path, content: &[u8]) -> CheckPolicy {
        let mut policy = CheckPolicy::default();
        let mut bad: Vec<(usize, String)> = Vec::new();
        let mut more = 0;
        for (line, bytes) in (1..).zip(content.split(|byte| *byte == b'\n')) {
            let Err(reason) = policy.take(&String::from_utf8_lossy(bytes.trim_ascii())) else { continue };
            if bad.len() < TOLD {
                bad.push((line, reason));
            } else {
                more += 1;
            }
        }
        if let Some((_, reason)) = bad.last_mut()
            && more > 0
        {
            reason.push_str(&format!(" (and {more} more such lines)"));
        }
        policy.bad_lines = bad.iter().map(|(line, reason)| Error::bad_line(path, *line, reason)).collect();
        policy
    }

    /// Applies one line; the error says why it is bad.
    fn take(&mut self, line: &str) -> Result<(), String> {
        if line.is_empty() || line.starts_with('#') {
            return Ok(());
        }
        // A line that does not begin with a name and '=' is not an assignment, including lines with `export`
        // or blanks.
        let (name, value) = line.split_once('=').unwrap_or((line, ""));
        match name {
            // An empty value counts as not set.
            "WARNING" | "CRITICAL" | "EXPECTED_STATE" if value.is_empty() => {}
            "WARNING" => return hours(name, value, &mut self.warning),
            "CRITICAL" => return hours(name, value, &mut self.critical),
            "EXPECTED_STATE" => self.expected_state = expected_state(value)?,
            _ => {
                let shown: String = line.chars().take(40).collect();
                return Err(format!(
                    "'{shown}' is not one of WARNING=hours, CRITICAL=hours, EXPECTED_STATE=ON|OFF: it has no effect"
                ));
            }
        }
        Ok(())
    }
}

/// Takes the digits that follow the `=`, whatever comes after them. A number below 0 turns the level
/// off, as 0 does.
fn hours(name: &str, value: &str, slot: &mut Option<u32>) -> Result<(), String> {
    let unsigned = value.strip_prefix('-').unwrap_or(value);
    let end = unsigned.bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(unsigned.len());
    let (digits, rest) = unsigned.split_at(end);
    if digits.is_empty() {
        return Err(format!("{name}: '{value}' is not a number of hours: it has no effect"));
    }
    *slot = Some(if value.starts_with('-') { 0 } else { digits.parse().unwrap_or(u32::MAX) });
    let rest = rest.trim_start();
    if rest.is_empty() || rest.starts_with('#') || rest.starts_with('h') {
        Ok(())
    } else {
        Err(format!("{name}: '{value}' is read as {digits} hours"))
    }
}

fn expected_state(value: &str) -> Result<ExpectedState, String> {
    let word = value.split('#').next().unwrap_or_default().trim();
    match word {
        "ON" => Ok(ExpectedState::On),
        "OFF" => Ok(ExpectedState::Off),
        _ => Err(format!("EXPECTED_STATE: '{value}' is neither ON nor OFF: it has no effect")),
    }
}

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod properties;

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> CheckPolicy {
        CheckPolicy::parse(Path::new("check_policy"), text.as_bytes())
    }

    #[test]
    fn the_digits_count_and_the_last_line_wins() {
        for (text, warning, critical) in [
            ("", None, None),
            ("CRITICAL=120\nWARNING=96\n", Some(96), Some(120)),
            ("CRITICAL=0 # foo", None, Some(0)),
            ("# CRITICAL=0\n#WARNING=1", None, None),
            ("CRITICAL=foo\nWARNING=", None, None),
            ("CRITICAL=0\t# off\t", None, Some(0)),
            (" \tWARNING=7\nWARNING=8\nWARNING=\nWARNING=x\r\n", Some(8), None),
            ("WARNING=24h\nCRITICAL=48 hours", Some(24), Some(48)),
            ("WARNING=-1\nCRITICAL=99999999999999", Some(0), Some(u32::MAX)),
            ("WARNING = 5\nWARNING=\"5\"\nexport WARNING=5\nwarning=5", None, None),
        ] {
            let policy = parse(text);
            assert_eq!((policy.warning, policy.critical), (warning, critical), "{text:?}");
        }
        assert!(parse("WARNING=24h\nCRITICAL=0\t# off\t\r\n").bad_lines.is_empty());
        let settings = Settings::default();
        assert_eq!(
            parse("WARNING=0").thresholds(&settings),
            Thresholds { warning: 0, critical: settings.check_thresholds.critical }
        );
    }

    #[test]
    fn only_off_is_off() {
        for (text, state) in [
            ("", ExpectedState::On),
            ("EXPECTED_STATE=OFF", ExpectedState::Off),
            ("EXPECTED_STATE=OFF # until May", ExpectedState::Off),
            ("EXPECTED_STATE=OFF\t# until May\r\n", ExpectedState::Off),
            ("EXPECTED_STATE=OFF\nEXPECTED_STATE=ON", ExpectedState::On),
            ("#EXPECTED_STATE=OFF", ExpectedState::On),
            ("EXPECTED_STATE=off\nEXPECTED_STATE=OFFLINE", ExpectedState::On),
        ] {
            assert_eq!(parse(text).expected_state, state, "{text:?}");
        }
    }

    #[test]
    fn garbage_is_told_with_its_line_and_changes_nothing() {
        let policy = parse("WARNING=30\n\x1b[2J\nCRITICAL=2d\nEXPECTED_STATE=maybe\nrm -rf /\n");
        assert_eq!((policy.warning, policy.critical), (Some(30), Some(2)));
        let told: Vec<String> = policy.bad_lines.iter().map(ToString::to_string).collect();
        assert_eq!(told.len(), 4, "{told:?}");
        assert!(told[0].starts_with("check_policy:2: '\\u{1b}[2J' is not one of"), "{told:?}");
        assert!(told[1].starts_with("check_policy:3: CRITICAL: '2d' is read as 2 hours"), "{told:?}");
        assert!(told[2].starts_with("check_policy:4: EXPECTED_STATE: 'maybe'"), "{told:?}");
    }

    #[test]
    fn a_file_that_is_something_else_is_told_in_a_few_lines() {
        let told = CheckPolicy::parse(Path::new("p"), &b"\xff\x00garbage\n".repeat(1000)).bad_lines;
        assert_eq!(told.len(), TOLD);
        assert!(told[TOLD - 1].to_string().ends_with("(and 995 more such lines)"), "{told:?}");
    }
}
