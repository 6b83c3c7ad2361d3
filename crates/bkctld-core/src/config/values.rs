//! The values of a file of assignments, each looked up by name and checked for its type.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::path::{Component, Path, PathBuf};

use ipnet::IpNet;

use super::shell::{self, Assignment, Env, Script};
use crate::error::{Error, Result};

/// A line of a file that has no effect, of which its author should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// The configuration file that the line is in.
    pub path: PathBuf,
    /// The line of the file, counted from 1.
    pub line: usize,
    /// The reason why it has no effect.
    pub reason: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", crate::text::path(&self.path), self.line, self.reason)
    }
}

/// A file of assignments that is being converted into settings.
pub(crate) struct Values<'a> {
    path: &'a Path,
    script: Script,
    asked: BTreeSet<&'static str>,
}

/// The check of one value: its meaning, or the reason why it is invalid.
type Check<T> = fn(&str) -> Result<T, String>;

impl<'a> Values<'a> {
    /// Reads the text of the file.
    pub fn parse(path: &'a Path, text: &[u8], env: &Env<'_>) -> Result<Values<'a>> {
        let script =
            shell::parse(text, env).map_err(|fault| Error::bad_line(path, fault.line, &fault.reason))?;
        Ok(Values { path, script, asked: BTreeSet::new() })
    }

    /// The checked value of this variable. An empty value counts as absent, as in the original, so that a
    /// line can be emptied instead of deleted.
    pub fn get<T>(&mut self, name: &'static str, check: Check<T>) -> Result<Option<T>> {
        self.asked.insert(name);
        let last = self.script.assignments.iter().rev().find(|assignment| assignment.name == name);
        let Some(Assignment { value, line, .. }) = last.filter(|assignment| !assignment.value.is_empty())
        else {
            return Ok(None);
        };
        let checked = std::str::from_utf8(value)
            .map_err(|_| "not UTF-8".to_owned())
            .and_then(|text| {
                if text.contains(char::is_control) { Err("a control character".into()) } else { Ok(text) }
            })
            .and_then(check);
        checked.map(Some).map_err(|reason| self.bad_line(*line, format!("{name}: {reason}")))
    }

    /// Replaces the default by the value, if there is one.
    pub fn set<T>(&mut self, name: &'static str, slot: &mut T, check: Check<T>) -> Result<()> {
        if let Some(value) = self.get(name, check)? {
            *slot = value;
        }
        Ok(())
    }

    /// The lines that set a variable which is never read and to which no other line refers: most likely
    /// typing errors.
    pub fn unknown(&self) -> impl Iterator<Item = Warning> {
        let idle = |name: &str| !self.asked.contains(name) && !self.script.references.contains(name);
        self.script.assignments.iter().filter(move |assignment| idle(&assignment.name)).map(|assignment| {
            Warning {
                path: self.path.to_path_buf(),
                line: assignment.line,
                reason: format!("unknown variable '{}' has no effect", assignment.name),
            }
        })
    }

    /// The error for a variable whose value contradicts another.
    pub fn conflict(&self, name: &'static str, reason: &str) -> Error {
        let line = self.script.assignments.iter().rev().find(|assignment| assignment.name == name);
        self.bad_line(line.map_or(1, |assignment| assignment.line), format!("{name}: {reason}"))
    }

    fn bad_line(&self, line: usize, reason: String) -> Error {
        Error::bad_line(self.path, line, &reason)
    }
}

/// Any text on one line.
pub(crate) fn text(value: &str) -> Result<String, String> {
    Ok(value.to_owned())
}

/// A path from the root.
pub(crate) fn absolute_path(value: &str) -> Result<PathBuf, String> {
    if value.starts_with('/') { Ok(value.into()) } else { Err(format!("'{value}' is not an absolute path")) }
}

/// A path from the root that cannot leave the directory it is later put below.
pub(crate) fn path_inside(value: &str) -> Result<PathBuf, String> {
    let path = Path::new(value);
    let inside = path.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
    if inside && path.file_name().is_some() {
        Ok(path.into())
    } else {
        Err(format!("'{value}' is not a path of a file below the jail"))
    }
}

/// A whole number; 0 counts as one, as a threshold that always holds.
pub(crate) fn number(value: &str) -> Result<u32, String> {
    let digits = value.bytes().all(|byte| byte.is_ascii_digit());
    value.parse().ok().filter(|_| digits).ok_or_else(|| format!("'{value}' is not a whole number"))
}

/// A whole number that is not 0: a limit of none would shut everybody out.
pub(crate) fn positive(value: &str) -> Result<NonZeroU32, String> {
    NonZeroU32::new(number(value)?).ok_or_else(|| "must be at least 1".to_owned())
}

/// A number from 0 to 100.
pub(crate) fn percent(value: &str) -> Result<u64, String> {
    match number(value)? {
        percent @ 0..=100 => Ok(u64::from(percent)),
        more => Err(format!("{more} is more than 100 percent")),
    }
}

/// A severity of syslog, from 0 (emergency) to 7 (debug).
pub(crate) fn log_level(value: &str) -> Result<u8, String> {
    match value.as_bytes() {
        [digit @ b'0'..=b'7'] => Ok(digit - b'0'),
        _ => Err(format!("'{value}' is not a number from 0 to 7")),
    }
}

/// 1 for yes, 0 for no. Words such as `yes` are refused, because to the original they mean no.
pub(crate) fn switch(value: &str) -> Result<bool, String> {
    match value {
        "0" => Ok(false),
        "1" => Ok(true),
        _ => Err(format!("'{value}' is neither 0 nor 1")),
    }
}

/// Absolute paths, separated by blanks.
pub(crate) fn absolute_paths(value: &str) -> Result<Vec<PathBuf>, String> {
    value.split_whitespace().map(absolute_path).collect()
}

/// Names of servers for `ssh`, separated by blanks.
/// Addresses and networks, with blanks between them.
pub(crate) fn networks(value: &str) -> Result<Vec<IpNet>, String> {
    let parse = |word: &str| {
        let address = || word.parse::<IpAddr>().map(IpNet::from);
        word.parse::<IpNet>()
            .or_else(|_| address())
            .map_err(|_| format!("'{word}' is not an address or network"))
    };
    value.split_whitespace().map(parse).collect()
}

pub(crate) fn nodes(value: &str) -> Result<Vec<String>, String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-@:%".contains(&byte);
    value
        .split_whitespace()
        .map(|node| {
            // A leading '-' would be an option of ssh.
            if node.bytes().all(plain) && !node.starts_with('-') {
                Ok(node.to_owned())
            } else {
                Err(format!("'{node}' is not the name of a server"))
            }
        })
        .collect()
}
