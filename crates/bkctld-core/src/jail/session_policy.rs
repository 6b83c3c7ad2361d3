//! `CONFDIR/J.d/session_policy`: the isolation and the limits of one jail's sessions.

use std::path::Path;

use super::Jail;
use crate::config::values::Values;
use crate::config::{Isolation, SessionLimits, Settings};
use crate::error::{Error, Result};
use crate::file;

/// The settings for the sessions of one jail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionPolicy {
    /// `ISOLATION`: `full`, unless the administrator chose `compat`.
    pub isolation: Isolation,
    /// `MAX_SESSIONS`, `MAX_SESSIONS_PER_SOURCE`, `MAX_PENALTY` and `PENALTY_EXEMPT`, by default those of the
    /// server.
    pub limits: SessionLimits,
}

impl SessionPolicy {
    /// Reads the policy of this jail; without a file, the server's settings apply. Unlike in the server's
    /// configuration, a line that is not understood is an error: each of these few variables changes what a
    /// client may do, so a misspelt one must not pass.
    pub fn read(jail: &Jail, settings: &Settings) -> Result<SessionPolicy> {
        let path = jail.session_policy();
        match file::read_if_there(&path)? {
            Some(content) => SessionPolicy::parse(&path, &content, settings.session_limits.clone()),
            None => Ok(SessionPolicy { isolation: Isolation::Full, limits: settings.session_limits.clone() }),
        }
    }

    fn parse(path: &Path, content: &[u8], limits: SessionLimits) -> Result<SessionPolicy> {
        let mut values = Values::parse(path, content, &|_| None)?;
        let isolation = values.get("ISOLATION", isolation)?.unwrap_or(Isolation::Full);
        let limits = limits.with(&mut values)?;
        match values.unknown().next() {
            None => Ok(SessionPolicy { isolation, limits }),
            Some(warning) => Err(Error::bad_line(&warning.path, warning.line, &warning.reason)),
        }
    }
}

fn isolation(value: &str) -> Result<Isolation, String> {
    match value {
        "full" => Ok(Isolation::Full),
        "compat" => Ok(Isolation::Compat),
        _ => Err(format!("'{value}' is neither full nor compat")),
    }
}

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod properties;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jail_says_what_differs_from_the_server() {
        let dir = tempfile::tempdir().unwrap();
        let settings = Settings { conf_dir: dir.path().to_path_buf(), ..Settings::default() };
        let jail = Jail::new(&settings, "j".parse().unwrap());
        let read = || SessionPolicy::read(&jail, &settings);
        let server = SessionPolicy { isolation: Isolation::Full, limits: settings.session_limits.clone() };
        assert_eq!(read().unwrap(), server);

        std::fs::create_dir(jail.conf_dir()).unwrap();
        let write = |text: &str| std::fs::write(jail.session_policy(), text).unwrap();
        write("# device nodes\nISOLATION=compat\nMAX_SESSIONS_PER_SOURCE=40\n");
        let policy = read().unwrap();
        assert_eq!(policy.isolation, Isolation::Compat);
        assert_eq!((policy.limits.per_jail.get(), policy.limits.per_source.get()), (40, 40));

        for (text, reason) in [
            ("ISOLATION=none", "1: ISOLATION: 'none' is neither full nor compat"),
            ("\nISOLATOIN=compat", "2: unknown variable 'ISOLATOIN' has no effect"),
            ("MAX_SESSIONS=0", "1: MAX_SESSIONS: must be at least 1"),
            ("MAX_SESSIONS_PER_SOURCE=41", "1: MAX_SESSIONS_PER_SOURCE: 41 is more than the 40 sessions"),
            ("ISOLATION=$(x)", "1: '$(': commands are not run"),
        ] {
            write(text);
            let error = read().unwrap_err().to_string();
            assert!(error.contains(&format!("session_policy:{reason}")), "{error}");
        }
    }
}
