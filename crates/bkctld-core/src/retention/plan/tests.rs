use std::collections::BTreeSet;
use std::path::Path;

use jiff::ToSpan;
use jiff::civil::date;

use super::*;
use crate::retention::PolicyFile;
use crate::template::Template;

fn policy(text: &str) -> Policy {
    match Policy::parse(Path::new("/p"), text.as_bytes()) {
        PolicyFile::Rules(policy) => policy,
        other => panic!("{other:?}"),
    }
}

fn incs(names: &[&str]) -> Vec<IncName> {
    names.iter().map(|name| name.parse().unwrap()).collect()
}

fn shown(plan: &Plan) -> Vec<String> {
    plan.decisions
        .iter()
        .map(|decision| {
            format!(
                "{} {} {}",
                if decision.keeps() { "keep" } else { "delete" },
                decision.inc,
                decision.reason
            )
        })
        .collect()
}

#[test]
fn each_inc_has_its_fate_and_the_reason() {
    let policy = policy("# comment\n+%Y-%m-%d.-0day\n+%Y-%m-01.-0month\n+%Y-%m-%d.-1month\n");
    let incs = incs(&[
        "2026-03-31-23",
        "2026-03-31-00",
        "2026-04-01-00",
        "2026-03-03-07",
        "2026-02-28-07",
        "2026-03-01-05",
        "2026-03-30-05",
    ]);
    let plan = Plan::new(&policy, &incs, date(2026, 3, 31));
    assert_eq!(
        shown(&plan),
        [
            "delete 2026-02-28-07 no rule keeps this day",
            "keep 2026-03-01-05 kept by +%Y-%m-01.-0month (line 3)",
            "keep 2026-03-03-07 kept by +%Y-%m-%d.-1month (line 4)",
            "delete 2026-03-30-05 no rule keeps this day",
            "keep 2026-03-31-00 kept by +%Y-%m-%d.-0day (line 2)",
            "keep 2026-03-31-23 kept by +%Y-%m-%d.-0day (line 2)",
            "keep 2026-04-01-00 kept: dated after today",
        ]
    );
    let plan = Plan::new(&policy, &incs[5..6], date(2026, 3, 1));
    assert_eq!(
        shown(&plan),
        ["keep 2026-03-01-05 kept by +%Y-%m-%d.-0day (line 2), +%Y-%m-01.-0month (line 3)"]
    );
}

#[test]
fn a_rule_without_a_date_today_keeps_everything_this_time() {
    let policy = policy("+%Y-%m-31.-1month\n+%Y-%m-%d.-0day\n");
    let incs = incs(&["2020-01-01-00", "2026-02-03-00"]);
    let plan = Plan::new(&policy, &incs, date(2026, 2, 3));
    assert_eq!(
        shown(&plan),
        [
            "keep 2020-01-01-00 kept: +%Y-%m-31.-1month (line 1) has no valid date today",
            "keep 2026-02-03-00 kept by +%Y-%m-%d.-0day (line 2)",
        ]
    );
    assert_eq!(Plan::new(&policy, &incs, date(2026, 3, 3)).kept().count(), 0);
}

#[test]
fn an_empty_policy_that_was_insisted_on_deletes_everything() {
    let incs = incs(&["2026-02-03-00", "2020-01-01-00"]);
    let plan = Plan::without_rules(&incs);
    assert_eq!(plan.deleted().collect::<Vec<_>>(), [incs[1], incs[0]]);
    assert_eq!(shown(&plan)[0], "delete 2020-01-01-00 the policy has no rules");
}

/// Makes one inc each morning and then runs `rm`, for this many days; returns the incs that exist on each
/// day.
fn simulate(policy: &Policy, first: Date, days: i64, each: impl FnMut(Date, &BTreeSet<Date>)) {
    simulate_without(&[], policy, first, days, each);
}

/// Like `every_day`, on a server that makes no inc on the days `missed`.
fn simulate_without(
    missed: &[Date],
    policy: &Policy,
    first: Date,
    days: i64,
    mut each: impl FnMut(Date, &BTreeSet<Date>),
) {
    let mut there: Vec<IncName> = Vec::new();
    for day in 0..days {
        let today = first + day.days();
        if !missed.contains(&today) {
            there.push(format!("{today}-05").parse().unwrap());
        }
        there = Plan::new(policy, &there, today).kept().collect();
        each(today, &there.iter().map(|inc| inc.date()).collect());
    }
}

#[test]
fn a_year_with_the_default_policy_keeps_each_day_what_it_says() {
    let policy = policy(Template::IncsPolicy.built_in());
    let first = date(2027, 1, 1);
    simulate(&policy, first, 2 * 366, |today, there| {
        let this_month = today.first_of_month();
        let last_month = (this_month - 1.day()).first_of_month();
        let expected: BTreeSet<Date> = (0..=3)
            .map(|back| today - back.days())
            .chain([this_month, last_month])
            .filter(|date| *date >= first)
            .collect();
        assert_eq!(*there, expected, "on {today}");
    });
}

/// Surprises of the language that are kept, because the same policy must keep the same incs.
#[test]
fn a_month_that_nothing_keeps_while_it_lasts_is_lost() {
    let halves = policy("+%Y-%m-01.-1month\n+%Y-%m-15.-1month\n");
    simulate(&halves, date(2026, 1, 1), 180, |today, there| {
        assert!(there.is_empty(), "on {today}: {there:?}");
    });
}

#[test]
fn a_missed_first_of_the_month_leaves_nothing_of_that_month() {
    let policy = policy(Template::IncsPolicy.built_in());
    simulate_without(&[date(2026, 6, 1)], &policy, date(2026, 4, 1), 120, |today, there| {
        if today == date(2026, 6, 20) {
            let days: Vec<String> = there.iter().map(Date::to_string).collect();
            assert_eq!(days, ["2026-05-01", "2026-06-17", "2026-06-18", "2026-06-19", "2026-06-20"]);
        }
    });
}
