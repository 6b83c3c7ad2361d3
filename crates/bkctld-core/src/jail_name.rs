//! The name of a jail: a directory name, a unit name and a host name at once.

use std::fmt;
use std::str::FromStr;

use crate::text;

/// Letters, digits, `.`, `_`, `-`, beginning with a letter or digit, at most 64 bytes, not `all`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, schemars::JsonSchema)]
#[serde(transparent)]
pub struct JailName(String);

impl JailName {
    /// The maximum length of a name in bytes: Linux's limit for a host name (`HOST_NAME_MAX`).
    pub const MAX_LEN: usize = 64;

    /// The name, for joining it to a path or writing it into a file.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Why a text is not the name of a jail. A type of its own: [`crate::Error`] holds the name of a jail, so the
/// name must not need it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{}' is not a jail name: {reason}", text::printable(.shown.as_bytes()))]
pub struct NotAJailName {
    shown: String,
    reason: &'static str,
}

impl FromStr for JailName {
    type Err = NotAJailName;

    fn from_str(text: &str) -> Result<JailName, NotAJailName> {
        let refuse = |reason| Err(NotAJailName { shown: text.chars().take(80).collect(), reason });
        if text.is_empty() {
            return refuse("it is empty");
        }
        if text.len() > JailName::MAX_LEN {
            return refuse("it is longer than 64 bytes");
        }
        if text == "all" {
            return refuse("'all' means every jail");
        }
        if !text.as_bytes()[0].is_ascii_alphanumeric() {
            return refuse("it must begin with a letter or digit");
        }
        if !text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte)) {
            return refuse("only letters, digits, '.', '_' and '-' are allowed");
        }
        Ok(JailName(text.to_owned()))
    }
}

impl fmt::Display for JailName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_plain_word_and_nothing_else() {
        let long = "a".repeat(64);
        for good in ["a", "web-01.example.org", "0", "A_b", "allx", &long] {
            assert_eq!(good.parse::<JailName>().unwrap().as_str(), good);
        }
        let too_long = "a".repeat(65);
        for bad in
            ["", ".", "..", "a/b", "-x", "_x", ".x", "all", "a b", "a\nb", "\x1b[0m", "é", "a\0", &too_long]
        {
            let error = bad.parse::<JailName>().unwrap_err().to_string();
            assert!(!error.contains(['\n', '\x1b', '\0']), "{error:?}");
        }
    }
}
