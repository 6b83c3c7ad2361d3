//! What becomes of each inc, and why, before anything is done.

use std::fmt;

use jiff::civil::Date;

use super::policy::{Policy, Rule};
use crate::inc::IncName;

/// The fate of each inc of one jail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Oldest first.
    pub decisions: Vec<Decision>,
}

/// The fate of one inc.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The inc.
    pub inc: IncName,
    /// Why it stays or goes.
    pub reason: Reason,
}

/// Why an inc stays or goes; prints as one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Stays: these rules keep its day.
    Rules(Vec<Rule>),
    /// Stays: it is dated after today. The original deletes it, which after a jump of the clock
    /// back would take the newest copies.
    AfterToday,
    /// Stays: this rule names no date today, so what it would keep is not known.
    NoDateToday(Rule),
    /// Goes: no rule keeps its day.
    NoRule,
    /// Goes: the policy has no rule at all, and the administrator insisted.
    EmptyPolicy,
}

impl Decision {
    /// Whether the inc stays.
    pub fn keeps(&self) -> bool {
        match self.reason {
            Reason::Rules(_) | Reason::AfterToday | Reason::NoDateToday(_) => true,
            Reason::NoRule | Reason::EmptyPolicy => false,
        }
    }
}

impl Plan {
    /// What the policy says of these incs. `today` is read once for a run, so that one that goes
    /// over midnight does not judge one jail by another day than the next.
    ///
    /// A rule without a date keeps everything this time: GNU date printed nothing for it, and the
    /// empty pattern that the original then searched for matched every inc.
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

    /// Everything goes: an empty policy, carried out because the administrator insisted (`-f`).
    pub fn without_rules(incs: &[IncName]) -> Plan {
        Plan::by(incs, |_| Reason::EmptyPolicy)
    }

    /// The incs that stay, oldest first.
    pub fn kept(&self) -> impl Iterator<Item = IncName> {
        self.decisions.iter().filter(|decision| decision.keeps()).map(|decision| decision.inc)
    }

    /// The incs that go, oldest first.
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
                write!(f, "kept: {rule} (line {}) names no date that exists today", rule.line())
            }
            Reason::NoRule => f.write_str("no rule keeps this day"),
            Reason::EmptyPolicy => f.write_str("the policy has no rule"),
        }
    }
}

#[cfg(test)]
mod tests;
