//! Properties of every file of keys.

use super::*;
use crate::fuzzing::assert_shown;

pub(crate) fn hold(bytes: &[u8]) {
    let path = Path::new("/backup/jails/web/rootfs/root/.ssh/authorized_keys");
    let keys = match Keys::check(path, bytes) {
        Ok(keys) => keys,
        Err(error) => return assert_shown(error),
    };
    assert_eq!(keys.content(), bytes);
    assert!(!keys.keys().is_empty());
    assert!(keys.keys().windows(2).all(|pair| pair[0].line < pair[1].line));
    for key in keys.keys() {
        for shown in [&key.algorithm, &key.fingerprint, &key.options, &key.comment] {
            assert_shown(shown);
        }
        let hash = key.fingerprint.strip_prefix("SHA256:");
        assert!(hash.is_some_and(|hash| hash.len() == 43), "{}", key.fingerprint);
    }
    // Each line means the same without the others. Only a few are tried, because there may be any number.
    for key in keys.keys().iter().take(8) {
        let line = bytes.split(|byte| *byte == b'\n').nth(key.line - 1).unwrap_or_default();
        let alone = Keys::check(path, line).ok().map(|alone| Key { line: key.line, ..alone.keys[0].clone() });
        assert_eq!(alone.as_ref(), Some(key));
    }
}
