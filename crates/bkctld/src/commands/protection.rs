//! The common part of `inc-lock` and `inc-unlock`, which set the read-only flag of incs that are snapshots.

use bkctld_core::inc::{IncPattern, protection, set_protection};
use bkctld_core::watch::lock_incs;
use bkctld_core::{IncName, Jail, JailName};

use crate::context::{Context, Outcome};
use crate::exit::{Exit, Failure};
use crate::shape::protection::{LockableIncs, Tally};

/// Locks the incs that match, or unlocks them.
pub fn set(context: &Context, pattern: &str, locked: bool) -> Result<Exit, Failure> {
    let pattern = IncPattern::parse(pattern, &context.settings.inc_dir)?;
    let (names, incs): (Vec<_>, Vec<_>) = pattern.matching(&context.settings)?.into_iter().unzip();
    Ok(context.for_each(&names, |name| {
        let of_jail = names.iter().position(|known| known == name).and_then(|at| incs.get(at));
        set_in_jail(context, name, of_jail.map_or(&[], Vec::as_slice), locked)
    }))
}

fn set_in_jail(
    context: &Context,
    name: &JailName,
    incs: &[IncName],
    locked: bool,
) -> Result<Outcome<LockableIncs>, Failure> {
    let jail = Jail::new(&context.settings, name.clone());
    let rehearsal = context.options.dry_run;
    let _lock = match rehearsal {
        true => None,
        false => Some(lock_incs(&jail, context)?),
    };
    let mut tally = Tally::new(locked, rehearsal);
    for &inc in incs {
        let before = if rehearsal { protection(&jail, inc)? } else { set_protection(&jail, inc, locked)? };
        // A missing inc was deleted by `rm` in the meantime, and needs no protection.
        if let Some(before) = before {
            tally.count(inc, before);
        }
    }
    Ok(tally.outcome(name))
}
