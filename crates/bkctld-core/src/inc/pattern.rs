//! The incs that an administrator selects: `all`, a jail's name, or a pattern such as `web*/2026-0[1-6]-*`.

use std::path::{Component, Path};

use glob::Pattern;

use super::{IncName, jails_with_incs, list};
use crate::config::Settings;
use crate::error::{Error, Result};
use crate::jail::{Jail, JailName};
use crate::text;

/// The incs whose jail and whose own name match. A pattern speaks of names, never of paths: what
/// would lead out of `INCDIR` cannot be said with it.
#[derive(Clone, Debug)]
pub struct IncPattern {
    jails: Pattern,
    incs: Pattern,
    shown: String,
}

impl IncPattern {
    /// Reads `all`, `JAILS`, `JAILS/INCS`, or a path below `inc_dir` (which is absolute), with the
    /// shell's `*`, `?` and `[…]` in either part.
    pub fn parse(text: &str, inc_dir: &Path) -> Result<IncPattern> {
        let shown = text::printable(text.as_bytes()).into_owned();
        let refuse = |why: &str| Err(Error::invalid(format!("'{shown}' is not a pattern for incs: {why}")));
        let below = Path::new(text).strip_prefix(inc_dir).unwrap_or(Path::new(text));
        let mut parts = Vec::new();
        for component in below.components() {
            match component {
                Component::Normal(part) => parts.push(part.to_str().unwrap_or_default()),
                _ => return refuse("it leads out of INCDIR"),
            }
        }
        // `components` passes over a `.` within.
        if text.split('/').any(|part| part == ".") {
            return refuse("it has a '.' in it");
        }
        let (jails, incs) = match parts.as_slice() {
            ["all"] => ("*", "*"),
            [jails] => (*jails, "*"),
            [jails, incs] => (*jails, *incs),
            [] => return refuse("it names no jail"),
            _ => return refuse("it has more parts than JAIL/INC"),
        };
        match (Pattern::new(jails), Pattern::new(incs)) {
            (Ok(jails), Ok(incs)) => Ok(IncPattern { jails, incs, shown }),
            (Err(error), _) | (_, Err(error)) => refuse(error.msg),
        }
    }

    /// The incs that match, by jail, in order. That none does is an error, since whoever gives a
    /// pattern means something; a plain name that no jail has is [`NoSuchJail`](crate::ErrorKind::NoSuchJail).
    pub fn matching(&self, settings: &Settings) -> Result<Vec<(JailName, Vec<IncName>)>> {
        let mut found = Vec::new();
        for name in jails_with_incs(settings)? {
            if !self.jails.matches(name.as_str()) {
                continue;
            }
            let mut incs = list(&Jail::new(settings, name.clone()))?;
            incs.retain(|inc| self.incs.matches(&inc.to_string()));
            if !incs.is_empty() {
                found.push((name, incs));
            }
        }
        if !found.is_empty() {
            return Ok(found);
        }
        if let Ok(name) = self.jails.as_str().parse::<JailName>() {
            let jail = Jail::new(settings, name);
            if !jail.exists() && !jail.inc_dir().is_dir() {
                return Err(Error::no_such_jail(jail.name()));
            }
        }
        Err(Error::invalid(format!("no inc matches '{}': nothing was done", self.shown)))
    }
}

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod properties;

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(dir: &Path) -> Settings {
        Settings { inc_dir: dir.join("incs"), jail_dir: dir.join("jails"), ..Settings::default() }
    }

    #[test]
    fn a_pattern_picks_jails_and_incs_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let settings = settings(dir.path());
        for inc in ["web1/2026-01-31-00", "web1/2026-02-01-23", "web2/2026-02-01-23", "db/2025-02-01-00"] {
            std::fs::create_dir_all(settings.inc_dir.join(inc)).unwrap();
        }
        for other in ["web1/.making.2026-02-02-00", "web1/notes", ".hidden/2026-02-01-23", "empty"] {
            std::fs::create_dir_all(settings.inc_dir.join(other)).unwrap();
        }
        std::fs::create_dir_all(settings.jail_dir.join("fresh")).unwrap();
        let matching = |pattern: &str| -> Result<Vec<String>> {
            let found = IncPattern::parse(pattern, &settings.inc_dir)?.matching(&settings)?;
            let paths = |(jail, incs): (JailName, Vec<IncName>)| {
                incs.into_iter().map(move |inc| format!("{jail}/{inc}")).collect::<Vec<_>>()
            };
            Ok(found.into_iter().flat_map(paths).collect())
        };
        let all = ["db/2025-02-01-00", "web1/2026-01-31-00", "web1/2026-02-01-23", "web2/2026-02-01-23"];
        let absolute = format!("{}/web1/2026-01-31-00", settings.inc_dir.display());
        for (pattern, expected) in [
            ("all", &all[..]),
            ("*", &all),
            ("*/*", &all),
            ("web1", &all[1..3]),
            ("web1/", &all[1..3]),
            ("web?/2026-02-*", &all[2..]),
            ("web1/2026-0[2-6]-*", &all[2..3]),
            ("[!w]*", &all[..1]),
            (&absolute, &all[1..2]),
        ] {
            assert_eq!(matching(pattern).unwrap(), expected, "{pattern}");
        }
        for (pattern, why) in [
            ("web1/2027-*", "no inc matches"),
            ("*/notes", "no inc matches"),
            ("x*", "no inc matches"),
            ("empty", "no inc matches"),
            ("fresh", "no inc matches"),
            ("nobody", "no jail named 'nobody'"),
            ("nobody/2026-*", "no jail named 'nobody'"),
        ] {
            let error = matching(pattern).unwrap_err().to_string();
            assert!(error.contains(why), "{pattern}: {error}");
        }
    }

    #[test]
    fn a_pattern_cannot_leave_the_directory_of_incs() {
        let inc_dir = Path::new("/backup/incs");
        for bad in [
            "",
            "/",
            ".",
            "..",
            "../jails",
            "web1/..",
            "web1/../../jails/*",
            "./web1",
            "web1/./x",
            "/etc/*",
            "/backup/incs",
            "/backup/incs/../jails/x",
            "/backup/incs2/a",
            "web1/2026-*/data",
            "web1/[",
            "a**b",
            "\x1b[2J/..",
        ] {
            let error = IncPattern::parse(bad, inc_dir).unwrap_err().to_string();
            assert!(error.contains("is not a pattern for incs"), "{bad}: {error}");
            assert!(!error.contains('\x1b'), "{error:?}");
        }
    }
}
