//! What a run leaves for the next: the files in `DATADIR/sizes`. Nothing there is needed: what is missing or
//! damaged is found anew.
//!
//! Not in `INDEX_DIR`, where the original has its indexer's database: that is on the backup partition by
//! default, and every write there would look like a change of what is measured.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::config::Settings;
use crate::error::{IoContext, Result};
use crate::file;
use crate::jail::{Jail, JailName};

/// The directory of the caches.
#[derive(Clone, Debug)]
pub(super) struct CacheDir(PathBuf);

/// How much of a file system files take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Usage {
    /// In units of 512 bytes, as stat(2) counts.
    pub(super) blocks: u64,
    pub(super) inodes: u64,
}

impl CacheDir {
    pub(super) fn new(settings: &Settings) -> CacheDir {
        CacheDir(settings.data_dir.join("sizes"))
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

    /// The file of what is known of the jail.
    pub(super) fn cache(&self, jail: &Jail) -> PathBuf {
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

    /// Which device it lies on.
    pub(super) fn device(&self) -> Result<u64> {
        Ok(fs::metadata(self.path()).context("cannot look at", self.path())?.dev())
    }

    /// How much it takes with all that is in it.
    pub(super) fn usage(&self) -> Result<Usage> {
        let usage = || {
            let mut usage = Usage { blocks: fs::metadata(self.path())?.blocks(), inodes: 1 };
            // It has no subdirectories.
            for entry in fs::read_dir(self.path())? {
                usage.blocks += entry?.metadata()?.blocks();
                usage.inodes += 1;
            }
            Ok::<_, std::io::Error>(usage)
        };
        usage().context("cannot look at", self.path())
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}
