//! A jail's policy: its file, its rules, and what is wrong with them.

use std::fmt;
use std::path::{Path, PathBuf};

use jiff::civil::Date;

use super::date::{Distance, Pattern, Unit};
use crate::error::{Error, Result};
use crate::jail::Jail;
use crate::{file, text};

/// One line of a policy: the incs of one day stay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    line: usize,
    text: String,
    pattern: Pattern,
    distance: Distance,
}

impl Rule {
    /// Where it stands in the file, counted from 1.
    pub fn line(&self) -> usize {
        self.line
    }

    /// The rule as it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// How far it goes back.
    pub fn distance(&self) -> Distance {
        self.distance
    }

    /// The day whose incs it keeps; none where the pattern names a date that does not exist today
    /// (`+%Y-%m-31` in June).
    pub fn date(&self, today: Date) -> Option<Date> {
        self.pattern.on(today).and_then(|date| self.distance.before(date))
    }

    fn parse(line: usize, text: &str) -> Result<Rule, String> {
        let Some(body) = text.strip_prefix('+') else {
            return Err("a rule begins with '+', as +%Y-%m-%d.-2day does".to_owned());
        };
        let Some((pattern, distance)) = body.split_once('.') else {
            return Err("no '.' between the date and how far to go back, as in +%Y-%m-%d.-2day".to_owned());
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
        return Err(format!("'{}' is none of day, week, month, year", text::printable(unit_name.as_bytes())));
    };
    match number.parse::<u32>() {
        Ok(count) if count <= unit.most() => Ok(Distance { count, unit }),
        _ => Err(format!("{number} {unit}s are more than a thousand years")),
    }
}

/// A policy that can be acted on: at least one rule, and every line understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    path: PathBuf,
    rules: Vec<Rule>,
}

/// What there is of a policy. Only one of the four may be planned with, which is why this is no
/// list of rules that could be empty by mistake.
#[derive(Debug)]
pub enum PolicyFile {
    /// The jail has no policy: it takes no part in `inc` and `rm`.
    Missing,
    /// No line of the file is a rule. Nothing may be deleted, unless the administrator insists
    /// (`-f`), who then has every inc deleted: [`super::Plan::without_rules`].
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// Some lines are no rules: one [`BadFile`](crate::ErrorKind::BadFile) for each. Nothing may be deleted, because
    /// the line may be what kept an inc.
    Bad(Vec<Error>),
    /// A policy to act on.
    Rules(Policy),
}

impl Policy {
    /// Reads the jail's policy from `CONFDIR/J.d/incs_policy`, else from its old place
    /// `CONFDIR/J`. Errors only where a file is there and cannot be read.
    pub fn read(jail: &Jail) -> Result<PolicyFile> {
        Ok(match read_file(jail)? {
            Some((path, content)) => Policy::parse(&path, &content),
            None => PolicyFile::Missing,
        })
    }

    /// The policy that a text holds; `path` is for messages.
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

    /// The file it was read from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The rules, in the order of the file; never none.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }
}

/// How much a policy keeps, as `status` shows it: the original counts the lines with the word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, schemars::JsonSchema)]
#[serde(untagged)]
pub enum Retention {
    /// No policy.
    None,
    /// A policy, whether or not every line of it is right.
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

/// The lines that are meant as rules, with their numbers and without blanks around them (a
/// carriage return counts as a blank, as it does for GNU date).
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
    // A directory there is no policy: `CONFDIR/x.d` is the directory of jail `x` and at the same
    // time the old place of the policy of a jail named `x.d`.
    if legacy.is_dir() {
        return Ok(None);
    }
    Ok(file::read_if_there(legacy)?.map(|content| (legacy.to_path_buf(), content)))
}

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod properties;

#[cfg(test)]
mod tests;
