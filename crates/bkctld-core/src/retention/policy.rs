//! A jail's incs policy: its file, its rules and its faults.

use std::fmt;
use std::path::{Path, PathBuf};

use jiff::civil::Date;

use super::date::{Distance, Pattern, Unit};
use crate::error::{Error, Result};
use crate::jail::Jail;
use crate::{file, text};

/// One line of a policy, which keeps the incs of one day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    line: usize,
    text: String,
    pattern: Pattern,
    distance: Distance,
}

impl Rule {
    /// The number of its line, counted from 1.
    pub fn line(&self) -> usize {
        self.line
    }

    /// The text of the rule.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The distance that it goes back.
    pub fn distance(&self) -> Distance {
        self.distance
    }

    /// The day whose incs it keeps; none if the pattern gives a date that does not exist today (`+%Y-%m-31`
    /// in June).
    pub fn date(&self, today: Date) -> Option<Date> {
        self.pattern.on(today).and_then(|date| self.distance.before(date))
    }

    fn parse(line: usize, text: &str) -> Result<Rule, String> {
        let Some(body) = text.strip_prefix('+') else {
            return Err("a rule must begin with '+', for example +%Y-%m-%d.-2day".to_owned());
        };
        let Some((pattern, distance)) = body.split_once('.') else {
            return Err("a '.' must follow the date, for example +%Y-%m-%d.-2day".to_owned());
        };
        let pattern = Pattern::parse(pattern)?;
        let distance = parse_distance(distance)?;
        Ok(Rule { line, text: text.to_owned(), pattern, distance })
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&text::printable(self.text.as_bytes()))
    }
}

/// `-N` and a unit; GNU date allows blanks between the two.
fn parse_distance(text: &str) -> Result<Distance, String> {
    let Some(back) = text.strip_prefix('-') else {
        let shown = text::printable(text.as_bytes());
        return Err(format!("'{shown}' does not go back: a '-' must follow the '.'"));
    };
    let end = back.bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(back.len());
    let (number, unit) = back.split_at(end);
    if number.is_empty() {
        return Err(format!("no number in '{}'", text::printable(text.as_bytes())));
    }
    let unit_name = unit.trim_start_matches([' ', '\t']);
    let Some(unit) = Unit::named(unit_name) else {
        return Err(format!(
            "'{}' is not one of day, week, month, year",
            text::printable(unit_name.as_bytes())
        ));
    };
    match number.parse::<u32>() {
        Ok(count) if count <= unit.most() => Ok(Distance { count, unit }),
        _ => Err(format!("{number} {unit}s are more than a thousand years")),
    }
}

/// A valid policy: at least one rule, and every line understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    path: PathBuf,
    rules: Vec<Rule>,
}

/// The result of reading a policy. Only one of the four can be planned with, which is why this is not a list
/// of rules that could be empty by mistake.
#[derive(Debug)]
pub enum PolicyFile {
    /// The jail has no policy: `inc` and `rm` skip it.
    Missing,
    /// No line of the file is a rule. Nothing may be deleted unless the administrator insists (`-f`); then
    /// every inc is deleted: [`super::Plan::without_rules`].
    Empty {
        /// The path of the policy.
        path: PathBuf,
    },
    /// Some lines are no rules: one [`BadFile`](crate::ErrorKind::BadFile) for each. Nothing may be deleted, because
    /// the line may be what kept an inc.
    Bad(Vec<Error>),
    /// A valid policy.
    Rules(Policy),
}

impl Policy {
    /// Reads the jail's policy from `CONFDIR/J.d/incs_policy`, or from its old path `CONFDIR/J`. Fails only
    /// if a file exists and cannot be read.
    pub fn read(jail: &Jail) -> Result<PolicyFile> {
        Ok(match read_file(jail)? {
            Some((path, content)) => Policy::parse(&path, &content),
            None => PolicyFile::Missing,
        })
    }

    /// Parses the text of a policy; `path` is for messages.
    pub fn parse(path: &Path, content: &[u8]) -> PolicyFile {
        let (mut rules, mut bad) = (Vec::new(), Vec::new());
        for (line, bytes) in rule_lines(content) {
            let parsed = match std::str::from_utf8(bytes) {
                Ok(text) => Rule::parse(line, text),
                Err(_) => Err("not UTF-8".to_owned()),
            };
            match parsed {
                Ok(rule) => rules.push(rule),
                Err(reason) => bad.push(Error::bad_line(path, line, &reason)),
            }
        }
        match (rules.is_empty(), bad.is_empty()) {
            (_, false) => PolicyFile::Bad(bad),
            (true, true) => PolicyFile::Empty { path: path.to_path_buf() },
            (false, true) => PolicyFile::Rules(Policy { path: path.to_path_buf(), rules }),
        }
    }

    /// The path that it was read from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The rules, in the order of the file; there is at least one.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }
}

/// The size of a policy, as `status` shows it: like the original, it counts the lines with the words `day`
/// and `month`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, schemars::JsonSchema)]
#[serde(untagged)]
pub enum Retention {
    /// No policy.
    None,
    /// A policy, even if some of its lines are bad.
    Counted {
        /// Rules that go back days.
        days: usize,
        /// Rules that go back months.
        months: usize,
    },
}

impl Retention {
    /// Counts the rules of the jail's policy.
    pub fn of(jail: &Jail) -> Result<Retention> {
        Ok(match read_file(jail)? {
            Some((_, content)) => Retention::count(&content),
            None => Retention::None,
        })
    }

    fn count(content: &[u8]) -> Retention {
        let with = |word: &[u8]| {
            let holds = |line: &[u8]| line.to_ascii_lowercase().windows(word.len()).any(|part| part == word);
            rule_lines(content).filter(|(_, line)| holds(line)).count()
        };
        Retention::Counted { days: with(b"day"), months: with(b"month") }
    }
}

impl fmt::Display for Retention {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Retention::None => f.pad("0"),
            Retention::Counted { days, months } => f.pad(&format!("{days}/{months}")),
        }
    }
}

/// The lines that should be rules, with their numbers and without surrounding blanks (a carriage return
/// counts as a blank, as it does for GNU date).
fn rule_lines(content: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let lines = content.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    (1..).zip(lines).filter(|(_, line)| !line.is_empty() && !line.starts_with(b"#"))
}

fn read_file(jail: &Jail) -> Result<Option<(PathBuf, Vec<u8>)>> {
    let path = jail.incs_policy();
    if let Some(content) = file::read_if_there(&path)? {
        return Ok(Some((path, content)));
    }
    let legacy = jail.legacy_policy();
    // A directory at that path is not a policy: `CONFDIR/x.d` is the directory of jail `x` and also the old
    // path of the policy of a jail named `x.d`.
    if legacy.is_dir() {
        return Ok(None);
    }
    Ok(file::read_if_there(legacy)?.map(|content| (legacy.to_path_buf(), content)))
}

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod properties;

#[cfg(test)]
mod tests;
