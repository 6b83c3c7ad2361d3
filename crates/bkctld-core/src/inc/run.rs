//! An inc of each jail in one run of `inc`.

use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::make::{MakeOptions, Outcome, make};
use super::name::IncName;
use crate::error::Result;
use crate::jail::Jail;
use crate::progress::Progress;
use crate::watch::{Watch, lock_incs};
use crate::{Turns, session};

/// What all jails of a run have in common.
pub struct Run<'a> {
    /// The name of their incs: the hour in which the run began.
    pub inc: IncName,
    /// The time, for the record of each inc.
    pub now: &'a (dyn Fn() -> Timestamp + Sync),
    /// Whose trees are walked at once.
    pub turns: &'a Turns,
    /// What is counted of all of them.
    pub progress: &'a Progress,
}

/// What became of one jail's inc, and how long that took.
pub type Timed = (Outcome, Duration);

impl Run<'_> {
    /// Makes the inc of one jail as soon as no other command works on its incs. The time does not count in which
    /// other jails had their turns first.
    pub fn make(&self, jail: &Jail, watch: &dyn Watch) -> Result<Timed> {
        let _lock = lock_incs(jail, watch)?;
        let options = MakeOptions {
            threads: std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
            now: self.now,
            session_active: &|| session::active(jail).is_ok_and(|sessions| !sessions.is_empty()),
        };
        self.turns.take_part(|| {
            let began = Instant::now();
            make(jail, self.inc, &options, self.progress).map(|outcome| (outcome, began.elapsed()))
        })
    }
}
