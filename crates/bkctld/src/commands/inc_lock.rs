//! `inc-lock` and `inc-unlock`: the read-only flag of incs that are snapshots.

use bkctld_core::inc::{IncPattern, Protection, protection, set_protection};
use bkctld_core::lock::Lock;
use bkctld_core::{IncName, Jail, JailName};
use clap::Args;
use serde_json::json;

use crate::completion;
use crate::context::{Context, Ended, Outcome};
use crate::exit::{Exit, Failure};

#[derive(Args)]
pub struct Arguments {
    /// 'all', a jail, or JAIL/INC with the shell's *, ? and [...] in either, as 'web*/2026-0[1-6]-*'
    #[arg(value_name = "PATTERN", add = completion::inc_pattern())]
    pattern: String,
}

pub fn run(context: &Context, arguments: Arguments) -> Result<Exit, Failure> {
    set(context, &arguments, true)
}

/// What both commands do; `locked` is what the incs shall be.
pub fn set(context: &Context, arguments: &Arguments, locked: bool) -> Result<Exit, Failure> {
    let pattern = IncPattern::parse(&arguments.pattern, &context.settings.inc_dir)?;
    let (names, incs): (Vec<_>, Vec<_>) = pattern.matching(&context.settings)?.into_iter().unzip();
    let command = if locked { "inc-lock" } else { "inc-unlock" };
    Ok(context.for_each(command, &names, |name| {
        let of_jail = names.iter().position(|known| known == name).and_then(|at| incs.get(at));
        of(context, name, of_jail.map_or(&[], Vec::as_slice), locked)
    }))
}

fn of(context: &Context, name: &JailName, incs: &[IncName], locked: bool) -> Result<Outcome, Failure> {
    let jail = Jail::new(&context.settings, name.clone());
    let rehearsal = context.settings.dry_run;
    let _lock = match rehearsal {
        true => None,
        false => Some(Lock::take(&jail.incs_lock(), || context.waiting_for(name))?),
    };
    let mut tally = Tally { locked, rehearsal, ..Tally::default() };
    for &inc in incs {
        let before = if rehearsal { protection(&jail, inc)? } else { set_protection(&jail, inc, locked)? };
        // One that is gone meanwhile was deleted by `rm`, which is as good as protected.
        if let Some(before) = before {
            tally.count(inc, before);
        }
    }
    Ok(tally.outcome(name))
}

/// What became of the incs of one jail.
#[derive(Default)]
struct Tally {
    locked: bool,
    rehearsal: bool,
    changed: usize,
    already: usize,
    no_snapshots: usize,
    incs: Vec<serde_json::Value>,
}

impl Tally {
    fn count(&mut self, inc: IncName, before: Protection) {
        let is_so = |locked| locked == self.locked;
        let (counter, locked) = match before {
            Protection::NoSnapshot => (&mut self.no_snapshots, None),
            Protection::Locked if is_so(true) => (&mut self.already, Some(true)),
            Protection::Unlocked if is_so(false) => (&mut self.already, Some(false)),
            _ => (&mut self.changed, Some(self.locked)),
        };
        *counter += 1;
        let changed = locked.is_some() && locked != Some(before == Protection::Locked);
        self.incs.push(json!({ "inc": inc.to_string(), "locked": locked, "changed": changed }));
    }

    fn outcome(self, name: &JailName) -> Outcome {
        let done = if self.locked { "locked" } else { "unlocked" };
        let mut parts = Vec::new();
        if self.changed > 0 {
            let would = if self.rehearsal { "would be " } else { "" };
            parts.push(format!("incs {would}{done}: {}", self.changed));
        }
        if self.already > 0 {
            parts.push(format!("{done} already: {}", self.already));
        }
        if self.no_snapshots > 0 {
            parts.push(format!("no btrfs snapshots, to which nothing is done: {}", self.no_snapshots));
        }
        if self.changed > 0 && !self.locked {
            parts.push("what is changed in an unlocked inc is changed for good".to_owned());
        }
        if parts.is_empty() {
            parts.push("its incs were deleted meanwhile".to_owned());
        }
        let ended = match (self.rehearsal, self.changed) {
            (true, _) => Ended::Would,
            (false, 0) => Ended::Skipped,
            (false, _) => Ended::Done,
        };
        let outcome = Outcome::new(ended, format_args!("jail '{name}': {}", parts.join("; ")));
        let outcome = outcome.with("incs", self.incs);
        // Neither history without protection nor a lock that is none should pass unseen.
        let warns = self.no_snapshots > 0 || (self.changed > 0 && !self.locked && !self.rehearsal);
        if warns { outcome.into_warning() } else { outcome }
    }
}
