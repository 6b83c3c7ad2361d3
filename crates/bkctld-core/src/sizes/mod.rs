//! The space that a jail uses on disk: its live data, and its incs, with shared data counted once.
//!
//! The meaning of the numbers: *live* is the result of `du -s JAILDIR/J`: the blocks of everything in the
//! jail, each file once however many names it has. The *new* bytes of an inc are those that no earlier inc
//! has, so their sum is the size of all incs together. Data that the live data shares with the newest inc (a
//! snapshot of it, or a clone) is in both numbers.
//!
//! The kernel decides whether a number of an earlier run is still valid; times of change are not used,
//! because they say nothing about a file that grew: see `live` and `incs` here.

pub(crate) mod cache;
mod cache_dir;
mod incs;
mod live;
pub(crate) mod shares;
mod sum;
pub(crate) mod trail;
mod volume;

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::config::Settings;
use crate::error::{Error, JailContext, Result};
use crate::file;
use crate::inc::IncName;
use crate::jail::{self, Jail};
use crate::lock::Lock;
use crate::progress::Progress;
use cache::Cache;
use cache_dir::CacheDir;
use volume::Volume;

/// What a tree takes on disk, and how many names it has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TreeSize {
    /// Bytes on disk, as `du` counts them.
    pub bytes: u64,
    /// Names of everything but directories.
    pub files: u64,
    /// Directories, including the top one.
    pub directories: u64,
    /// Files that could not be read and are not counted: one line for each, ten at most.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<String>,
}

/// What one inc takes beyond the incs before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IncSize {
    /// The inc in question.
    pub name: IncName,
    /// Bytes that no earlier inc has.
    pub new: u64,
}

/// What a jail takes with all its incs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// What its live data take.
    pub live: TreeSize,
    /// What each of its incs takes, oldest first.
    pub incs: Vec<IncSize>,
    /// The time at which the live data was walked.
    pub walked: Timestamp,
}

impl Sizes {
    /// The size of all incs together.
    pub fn incs_total(&self) -> u64 {
        self.incs.iter().fold(0, |sum, inc| sum.saturating_add(inc.new))
    }
}

/// Values from the caller, which the domain does not determine itself.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// The number of threads that walk one tree.
    pub threads: NonZeroUsize,
    /// Walk everything, regardless of earlier results.
    pub anew: bool,
    /// Keep no results for the next run.
    pub keep_nothing: bool,
    /// The time, to be noted beside what is found.
    pub now: Timestamp,
}

/// One run over all jails of the server. No other run measures at the same time.
#[derive(Debug)]
pub struct Measuring {
    options: Options,
    dir: CacheDir,
    /// Of the file system that holds `JAILDIR`.
    volume: Volume,
    /// Caches that are written at the end: writing them changes the file system that is measured,
    /// where both are on the same.
    pending: Mutex<Vec<(PathBuf, Vec<u8>)>>,
    _lock: Lock,
}

impl Measuring {
    /// Begins a run; waits for another run to finish. Syncs the file system of `JAILDIR`, because unwritten
    /// data has no place on disk and is not reported by the file system.
    pub fn begin(settings: &Settings, options: Options, waiting: impl FnOnce()) -> Result<Measuring> {
        let lock = Lock::take(&settings.lock_dir.join("sizes"), waiting)?;
        let dir = CacheDir::new(settings);
        if !options.keep_nothing {
            dir.prepare(&jail::list(settings)?)?;
        }
        let volume = Volume::begin(&settings.jail_dir, &dir)?;
        Ok(Measuring { options, dir, volume, pending: Mutex::default(), _lock: lock })
    }

    /// Measures the jail, as far as nothing vouches for what is known.
    pub fn measure(&self, jail: &Jail, progress: &Progress) -> Result<Sizes> {
        let measured = self.look_again(jail, progress);
        if measured.is_err() && !self.options.keep_nothing {
            // The state of the file system that this run leaves must not vouch for an older number.
            file::remove_if_there(&self.dir.cache(jail))?;
        }
        measured.for_jail(jail.name())
    }

    fn look_again(&self, jail: &Jail, progress: &Progress) -> Result<Sizes> {
        let before = if self.options.anew { None } else { Cache::read(&self.dir, jail) };
        let old = before.clone().unwrap_or_default();
        let top = jail.open_dir()?;
        let live = live::measure(jail, top, old.live, (&self.volume, &self.dir), &self.options, progress)?;
        let incs = incs::measure(jail, old.incs, &self.dir, &self.options, progress)?;
        let cache = Cache { live: Some(live), incs };
        let sizes = cache.sizes().ok_or_else(|| Error::internal("no sizes were found"))?;
        if !self.options.keep_nothing && before.as_ref() != Some(&cache) {
            let bytes = cache.bytes()?;
            let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
            pending.push((self.dir.cache(jail), bytes));
        }
        Ok(sizes)
    }

    /// Ends the run, and keeps its results for the next one.
    pub fn finish(self) -> Result<()> {
        if self.options.keep_nothing {
            return Ok(());
        }
        let pending = self.pending.into_inner().unwrap_or_else(PoisonError::into_inner);
        self.volume.finish(&self.dir, &pending)
    }
}

/// The result of the last run for the jail, without examining the jail; none if there was no run.
pub fn last_known(settings: &Settings, jail: &Jail) -> Option<Sizes> {
    Cache::read(&CacheDir::new(settings), jail)?.sizes()
}
