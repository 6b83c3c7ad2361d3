//! Checks that no inc required by a jail's policy is missing.

use std::collections::BTreeSet;
use std::fs;

use jiff::civil::Date;
use jiff::{Timestamp, Zoned};

use super::report::{Details, Finding, Report, Severity};
use crate::config::Settings;
use crate::error::{IoContext, Result};
use crate::inc;
use crate::jail::{Jail, JailName};
use crate::retention::{Policy, PolicyFile};

/// The incs that the check looks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// An inc for each rule of the policy.
    ByEachRule,
    /// An inc of today.
    OfToday,
}

/// Reports the missing incs of each jail.
pub fn incs(settings: &Settings, names: &[JailName], now: &Zoned, expected: Expected) -> Report {
    let mut findings = Vec::new();
    for name in names {
        let jail = Jail::new(settings, name.clone());
        match findings_of(&jail, now, expected) {
            Ok(of_jail) => findings.extend(of_jail),
            Err(error) => findings.push(Finding::of_jail(Severity::Unknown, name, error)),
        }
    }
    Report::new(findings)
}

fn findings_of(jail: &Jail, now: &Zoned, expected: Expected) -> Result<Vec<Finding>> {
    let policy = Policy::read(jail)?;
    let finding = |severity, text: String| Finding::of_jail(severity, jail.name(), text);
    let days = match (&policy, expected) {
        (PolicyFile::Missing, _) => {
            return Ok(vec![finding(Severity::Ok, "no inc expected: the jail has no policy".into())]);
        }
        // Whatever the policy says, an inc is made every day.
        (_, Expected::OfToday) | (PolicyFile::Bad(_), _) => BTreeSet::from([now.date()]),
        (PolicyFile::Empty { .. }, _) => BTreeSet::new(),
        (PolicyFile::Rules(policy), _) => {
            let path = policy.path();
            let changed = fs::metadata(path).and_then(|meta| meta.modified()).context("cannot read", path)?;
            expected_days(policy, now, Timestamp::try_from(changed).unwrap_or(Timestamp::MAX))
        }
    };
    let there: BTreeSet<Date> = inc::list(jail)?.into_iter().map(|name| name.date()).collect();
    let missing = days.difference(&there);
    let mut findings: Vec<Finding> = missing
        .map(|day| {
            finding(Severity::Warning, format!("missing inc for {day}")).with(Details::Inc { missing: *day })
        })
        .collect();
    if let PolicyFile::Bad(lines) = &policy {
        findings.extend(lines.first().map(|line| {
            finding(Severity::Warning, format!("{line}; until this is corrected, no inc is deleted"))
        }));
    }
    if findings.is_empty() {
        findings.push(finding(Severity::Ok, format!("{} of {} expected incs", days.len(), days.len())));
    }
    Ok(findings)
}

/// The days of the rules for which an inc is required: up to today, and after the day on which the policy
/// last changed. (Before that, other rules applied, or none.)
fn expected_days(policy: &Policy, now: &Zoned, changed: Timestamp) -> BTreeSet<Date> {
    let today = now.date();
    // No inc is required for the day of the change: it may have been deleted before the change.
    let since = changed.to_zoned(now.time_zone().clone()).date();
    let named = policy.rules().iter().filter_map(|rule| rule.date(today));
    named.filter(|day| *day > since && *day <= today).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn days(rules: &str, now: &str, changed: &str) -> Vec<String> {
        let PolicyFile::Rules(policy) = Policy::parse(Path::new("p"), rules.as_bytes()) else {
            panic!("{rules}")
        };
        let now: Zoned = now.parse().unwrap();
        let changed: Zoned = changed.parse().unwrap();
        let days = expected_days(&policy, &now, changed.timestamp());
        days.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_rule_is_expected_from_the_day_after_the_policy_changed() {
        let rules =
            "+%Y-%m-%d.-0day\n+%Y-%m-%d.-1day\n+%Y-%m-%d.-2day\n+%Y-%m-01.-0month\n+%Y-%m-01.-1month\n";
        let now = "2026-03-15T10:00[Europe/Paris]";
        for (changed, expected) in [
            (
                "2020-01-01T00:00[Europe/Paris]",
                &["2026-02-01", "2026-03-01", "2026-03-13", "2026-03-14", "2026-03-15"][..],
            ),
            ("2026-02-28T23:59:59[Europe/Paris]", &["2026-03-01", "2026-03-13", "2026-03-14", "2026-03-15"]),
            ("2026-03-01T00:00[Europe/Paris]", &["2026-03-13", "2026-03-14", "2026-03-15"]),
            ("2026-03-13T12:00[Europe/Paris]", &["2026-03-14", "2026-03-15"]),
            ("2026-03-14T23:59[Europe/Paris]", &["2026-03-15"]),
            ("2026-03-15T09:00[Europe/Paris]", &[]),
            ("2030-01-01T00:00[Europe/Paris]", &[]),
        ] {
            assert_eq!(days(rules, now, changed), expected, "{changed}");
        }
    }

    #[test]
    fn the_first_of_a_month_is_today_only_on_the_first() {
        let rules = "+%Y-%m-01.-0month";
        assert_eq!(days(rules, "2026-03-01T10:00[UTC]", "2026-02-28T09:00[UTC]"), ["2026-03-01"]);
        assert!(days(rules, "2026-03-02T10:00[UTC]", "2026-03-01T09:00[UTC]").is_empty());
    }

    #[test]
    fn dates_to_come_and_dates_that_do_not_exist_are_not_expected() {
        let changed = "2020-01-01T00:00[UTC]";
        assert!(days("+%Y-12-31.-0day", "2026-03-15T10:00[UTC]", changed).is_empty());
        assert!(days("+%Y-%m-31.-0day", "2026-02-15T10:00[UTC]", changed).is_empty());
        assert_eq!(days("+%Y-%m-%d.-0day\n+%F.-0days", "2026-02-15T10:00[UTC]", changed), ["2026-02-15"]);
    }
}
