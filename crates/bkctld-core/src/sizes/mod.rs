//! How much a jail takes on disk: its live data, and its incs with what they share counted once.
//!
//! What a number means. *Live* is what `du -s JAILDIR/J` says: the blocks of everything in the jail,
//! each file once however many names it has. An inc's *new* bytes are those that no inc before it holds,
//! so that their sum is what all incs take together. What the live data shares with the newest inc (a
//! snapshot of it, or a clone) is in both numbers.
//!
//! Whether a number of an earlier run may be shown again is asked of the kernel, never guessed from
//! times of change, which say nothing of a file that grew: see `live` and `incs` here.

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
    /// Directories, the top among them.
    pub directories: u64,
    /// What could not be read, and so is not counted: one line for each, ten at most.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<String>,
}

/// What one inc takes beyond the incs before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IncSize {
    /// The inc in question.
    pub name: IncName,
    /// Bytes that no inc before it holds.
    pub new: u64,
}

/// What a jail takes with all its incs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// What its live data take.
    pub live: TreeSize,
    /// What each of its incs takes, oldest first.
    pub incs: Vec<IncSize>,
    /// When the live data were walked.
    pub walked: Timestamp,
}

impl Sizes {
    /// What all incs take together.
    pub fn incs_total(&self) -> u64 {
        self.incs.iter().fold(0, |sum, inc| sum.saturating_add(inc.new))
    }
}

/// What the caller knows and the domain does not ask for itself.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// How many threads walk one tree.
    pub threads: NonZeroUsize,
    /// Walk everything, whatever earlier runs found.
    pub anew: bool,
    /// Leave nothing behind for the next run.
    pub keep_nothing: bool,
    /// The time, to be noted beside what is found.
    pub now: Timestamp,
}

/// One run over all jails of the server. Nobody else measures meanwhile.
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
    /// Begins a run; waits while another one measures. Syncs the file system of `JAILDIR`, because what
    /// was not yet written has no place on disk, and the file system does not tell of it.
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

    /// Ends the run: leaves for the next one what was found.
    pub fn finish(self) -> Result<()> {
        if self.options.keep_nothing {
            return Ok(());
        }
        let pending = self.pending.into_inner().unwrap_or_else(PoisonError::into_inner);
        self.volume.finish(&self.dir, &pending)
    }
}

/// What the last run that measured found of the jail, without a look at the jail; none where none did.
pub fn last_known(settings: &Settings, jail: &Jail) -> Option<Sizes> {
    Cache::read(&CacheDir::new(settings), jail)?.sizes()
}
