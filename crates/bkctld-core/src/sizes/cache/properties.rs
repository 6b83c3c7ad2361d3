//! What holds of every cache of sizes.

use super::*;
use crate::fuzzing::{put, with_jail};

pub(crate) fn hold(bytes: &[u8]) {
    with_jail(|jail, settings| {
        let place = Place::of(settings);
        put(&place.of_jail(jail), bytes);
        let Some(cache) = place.read(jail) else { return };
        if let Some(sizes) = cache.sizes() {
            assert!(sizes.incs.windows(2).all(|pair| pair[0].name < pair[1].name));
            let _ = sizes.of_incs();
        }
        let written = place.bytes(&cache);
        assert!(written.is_ok());
        put(&place.of_jail(jail), &written.unwrap_or_default());
        assert_eq!(place.read(jail), Some(cache));
    });
}
