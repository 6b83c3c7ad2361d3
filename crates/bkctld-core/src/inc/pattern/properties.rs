//! Properties of every name and every pattern.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use super::*;
use crate::client::ServerName;
use crate::fuzzing::assert_shown;
use crate::inc::files::Hidden;
use crate::jail::Port;

pub(crate) fn hold(bytes: &[u8]) {
    for word in bytes.split(|byte| *byte == b'\n').take(64) {
        of_hidden(OsStr::from_bytes(word));
        let Ok(word) = std::str::from_utf8(word) else { continue };
        round_trip::<JailName>(word);
        round_trip::<IncName>(word);
        round_trip::<Port>(word);
        of_jail_name(word);
        if let Err(error) = word.parse::<ServerName>() {
            assert_shown(error);
        }
        match IncPattern::parse(word, Path::new("/backup/incs")) {
            Err(error) => assert_shown(error),
            Ok(pattern) => {
                assert_shown(&pattern.shown);
                // As long as a jail's name may be.
                let _ = pattern.jails.matches(&"a".repeat(JailName::MAX_LEN));
                let _ = pattern.incs.matches("2026-03-01-07");
            }
        }
    }
}

fn round_trip<T>(word: &str)
where
    T: std::str::FromStr<Err: std::fmt::Display> + ToString + PartialEq + std::fmt::Debug,
{
    match word.parse::<T>() {
        Ok(name) => assert_eq!(name.to_string().parse::<T>().ok(), Some(name)),
        Err(error) => assert_shown(error),
    }
}

/// One directory below another, whatever it is put beside.
fn of_jail_name(word: &str) {
    if let Ok(name) = word.parse::<JailName>() {
        assert_eq!(Path::new(name.as_str()).components().count(), 1);
        assert_eq!(Path::new("/jails").join(name.as_str()).parent(), Some(Path::new("/jails")));
        assert!(Hidden::parse(OsStr::new(name.as_str())).is_none());
    }
    if let Ok(name) = word.parse::<IncName>() {
        assert_eq!(name.to_string(), word);
        assert!((0..24).contains(&name.hour()));
    }
}

fn of_hidden(name: &OsStr) {
    match Hidden::parse(name) {
        None | Some(Hidden::NewFile) => {}
        Some(hidden) => assert_eq!(hidden.file_name(), name),
    }
}
