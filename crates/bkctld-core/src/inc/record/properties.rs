//! Properties of every record of an inc.

use super::*;
use crate::fuzzing::{put, with_jail};

pub(crate) fn hold(bytes: &[u8]) {
    let Ok(name) = "2026-03-01-07".parse::<IncName>() else { return };
    with_jail(|jail, _| {
        put(&jail.inc_dir().join(Hidden::Record(name).file_name()), bytes);
        let record = Record::read(jail, name);
        assert!(record.is_ok(), "{record:?}");
        let Ok(Some(record)) = record else { return };
        // As those who show it ask for it.
        let _ = record.ended.duration_since(record.begun).as_secs_f64();
        assert!(record.write(jail, name, file::Sync::Later).is_ok());
        assert_eq!(Record::read(jail, name).ok().flatten(), Some(record));
    });
}
