//! Checks that `inc` and `rm` do not run at the same time, and that recent runs did not take too long.

use std::time::Duration;

use jiff::civil::Date;
use jiff::{ToSpan, Zoned};

use super::{Measure, Parts, Severity};
use crate::config::Settings;
use crate::inc::{TimedRun, timed_runs};
use crate::operation::Operation;

/// The number of past days whose runs are checked.
const DAYS: i64 = 10;

pub(super) fn check(settings: &Settings, now: &Zoned, locks: bool, parts: &mut Parts) {
    if locks {
        match (Operation::Inc.running(settings), Operation::Rm.running(settings)) {
            (Ok(incs), Ok(rms)) => running(incs, rms, parts),
            (Err(error), _) | (_, Err(error)) => parts.unknown("inc-running", error),
        }
    }
    let since = now.date().checked_sub(DAYS.days()).unwrap_or(Date::MIN);
    match timed_runs(settings, since) {
        Ok(runs) => times(settings, &runs, parts),
        Err(error) => parts.unknown("inc-times", error),
    }
}

fn running(incs: usize, rms: usize, parts: &mut Parts) {
    match incs {
        0 => parts.add("inc-running", Severity::Ok, "no inc operations currently running."),
        1 => parts.add("inc-running", Severity::Ok, "one inc operation currently running."),
        _ => {
            let text = format!("{incs} inc operations currently running (should be 1 or 0)");
            parts.add("inc-running", Severity::Critical, text);
        }
    }
    if incs > 0 && rms > 0 {
        parts.add("inc-beside-rm", Severity::Warning, "Inc and rm operations running simultaneously");
    } else {
        parts.add("inc-beside-rm", Severity::Ok, "No inc and rm operations running simultaneously.");
    }
}

fn times(settings: &Settings, runs: &[TimedRun], parts: &mut Parts) {
    let thresholds = settings.check_thresholds;
    let (warning, critical) = (thresholds.inctime_warning, thresholds.inctime_critical);
    let over = |hours: u32| {
        let limit = Duration::from_secs(u64::from(hours) * 3600);
        let longer = |run: &&TimedRun| hours > 0 && run.took.is_some_and(|took| took > limit);
        runs.iter().filter(longer).count()
    };
    let (severity, text) = match (over(critical), over(warning)) {
        (0, 0) => (
            Severity::Ok,
            format!("All inc creation times are below {warning} hours in the last {DAYS} days."),
        ),
        (0, late) => (Severity::Warning, took_too_long(late, warning)),
        (late, _) => (Severity::Critical, took_too_long(late, critical)),
    };
    parts.add("inc-times", severity, text);
    if let Some(took) = runs.iter().rev().find_map(|run| run.took) {
        parts.measures.push(Measure {
            label: "inc_time".into(),
            value: took.as_secs(),
            unit: "s",
            thresholds: (u64::from(warning) * 3600, u64::from(critical) * 3600),
        });
    }
    // One of them may still be running.
    match runs.iter().filter(|run| run.took.is_none()).count() {
        0 | 1 => parts.add("inc-unfinished", Severity::Ok, "No more than one inc is unfinished."),
        unfinished => parts.add(
            "inc-unfinished",
            Severity::Critical,
            format!("{unfinished} incs did not finish ! (Possible overlap or inc creation aborted)"),
        ),
    }
}

fn took_too_long(runs: usize, hours: u32) -> String {
    format!("{runs} incs took more than {hours} hours to be created in the last {DAYS} days")
}
