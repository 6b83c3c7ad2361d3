//! What a run leaves for the next: `DATADIR/sizes`. Nothing there is needed: what is missing or damaged
//! is found anew.
//!
//! Not in `INDEX_DIR`, where the original has its indexer's database: that is on the backup partition by
//! default, and every write there would look like a change of what is measured.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::incs::Incs;
use super::live::Live;
use super::volume::Usage;
use super::{IncSize, Sizes};
use crate::config::Settings;
use crate::error::{Error, IoContext, Result};
use crate::file;
use crate::jail::{Jail, JailName};

/// The shape of the files; a cache of another is none.
const FORMAT: u32 = 1;

/// What is known of one jail.
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
    /// The numbers; none where the live data were never walked.
    pub(super) fn sizes(&self) -> Option<Sizes> {
        let live = self.live.as_ref()?;
        let incs = self.incs.sizes().into_iter().map(|(name, new)| IncSize { name, new }).collect();
        let mut tree = live.tree.clone();
        tree.problems.extend(self.incs.problems());
        Some(Sizes { live: tree, incs, walked: live.walked })
    }
}

/// The directory of the caches.
#[derive(Clone, Debug)]
pub(super) struct Place(PathBuf);

impl Place {
    pub(super) fn of(settings: &Settings) -> Place {
        Place(settings.data_dir.join("sizes"))
    }

    /// Makes it, and removes what belongs to jails that are no more.
    pub(super) fn prepare(&self, jails: &[JailName]) -> Result<()> {
        file::make_private_dir(&self.0, 0o700)?;
        for entry in fs::read_dir(&self.0).context("cannot read", &self.0)? {
            let path = entry.context("cannot read", &self.0)?.path();
            let stem = path.file_stem().and_then(OsStr::to_str).unwrap_or_default();
            let ours = path.extension().is_some_and(|end| end == "json" || end == "files" || end == "trail");
            if ours && !jails.iter().any(|jail| jail.as_str() == stem) {
                fs::remove_file(&path).context("cannot remove", &path)?;
            }
        }
        Ok(())
    }

    /// The file of the state of the file system. No jail's name begins with a dot.
    pub(super) fn state(&self) -> PathBuf {
        self.0.join(".volume")
    }

    pub(super) fn of_jail(&self, jail: &Jail) -> PathBuf {
        self.0.join(format!("{}.json", jail.name()))
    }

    /// The files of the jail's newest inc.
    pub(super) fn files(&self, jail: &Jail) -> PathBuf {
        self.0.join(format!("{}.files", jail.name()))
    }

    /// The directories of the jail's live data.
    pub(super) fn trail(&self, jail: &Jail) -> PathBuf {
        self.0.join(format!("{}.trail", jail.name()))
    }

    pub(super) fn read(&self, jail: &Jail) -> Option<Cache> {
        let bytes = fs::read(self.of_jail(jail)).ok()?;
        let read: OnDisk = serde_json::from_slice(&bytes).ok()?;
        (read.format == FORMAT).then_some(read.cache)
    }

    pub(super) fn bytes(&self, cache: &Cache) -> Result<Vec<u8>> {
        let on_disk = OnDisk { format: FORMAT, cache: cache.clone() };
        serde_json::to_vec(&on_disk).map_err(|error| Error::Invalid(format!("cannot keep sizes: {error}")))
    }

    /// Which device the caches lie on.
    pub(super) fn device(&self) -> Result<u64> {
        use std::os::unix::fs::MetadataExt;
        Ok(fs::metadata(self.path()).context("cannot look at", self.path())?.dev())
    }

    /// What they take.
    pub(super) fn usage(&self) -> Result<Usage> {
        Usage::of(self.path()).context("cannot look at", self.path())
    }

    fn path(&self) -> &Path {
        &self.0
    }
}

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod properties;

#[cfg(test)]
mod tests {
    use super::*;

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
        let (place, jail) = (Place::of(&settings), Jail::new(&settings, "web".parse().unwrap()));
        fs::create_dir(place.path()).unwrap();
        fs::write(place.of_jail(&jail), text).unwrap();
        let sizes = place.read(&jail).unwrap().sizes().unwrap();
        assert_eq!((sizes.incs[0].new, sizes.of_incs()), (u64::MAX, u64::MAX));
    }
}
