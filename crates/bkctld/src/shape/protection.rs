//! The answer of `inc-lock` and `inc-unlock`.

use bkctld_core::inc::Protection;
use bkctld_core::{IncName, JailName};
use schemars::JsonSchema;
use serde::Serialize;

use super::outcome::{Ended, Outcome};

/// The additional fields in the outcome of a jail.
#[derive(Serialize, JsonSchema)]
pub struct LockableIncs {
    pub incs: Vec<LockableInc>,
}

/// One inc that matched.
#[derive(Serialize, JsonSchema)]
pub struct LockableInc {
    pub inc: IncName,
    /// Its state now, or its planned state; null if it is not a btrfs snapshot.
    pub locked: Option<bool>,
    pub changed: bool,
}

/// The outcome for the incs of one jail.
pub struct Tally {
    /// The intended state.
    locked: bool,
    rehearsal: bool,
    incs: Vec<LockableInc>,
}

impl Tally {
    /// Of none yet.
    pub fn new(locked: bool, rehearsal: bool) -> Tally {
        Tally { locked, rehearsal, incs: Vec::new() }
    }

    /// Counts an inc that was so before.
    pub fn count(&mut self, inc: IncName, before: Protection) {
        let locked = (before != Protection::NoSnapshot).then_some(self.locked);
        let changed = locked.is_some_and(|locked| locked != (before == Protection::Locked));
        self.incs.push(LockableInc { inc, locked, changed });
    }

    /// The outcome for all of them.
    pub fn outcome(self, jail: &JailName) -> Outcome<LockableIncs> {
        let number = |is: fn(&LockableInc) -> bool| self.incs.iter().filter(|inc| is(inc)).count();
        let changed = number(|inc| inc.changed);
        let already = number(|inc| inc.locked.is_some() && !inc.changed);
        let no_snapshots = number(|inc| inc.locked.is_none());
        let done = if self.locked { "locked" } else { "unlocked" };
        let mut parts = Vec::new();
        if changed > 0 {
            let would = if self.rehearsal { "would be " } else { "" };
            parts.push(format!("incs {would}{done}: {changed}"));
        }
        if already > 0 {
            parts.push(format!("{done} already: {already}"));
        }
        if no_snapshots > 0 {
            parts.push(format!("not btrfs snapshots and skipped: {no_snapshots}"));
        }
        if changed > 0 && !self.locked {
            parts.push("changes to an unlocked inc are permanent".to_owned());
        }
        if parts.is_empty() {
            parts.push("its incs were deleted in the meantime".to_owned());
        }
        let ended = match (self.rehearsal, changed) {
            (true, _) => Ended::Would,
            (false, 0) => Ended::Skipped,
            (false, _) => Ended::Done,
        };
        // Unprotected history, and a lock without effect, must not go unnoticed.
        let warns = no_snapshots > 0 || (changed > 0 && !self.locked && !self.rehearsal);
        let outcome = Outcome::new(ended, format_args!("jail '{jail}': {}", parts.join("; ")));
        let outcome = outcome.with(LockableIncs { incs: self.incs });
        if warns { outcome.into_warning() } else { outcome }
    }
}
