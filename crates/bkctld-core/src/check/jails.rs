//! Checks how long ago each jail's client logged in for the last time.

use std::fmt::Display;

use jiff::{SignedDuration, Timestamp, Zoned};

use super::policy::{CheckPolicy, Thresholds};
use super::report::{Details, Finding, Measure, Report, Severity};
use crate::config::Settings;
use crate::error::Result;
use crate::jail::{ClientFile, Jail, JailName, Lookup};
use crate::session::{self, Pushes};

/// A login dated up to this long after now counts as now, because the clocks of the kernel's file times and
/// of this program are not read at the same moment.
const TOLERANCE: SignedDuration = SignedDuration::from_mins(5);

/// Compares the age of each jail's last login with the jail's thresholds.
pub fn jails(settings: &Settings, names: &[JailName], now: &Zoned) -> Report {
    let (mut findings, mut measures) = (Vec::new(), Vec::new());
    for name in names {
        let jail = Jail::new(settings, name.clone());
        findings.push(match finding_of(&jail, settings, now.timestamp()) {
            Ok((finding, measure)) => {
                measures.extend(measure);
                finding
            }
            Err(error) => Finding::of_jail(Severity::Unknown, name, error),
        });
    }
    Report::new(findings).with_measures(measures)
}

fn finding_of(jail: &Jail, settings: &Settings, now: Timestamp) -> Result<(Finding, Option<Measure>)> {
    let policy = CheckPolicy::read(jail)?;
    let thresholds = policy.thresholds(settings);
    let mut problems: Vec<String> = policy.bad_lines.iter().map(ToString::to_string).collect();
    // Records that cannot be read cost a note, not the check.
    let pushes = session::pushes(jail).unwrap_or_else(|error| {
        problems.push(error.to_string());
        Pushes::default()
    });
    let (severity, text, last_login, age) = match ClientFile::lastlog(jail)? {
        Lookup::File(lastlog) => {
            let Verdict { severity, text, age } = judge(lastlog.modified(), now, thresholds, &pushes);
            (severity, text, Some(lastlog.modified()), age)
        }
        Lookup::Missing => (Severity::Unknown, no_lastlog("missing"), None, None),
        Lookup::NotAFile(what) => (Severity::Unknown, no_lastlog(what), None, None),
    };
    let Thresholds { warning, critical } = thresholds;
    let measure = age.map(|age| Measure {
        // With a prefix: a jail may be named 'critical'.
        label: format!("age_{}", jail.name()),
        value: age.as_secs().unsigned_abs(),
        unit: "s",
        thresholds: (seconds(warning), seconds(critical)),
    });
    let (hours, last_push) = (age.map(|age| age.as_hours()), pushes.last_successful);
    let mut finding = Finding::of_jail(severity, jail.name(), text).with(Details::Silence {
        last_login,
        hours,
        warning,
        critical,
        last_push,
    });
    finding.problems = problems;
    Ok((finding, measure))
}

fn no_lastlog(what: impl Display) -> String {
    format!("no lastlog: var/log/lastlog is {what}")
}

fn seconds(hours: u32) -> u64 {
    u64::from(hours) * 3600
}

struct Verdict {
    severity: Severity,
    text: String,
    /// None if the login is dated in the future.
    age: Option<SignedDuration>,
}

/// The meaning of the time of the last login.
fn judge(login: Timestamp, now: Timestamp, thresholds: Thresholds, pushes: &Pushes) -> Verdict {
    let age = now.duration_since(login);
    if age < -TOLERANCE {
        // The age is unknown, because the client set the time or a clock was wrong. The original would report
        // zero hours until that day comes.
        let text = format!("var/log/lastlog is dated in the future ({})", login.strftime("%F %H:%M UTC"));
        return Verdict { severity: Severity::Unknown, text, age: None };
    }
    let age = age.max(SignedDuration::ZERO);
    let Thresholds { warning, critical } = thresholds;
    let over = |threshold: u32| threshold > 0 && age.as_hours() > i64::from(threshold);
    let severity = match () {
        () if over(critical) => Severity::Critical,
        () if over(warning) => Severity::Warning,
        () => Severity::Ok,
    };
    let mut text = format!("{} hours ({warning}/{critical})", age.as_hours());
    if severity == Severity::Ok
        && let Some(note) = without_a_push(pushes, now, warning.max(critical))
    {
        text.push_str(&note);
    }
    Verdict { severity, text, age: Some(age) }
}

/// A client that logs in and pushes nothing looks healthy judging by its logins. This is not a warning,
/// because a client may log in for another purpose: it may be fetched from, or send with another program.
fn without_a_push(pushes: &Pushes, now: Timestamp, hours: u32) -> Option<String> {
    match pushes.last_successful {
        Some(push) => {
            let age = now.duration_since(push).as_hours();
            (hours > 0 && age > i64::from(hours)).then(|| format!(", last successful push {age} hours ago"))
        }
        None => pushes.failed.then(|| ", no successful push so far".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::constant(1_800_000_000, 0);

    fn ago(hours: i64) -> Timestamp {
        NOW - SignedDuration::from_hours(hours)
    }

    fn verdict_text(login: Timestamp, warning: u32, critical: u32, pushes: &Pushes) -> String {
        let verdict = judge(login, NOW, Thresholds { warning, critical }, pushes);
        format!("{} {}", verdict.severity, verdict.text)
    }

    #[test]
    fn whole_hours_above_a_threshold_count_and_zero_turns_it_off() {
        let none = Pushes::default();
        for (hours, warning, critical, expected) in [
            (3, 24, 48, "OK 3 hours (24/48)"),
            (24, 24, 48, "OK 24 hours (24/48)"),
            (25, 24, 48, "WARNING 25 hours (24/48)"),
            (48, 24, 48, "WARNING 48 hours (24/48)"),
            (49, 24, 48, "CRITICAL 49 hours (24/48)"),
            (49, 24, 0, "WARNING 49 hours (24/0)"),
            (48, 0, 48, "OK 48 hours (0/48)"),
            (49, 0, 48, "CRITICAL 49 hours (0/48)"),
            (9999, 0, 0, "OK 9999 hours (0/0)"),
            (72, 96, 120, "OK 72 hours (96/120)"),
        ] {
            assert_eq!(verdict_text(ago(hours), warning, critical, &none), expected);
        }
        let just_before = ago(25) + SignedDuration::from_secs(1);
        assert_eq!(verdict_text(just_before, 24, 48, &none), "OK 24 hours (24/48)");
    }

    #[test]
    fn a_login_in_the_future_is_no_login() {
        let none = Pushes::default();
        let soon = NOW + SignedDuration::from_secs(200);
        assert_eq!(verdict_text(soon, 24, 48, &none), "OK 0 hours (24/48)");
        let later = NOW + SignedDuration::from_secs(301);
        assert_eq!(
            verdict_text(later, 24, 48, &none),
            "UNKNOWN var/log/lastlog is dated in the future (2027-01-15 08:05 UTC)"
        );
        for forged in [Timestamp::MAX, Timestamp::MIN] {
            assert!(!verdict_text(forged, 24, 48, &none).starts_with("OK"));
        }
    }

    #[test]
    fn logins_without_a_push_are_noted() {
        let at = |hours| Pushes { last_successful: Some(ago(hours)), failed: true };
        assert_eq!(verdict_text(ago(1), 24, 48, &at(48)), "OK 1 hours (24/48)");
        assert_eq!(
            verdict_text(ago(1), 24, 48, &at(49)),
            "OK 1 hours (24/48), last successful push 49 hours ago"
        );
        assert_eq!(verdict_text(ago(1), 0, 0, &at(9999)), "OK 1 hours (0/0)");
        let never = Pushes { last_successful: None, failed: true };
        assert_eq!(verdict_text(ago(1), 24, 48, &never), "OK 1 hours (24/48), no successful push so far");
        assert_eq!(verdict_text(ago(30), 24, 48, &never), "WARNING 30 hours (24/48)");
    }
}
