//! Deleting the incs of a jail that no rule of its policy keeps.

use std::num::NonZeroUsize;

use jiff::civil::Date;

use super::{Plan, Policy, PolicyFile};
use crate::config::Settings;
use crate::error::{Error, Result};
use crate::jail::{Jail, JailName};
use crate::lock::Lock;
use crate::progress::Progress;
use crate::watch::{Watch, lock_incs};
use crate::{Turns, inc, text};

/// How a run judges the incs of every jail.
#[derive(Clone, Copy, Debug)]
pub struct Expiry {
    /// The day from which rules count back.
    pub today: Date,
    /// Whether the administrator insists that a policy without a rule deletes every inc.
    pub even_without_rules: bool,
}

impl Expiry {
    /// What becomes of each inc of the jail, with nothing done yet; none where it has no policy, and they all stay.
    ///
    /// # Errors
    /// A policy with a bad line, or without a rule: too little is known of what it is meant to keep.
    pub fn plan(&self, jail: &Jail) -> Result<Option<Plan>> {
        let policy = match Policy::read(jail)? {
            PolicyFile::Missing => return Ok(None),
            PolicyFile::Bad(lines) => return Err(bad_policy(&lines).in_jail(jail.name())),
            PolicyFile::Empty { path } if !self.even_without_rules => {
                let path = text::path(&path);
                let why = "the policy has no rules, so nothing is deleted (-f deletes every inc)";
                return Err(Error::refused(format!("{path}: {why}")).in_jail(jail.name()));
            }
            PolicyFile::Empty { .. } => None,
            PolicyFile::Rules(policy) => Some(policy),
        };
        let incs = inc::list(jail)?;
        Ok(Some(match policy {
            Some(policy) => Plan::new(&policy, &incs, self.today),
            None => Plan::without_rules(&incs),
        }))
    }

    /// Deletes the incs that the policy does not keep, and returns what became of each.
    ///
    /// # Errors
    /// As [`Expiry::plan`]; an inc that cannot be deleted.
    pub fn run(
        &self,
        settings: &Settings,
        name: &JailName,
        turns: &Turns,
        progress: &Progress,
        watch: &dyn Watch,
    ) -> Result<Option<Plan>> {
        let jail = Jail::new(settings, name.clone());
        let threads = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        let Some(planned) = self.plan(&jail)? else { return Ok(None) };
        if planned.deleted().next().is_none() {
            // What a crash left goes too, but nobody waits for the lock for its sake.
            if let Some(_lock) = Lock::try_take(&jail.incs_lock())? {
                turns.take_part(|| inc::clear_leftovers(&jail, threads, progress))?;
            }
            return Ok(Some(planned));
        }
        let _lock = lock_incs(&jail, watch)?;
        jail.close_to_others()?;
        // Again, as another run may just have ended.
        let Some(planned) = self.plan(&jail)? else { return Ok(None) };
        let deleted: Vec<_> = planned.deleted().collect();
        turns.take_part(|| inc::delete(&jail, &deleted, threads, progress))?;
        Ok(Some(planned))
    }
}

fn bad_policy(lines: &[Error]) -> Error {
    let lines: Vec<String> = lines.iter().map(ToString::to_string).collect();
    Error::refused(format!("nothing is deleted under a policy with a bad line: {}", lines.join("; ")))
}

#[cfg(test)]
mod tests;
