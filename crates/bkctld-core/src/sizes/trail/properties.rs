//! Properties of every trail.

use super::*;
use crate::fuzzing::{put, with_jail};

pub(crate) fn hold(bytes: &[u8]) {
    with_jail(|jail, settings| {
        let path = settings.data_dir.join("sizes/web.trail");
        put(&path, bytes);
        let Ok(top) = fs::File::open(jail.dir()).map(OwnedFd::from) else { return };
        // No inode has the number of what is made up, so only one that says nothing is unchanged.
        assert_eq!(is_unchanged(&top, &path, &checksum(bytes)), bytes.is_empty());
        assert!(!is_unchanged(&top, &path, ""));
    });
}
