use bkctld_core::IncName;
use bkctld_core::check::ExpectedState;
use bkctld_core::overview::Expiry;
use bkctld_core::session::{Ending, Kind};
use jiff::Zoned;

use super::full::lines;
use super::session::{finished, running};
use super::time::ago;
use super::*;

fn now() -> Zoned {
    "2026-03-01T12:00:00[UTC]".parse().unwrap()
}

fn status() -> Status {
    Status {
        name: "a".parse().unwrap(),
        status: "ON",
        served_by: Some(ServedBy::Bkctld),
        format: "2".to_owned(),
        port: "2222".parse().ok(),
        retention: Retention::Counted { days: 4, months: 2 },
        addresses: vec!["192.0.2.7".to_owned(), "2001:db8::/64".to_owned()],
        isolation: Isolation::Full,
        sessions: Some(Sessions { active: Vec::new(), last: None, without_login: None }),
        problems: Vec::new(),
        details: None,
    }
}

fn details() -> Details {
    Details {
        keys: Ok(Vec::new()),
        last_push: None,
        incs: Vec::new(),
        expiry: Expiry::NoPolicy,
        expected: ExpectedState::On,
    }
}

fn record(command: &str) -> SessionRecord {
    let begin = "2026-03-01T02:00:00Z".parse().unwrap();
    let mut record = SessionRecord::begun("1-2".into(), begin, "[2001:db8::1]:4711".parse().unwrap());
    record.key = Some("SHA256:x".to_owned());
    record.kind = Some(Kind::Command);
    record.command = Some(command.to_owned());
    record
}

fn value(lines: &[String], label: &str) -> String {
    let line = lines.iter().find(|line| line[2..].starts_with(label)).unwrap();
    line[2 + label.len()..].trim_start().to_owned()
}

#[test]
fn what_a_client_wrote_is_escaped_and_shortened() {
    let mut status = status();
    let sessions = status.sessions.as_mut().unwrap();
    sessions.active = vec![record("a\nb\u{1b}[2J\u{202e}")];
    sessions.last = Some(record(&"x".repeat(1000)));
    let lines = lines(&status, &details(), &now());
    let told = value(&lines, "sessions");
    assert_eq!(
        told,
        "for 10 hours, since 2026-03-01 02:00, from 2001:db8::1: command 'a\\nb\\u{1b}[2J\\u{202e}'"
    );
    let last = value(&lines, "last session");
    assert!(last.contains("xxx...'") && last.len() < 250, "{last}");
}

#[test]
fn a_session_is_told_with_what_became_of_it() {
    let mut pushed = record("");
    pushed.kind = Some(Kind::RsyncPush);
    (pushed.exit, pushed.ending) = (Some(0), Some(Ending::Closed));
    (pushed.bytes_in, pushed.bytes_out) = (3 << 29, 4096);
    pushed.end = Some("2026-03-01T02:01:30Z".parse().unwrap());
    assert_eq!(
        finished(&pushed, &now()),
        "2026-03-01 02:00, 9 hours ago, from 2001:db8::1: rsync-push, exit status 0, closed, 1.5 GiB in, \
         4.0 KiB out, took 90 seconds"
    );
    assert_eq!(ago("2026-03-01T11:59:30Z".parse().unwrap(), &now()), "just now");
    let told = |last: &SessionRecord, push: &SessionRecord| {
        let status = Status {
            sessions: Some(Sessions { active: Vec::new(), last: Some(last.clone()), without_login: None }),
            ..status()
        };
        let details = Details { last_push: Some(push.clone()), ..details() };
        value(&lines(&status, &details, &now()), "last good push")
    };
    let other = SessionRecord { id: "3-4".to_owned(), ..pushed.clone() };
    assert_eq!(told(&pushed, &pushed), "the last session");
    assert_eq!(told(&other, &pushed), finished(&pushed, &now()));
    pushed.begin = "2027-03-01T02:00:00Z".parse().unwrap();
    pushed.end = None;
    assert!(
        finished(&pushed, &now())
            .starts_with("2027-03-01 02:00, in the future, as its clock was ahead, from ")
    );
    pushed.key = None;
    assert!(running(&pushed, &now()).ends_with(": not logged in"));
}

#[test]
fn incs_are_told_by_their_number_and_span_and_what_goes_by_name() {
    let names: Vec<IncName> = (10..30).map(|day| format!("2026-01-{day}-02").parse().unwrap()).collect();
    let told = |incs: &[IncName], expiry| {
        let details = Details { incs: incs.to_vec(), expiry, ..details() };
        let lines = lines(&status(), &details, &now());
        (value(&lines, "incs"), value(&lines, "rm now"))
    };
    let (incs, goes) = told(&names, Expiry::Deletes(names.clone()));
    assert_eq!(incs, "20, from 2026-01-10-02 to 2026-01-29-02");
    assert!(goes.starts_with("deletes 20: 2026-01-10-02, ") && goes.ends_with(", and 15 more"), "{goes}");
    let (incs, goes) = told(&names[..1], Expiry::Deletes(Vec::new()));
    assert_eq!((incs.as_str(), goes.as_str()), ("1: 2026-01-10-02", "deletes nothing"));
    let (incs, goes) = told(&[], Expiry::NoRule);
    assert_eq!((incs.as_str(), goes.as_str()), ("none", "deletes nothing: the policy has no rules"));
}
