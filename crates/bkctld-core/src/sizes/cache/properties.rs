//! Properties of every cache of sizes.

use super::*;
use crate::fuzzing::{put, with_jail};

pub(crate) fn hold(bytes: &[u8]) {
    with_jail(|jail, settings| {
        let dir = CacheDir::new(settings);
        put(&dir.cache(jail), bytes);
        let Some(cache) = Cache::read(&dir, jail) else { return };
        if let Some(sizes) = cache.sizes() {
            assert!(sizes.incs.windows(2).all(|pair| pair[0].name < pair[1].name));
            let _ = sizes.incs_total();
        }
        let written = cache.bytes();
        assert!(written.is_ok());
        put(&dir.cache(jail), &written.unwrap_or_default());
        assert_eq!(Cache::read(&dir, jail), Some(cache));
    });
}
