//! What is known of one jail's sizes, and its form on disk.

use std::fs;

use serde::{Deserialize, Serialize};

use super::cache_dir::CacheDir;
use super::incs::Incs;
use super::live::Live;
use super::{IncSize, Sizes};
use crate::error::{Error, Result};
use crate::jail::Jail;

/// The version of the files' format; a cache with another version is ignored.
const FORMAT: u32 = 1;

/// The known sizes of one jail.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Cache {
    pub(super) live: Option<Live>,
    pub(super) incs: Incs,
}

#[derive(Serialize, Deserialize)]
struct OnDisk {
    format: u32,
    #[serde(flatten)]
    cache: Cache,
}

impl Cache {
    /// What an earlier run left of the jail.
    pub(super) fn read(dir: &CacheDir, jail: &Jail) -> Option<Cache> {
        let bytes = fs::read(dir.cache(jail)).ok()?;
        let read: OnDisk = serde_json::from_slice(&bytes).ok()?;
        (read.format == FORMAT).then_some(read.cache)
    }

    /// The JSON that [`Cache::read`] understands.
    pub(super) fn bytes(&self) -> Result<Vec<u8>> {
        let on_disk = OnDisk { format: FORMAT, cache: self.clone() };
        serde_json::to_vec(&on_disk).map_err(|error| Error::internal("cannot keep sizes").because(error))
    }

    /// The sizes; none if the live data has never been walked.
    pub(super) fn sizes(&self) -> Option<Sizes> {
        let live = self.live.as_ref()?;
        let incs = self.incs.sizes().into_iter().map(|(name, new)| IncSize { name, new }).collect();
        let mut tree = live.tree.clone();
        tree.problems.extend(self.incs.problems());
        Some(Sizes { live: tree, incs, walked: live.walked })
    }
}

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod properties;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Settings;

    #[test]
    fn numbers_that_are_too_large_to_be_added_up_stay_at_the_largest() {
        let span =
            |last: &str| format!(r#"{{"first":"2026-03-01-07","last":"{last}","bytes":{}}}"#, u64::MAX);
        let spans = [span("2026-03-01-07"), span("2026-03-02-07")].join(",");
        let text = format!(
            r#"{{"format":1,"live":{{"tree":{{"bytes":0,"files":0,"directories":0}},"walked":"2026-03-01T02:00:00Z",
            "seen":null,"trail":null}},"incs":{{"snapshots":[{{"name":"2026-03-03-07","id":1,"generation":1,"after":0,
            "bytes":{}}}],"trees":[],"ended":[],"newest":[{spans}]}}}}"#,
            u64::MAX
        );
        let dir = tempfile::tempdir().unwrap();
        let settings = Settings { data_dir: dir.path().to_path_buf(), ..Settings::default() };
        let (caches, jail) = (CacheDir::new(&settings), Jail::new(&settings, "web".parse().unwrap()));
        fs::create_dir(caches.path()).unwrap();
        fs::write(caches.cache(&jail), text).unwrap();
        let sizes = Cache::read(&caches, &jail).unwrap().sizes().unwrap();
        assert_eq!((sizes.incs[0].new, sizes.incs_total()), (u64::MAX, u64::MAX));
    }
}
