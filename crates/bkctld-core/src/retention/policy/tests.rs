use std::fmt::Write as _;
use std::process::{Command, Stdio};

use jiff::ToSpan;
use jiff::civil::date;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use super::*;
use crate::config::Settings;

fn rule(text: &str) -> Rule {
    Rule::parse(1, text).unwrap_or_else(|reason| panic!("{text:?}: {reason}"))
}

fn day(text: &str) -> Date {
    text.parse().unwrap()
}

#[test]
fn a_rule_gives_the_day_that_gnu_date_gives() {
    for (text, today, expected) in [
        ("+%Y-%m-%d.-0day", "2026-03-31", "2026-03-31"),
        ("+%Y-%m-%d.-2day", "2026-03-01", "2026-02-27"),
        ("+%Y-%m-%d.-1month", "2026-03-31", "2026-03-03"),
        ("+%Y-%m-%d.-1year", "2024-02-29", "2023-03-01"),
        ("+%Y-%m-%d.-1week", "2026-01-03", "2025-12-27"),
        ("+%Y-%m-01.-1month", "2026-03-31", "2026-02-01"),
        // Not the first of last year, whatever an old manual said.
        ("+%Y-01-01.-1month", "2025-06-10", "2024-12-01"),
        ("+%Y-01-01.-1year", "2025-06-10", "2024-01-01"),
        ("+%Y-%m-15.-1month", "2025-06-16", "2025-05-15"),
        ("+%F.-1days", "2026-03-31", "2026-03-30"),
        ("+%Y%m%d.-2Months", "2026-03-31", "2026-01-31"),
        ("+%Y/%m/%d.-1 day", "2026-03-31", "2026-03-30"),
        ("+%-m/%-d/%Y.-01day", "2026-03-31", "2026-03-30"),
        ("+%D.-1day", "2026-03-31", "2026-03-30"),
        ("+%y-%m-%d.-1day", "2026-03-31", "2026-03-30"),
        ("+2026-01-01.-1day", "2026-03-31", "2025-12-31"),
    ] {
        assert_eq!(rule(text).date(day(today)), Some(day(expected)), "{text} on {today}");
    }
    assert_eq!(rule("+%Y-%m-31.-1day").date(day("2026-02-03")), None);
    assert_eq!(rule("+%Y-02-29.-1day").date(day("2026-02-03")), None);
    assert_eq!(rule("+0001-01-01.-1day").date(day("2026-02-03")), None);
}

#[test]
fn a_line_that_is_no_rule_tells_why() {
    for (text, reason) in [
        ("+%Y-%m-%d.2day", "'2day' does not go back"),
        ("+%Y-%m-%d.+1day", "'+1day' does not go back"),
        ("+%H.-1day", "%H is not part of a date"),
        ("%Y", "begin with '+'"),
        ("%Y-%m-%d.-1day", "begin with '+'"),
        ("+%Y-%m-%d.-1fortnight", "'fortnight' is not one of"),
        ("+%Y-%m-%d", "a '.' must follow"),
        ("+%Y-%m-%d-1day", "a '.' must follow"),
        ("+%Y.-1day", "does not give a date"),
        ("+.-1day", "does not give a date"),
        ("+%d-%m-%Y.-1day", "does not give a date"),
        ("+%Y-02-30.-1day", "does not give a date"),
        ("+%Y-%m-%d %d.-1day", "does not give a date"),
        ("+%Y.%m.%d.-1day", "does not give a date"),
        ("+%", "a '.' must follow"),
        ("+%.-1day", "at the end of the pattern"),
        ("+%-F.-1day", "%F is not part"),
        ("+%Y-%m-%d.", "'' does not go back"),
        ("+%Y-%m-%d.-day", "no number"),
        ("+%Y-%m-%d.-1", "'' is not one of"),
        ("+%Y-%m-%d.-1day ago", "'day ago' is not one of"),
        ("+%Y-%m-%d.-1day # yesterday", "is not one of"),
        ("+%Y-%m-%d.-1001year", "more than a thousand years"),
        ("+%Y-%m-%d.-99999999999day", "more than a thousand years"),
        ("+%Y-%m-%d.-1d\u{1b}[m", "'d\\u{1b}[m' is not one of"),
    ] {
        let found = Rule::parse(1, text).expect_err(text);
        assert!(found.contains(reason), "{text:?}: {found}");
        assert!(!found.contains(char::is_control), "{found:?}");
    }
}

#[test]
fn each_bad_line_is_named_and_comments_are_nothing() {
    let text = b"# caf\xe9\n\n  # indented\n+%Y-%m-%d.-1day\r\n+%H.-1day\n+%Y-\xff.-1day\n \t\n%Y";
    let PolicyFile::Bad(errors) = Policy::parse(Path::new("/c/j"), text) else { panic!() };
    let shown: Vec<String> = errors.iter().map(Error::to_string).collect();
    assert_eq!(
        shown,
        [
            "/c/j:5: %H is not part of a date: use %Y, %m and %d",
            "/c/j:6: not UTF-8",
            "/c/j:8: a rule must begin with '+', for example +%Y-%m-%d.-2day",
        ]
    );
}

#[test]
fn an_empty_policy_is_neither_a_policy_nor_none() {
    for text in ["", "\n\n", "# only\n# comments"] {
        assert!(matches!(Policy::parse(Path::new("/p"), text.as_bytes()), PolicyFile::Empty { .. }));
    }
}

#[test]
fn the_policy_of_a_jail_is_found_in_both_places() {
    let dir = tempfile::tempdir().unwrap();
    let settings = Settings { conf_dir: dir.path().to_path_buf(), ..Settings::default() };
    let jail = |name: &str| Jail::new(&settings, name.parse().unwrap());
    let rules = |name: &str| match Policy::read(&jail(name)).unwrap() {
        PolicyFile::Rules(policy) => policy.rules().len(),
        _ => 0,
    };
    assert!(matches!(Policy::read(&jail("j")).unwrap(), PolicyFile::Missing));
    assert_eq!(Retention::of(&jail("j")).unwrap().to_string(), "0");

    std::fs::write(dir.path().join("j"), "+%F.-1day\n").unwrap();
    assert_eq!(rules("j"), 1);
    std::fs::create_dir(dir.path().join("j.d")).unwrap();
    std::fs::write(jail("j").incs_policy(), "+%F.-1day\n+%F.-2days\n+%Y-%m-01.-1month\n#day\n").unwrap();
    assert_eq!(rules("j"), 3);
    assert_eq!(Retention::of(&jail("j")).unwrap().to_string(), "2/1");

    // The link that `upgrade-config` leaves at the old path.
    std::fs::remove_file(dir.path().join("j")).unwrap();
    std::os::unix::fs::symlink("j.d/incs_policy", dir.path().join("j")).unwrap();
    assert_eq!(rules("j"), 3);
    // The directory of jail `j` is not the policy of a jail named `j.d`.
    assert!(matches!(Policy::read(&jail("j.d")).unwrap(), PolicyFile::Missing));
}

#[test]
fn a_policy_with_a_bad_line_is_still_counted() {
    assert_eq!(Retention::count(b"+%H.-1day\n+%F.-1DAY\n+%F.-1week\n+%Y-01-01.-2years").to_string(), "2/0");
}

#[test]
fn the_default_policy_counts_as_four_days_and_two_months() {
    let text = crate::template::Template::IncsPolicy.built_in();
    assert_eq!(Retention::count(text.as_bytes()).to_string(), "4/2");
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "[+%YmdFDy.0-9/a-z -]{0,20}", other in ".{0,20}", offset in 0i64..2_000_000) {
        let today = date(1970, 1, 1) + offset.days();
        for text in [text, other.clone(), format!("+{other}.-1day"), format!("+%F.-{other}")] {
            if let Ok(rule) = Rule::parse(1, &text) {
                let _ = rule.date(today);
            }
        }
    }
}

/// The answers of GNU date to each line; none if it calls the date invalid.
fn gnu_date(lines: &[String]) -> Vec<Option<String>> {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("lines");
    std::fs::write(&file, lines.join("\n") + "\n").unwrap();
    // GNU date flushes its answers before a message, so one pipe keeps the order of the lines.
    let out = Command::new("sh")
        .args(["-c", "exec date -f \"$1\" +%Y-%m-%d 2>&1", "sh"])
        .arg(&file)
        .env("TZ", "UTC")
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = String::from_utf8(out.stdout).unwrap();
    let answers: Vec<Option<String>> =
        text.lines().map(|line| (!line.starts_with("date: ")).then(|| line.to_owned())).collect();
    assert_eq!(answers.len(), lines.len());
    answers
}

/// The pattern filled by GNU date itself, for each of the days.
fn gnu_fill(pattern: &str, days: &[Date]) -> Vec<String> {
    let mut input = String::new();
    for day in days {
        writeln!(input, "{day}").unwrap();
    }
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("days");
    std::fs::write(&file, input).unwrap();
    let out = Command::new("date")
        .arg("-f")
        .arg(&file)
        .arg(format!("+{pattern}"))
        .env("TZ", "UTC")
        .env("LC_ALL", "C")
        .output()
        .unwrap();
    String::from_utf8(out.stdout).unwrap().lines().map(str::to_owned).collect()
}

const PATTERNS: [&str; 21] = [
    "%Y-%m-%d",
    "%F",
    "%Y-%m-01",
    "%Y-01-01",
    "%Y%m%d",
    "%Y/%m/%d",
    "%Y-%m-15",
    "%Y-%m-28",
    "%Y-%m-29",
    "%Y-%m-31",
    "%Y-02-29",
    "%-Y-%-m-%-d",
    "%m/%d/%Y",
    "%D",
    "%y-%m-%d",
    "%y%m%d",
    "%Y-%m-%-d",
    "%0Y-%0m-%0d",
    "2024-%m-%d",
    "%Y-12-31",
    "1969-%m-01",
];

#[test]
fn ten_thousand_random_policies_give_the_dates_of_gnu_date() {
    let strategy = (0i64..30_000, 0u32..=400, prop::sample::select(vec!["day", "week", "month", "year"]));
    let mut runner = TestRunner::deterministic();
    let mut compared = 0;
    for pattern in PATTERNS {
        let cases: Vec<(Date, String)> = (0..500)
            .map(|_| {
                let (offset, count, unit) = strategy.new_tree(&mut runner).unwrap().current();
                let count = if offset % 2 == 0 { count % 14 } else { count };
                let plural = if offset % 3 == 0 { "s" } else { "" };
                (date(1990, 1, 1) + offset.days(), format!("-{count}{unit}{plural}"))
            })
            .collect();
        let days: Vec<Date> = cases.iter().map(|(today, _)| *today).collect();
        let filled = gnu_fill(pattern, &days);
        let lines: Vec<String> =
            filled.iter().zip(&cases).map(|(base, (_, distance))| format!("{base} {distance}")).collect();
        for (answer, (today, distance)) in gnu_date(&lines).into_iter().zip(&cases) {
            let text = format!("+{pattern}.{distance}");
            let ours = rule(&text).date(*today).map(|date| date.to_string());
            assert_eq!(ours, answer, "{text} on {today}");
            compared += 1;
        }
    }
    assert!(compared >= 10_000);
}

#[test]
fn a_rule_that_is_none_does_not_steer_the_terminal_that_shows_why() {
    for text in ["+%\x1b.-1day", "+\x1b[2J%Y.-1day", "+%Y\u{202e}.-1day", "+%Y-%m-%d.-1\x07"] {
        let PolicyFile::Bad(errors) = Policy::parse(Path::new("/p"), text.as_bytes()) else {
            panic!("{text}")
        };
        crate::fuzzing::assert_shown(&errors[0]);
    }
}

#[test]
fn a_pattern_too_long_for_a_date_is_not_tried_on_every_day_of_two_years() {
    let took = |pieces: usize| {
        let text = format!("+{}.-1day", "%Y".repeat(pieces));
        crate::fuzzing::processor_time(|| {
            assert!(Rule::parse(1, &text).unwrap_err().contains("does not give a date"));
        })
    };
    let short = (0..5).map(|_| took(20)).min().unwrap();
    let long = (0..3).map(|_| took(20_000)).min().unwrap();
    // Reading it would take a thousand times as long, trying it a thousand times longer still.
    assert!(long < short.max(std::time::Duration::from_micros(20)) * 5000, "{short:?} and {long:?}");
}
