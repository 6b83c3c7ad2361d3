//! The plan of a retention: the fate of each inc and the reason, before anything is done.

use std::fmt;

use jiff::civil::Date;

use super::policy::{Policy, Rule};
use crate::inc::IncName;

/// The fate of each inc of one jail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The fates, oldest inc first.
    pub decisions: Vec<Decision>,
}

/// The fate of one inc.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The inc that is kept or deleted.
    pub inc: IncName,
    /// The reason why it is kept or deleted.
    pub reason: Reason,
}

/// The reason why an inc is kept or deleted; prints as one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Kept: these rules keep its day.
    Rules(Vec<Rule>),
    /// Kept: it is dated after today. The original deletes such incs, which would be the newest ones after
    /// the clock has jumped back.
    AfterToday,
    /// Kept: the date of this rule does not exist today, so the days that it would keep are unknown.
    NoDateToday(Rule),
    /// Deleted: no rule keeps its day.
    NoRule,
    /// Deleted: the policy has no rules at all, and the administrator insisted.
    EmptyPolicy,
}

impl Decision {
    /// Whether the inc is kept.
    pub fn keeps(&self) -> bool {
        match self.reason {
            Reason::Rules(_) | Reason::AfterToday | Reason::NoDateToday(_) => true,
            Reason::NoRule | Reason::EmptyPolicy => false,
        }
    }
}

impl Plan {
    /// Decides the fate of these incs by the policy. `today` is read once per run, so that a run over
    /// midnight judges all jails by the same day.
    ///
    /// A rule without a date keeps everything: GNU date printed nothing for it, and the empty pattern for
    /// which the original then searched matched every inc.
    pub fn new(policy: &Policy, incs: &[IncName], today: Date) -> Plan {
        let dates: Vec<(Option<Date>, &Rule)> =
            policy.rules().iter().map(|rule| (rule.date(today), rule)).collect();
        let without_date = dates.iter().find(|(date, _)| date.is_none()).map(|(_, rule)| *rule);
        Plan::by(incs, |inc| {
            let keeping: Vec<Rule> = dates
                .iter()
                .filter(|(date, _)| *date == Some(inc.date()))
                .map(|(_, rule)| (*rule).clone())
                .collect();
            match without_date {
                _ if !keeping.is_empty() => Reason::Rules(keeping),
                _ if inc.date() > today => Reason::AfterToday,
                Some(rule) => Reason::NoDateToday(rule.clone()),
                None => Reason::NoRule,
            }
        })
    }

    /// Deletes everything: an empty policy, applied because the administrator insisted (`-f`).
    pub fn without_rules(incs: &[IncName]) -> Plan {
        Plan::by(incs, |_| Reason::EmptyPolicy)
    }

    /// The incs that are kept, oldest first.
    pub fn kept(&self) -> impl Iterator<Item = IncName> {
        self.decisions.iter().filter(|decision| decision.keeps()).map(|decision| decision.inc)
    }

    /// The incs that are deleted, oldest first.
    pub fn deleted(&self) -> impl Iterator<Item = IncName> {
        self.decisions.iter().filter(|decision| !decision.keeps()).map(|decision| decision.inc)
    }

    fn by(incs: &[IncName], reason: impl Fn(IncName) -> Reason) -> Plan {
        let mut decisions: Vec<Decision> =
            incs.iter().map(|inc| Decision { inc: *inc, reason: reason(*inc) }).collect();
        decisions.sort_by_key(|decision| decision.inc);
        Plan { decisions }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Rules(rules) => {
                f.write_str("kept by ")?;
                for (at, rule) in rules.iter().enumerate() {
                    let comma = if at == 0 { "" } else { ", " };
                    write!(f, "{comma}{rule} (line {})", rule.line())?;
                }
                Ok(())
            }
            Reason::AfterToday => f.write_str("kept: dated after today"),
            Reason::NoDateToday(rule) => {
                write!(f, "kept: {rule} (line {}) has no valid date today", rule.line())
            }
            Reason::NoRule => f.write_str("no rule keeps this day"),
            Reason::EmptyPolicy => f.write_str("the policy has no rules"),
        }
    }
}

#[cfg(test)]
mod tests;
