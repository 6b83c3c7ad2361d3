//! `status J` on a terminal: one jail in full, for a person.

use bkctld_core::check::{CheckPolicy, ExpectedState};
use bkctld_core::config::Isolation;
use bkctld_core::file;
use bkctld_core::jail::{Key, Keys};
use bkctld_core::retention::{Plan, Policy, PolicyFile, Retention};
use bkctld_core::service::ServedBy;
use bkctld_core::session::{self, Kind, SessionRecord};
use bkctld_core::{IncName, Jail, Result, inc, text};
use jiff::{Timestamp, Zoned};

use super::Status;

/// So many of a list are told; of the rest, how many there are.
const MOST: usize = 5;

/// The longest command line of a client that is repeated whole, in characters.
const COMMAND: usize = 60;

/// What is told beside the jail's status.
pub struct Facts {
    /// The keys, or why they cannot be told.
    keys: std::result::Result<Vec<Key>, String>,
    last_push: Option<SessionRecord>,
    /// Oldest first.
    incs: Vec<IncName>,
    expiry: Expiry,
    /// What its `check_policy` says; on where it cannot be read.
    expected: ExpectedState,
}

/// What `rm` would do now.
enum Expiry {
    /// The incs or the policy cannot be read.
    Unknown,
    NoPolicy,
    NoRule,
    BadLine(String),
    /// Deletes these, oldest first.
    Deletes(Vec<IncName>),
}

impl Facts {
    /// Looks at the jail. What cannot be found out is told by the second value, one error for each.
    pub fn of(jail: &Jail, now: &Zoned) -> (Facts, Vec<bkctld_core::Error>) {
        let mut problems = Vec::new();
        let incs = inc::list(jail);
        let expiry = match &incs {
            Ok(incs) => expiry(jail, incs, now),
            Err(_) => Ok(Expiry::Unknown),
        };
        let expected = CheckPolicy::read(jail).map(|policy| policy.expected_state);
        let facts = Facts {
            keys: keys(jail),
            last_push: note(&mut problems, session::last_push(jail)).flatten(),
            incs: note(&mut problems, incs).unwrap_or_default(),
            expiry: note(&mut problems, expiry).unwrap_or(Expiry::Unknown),
            expected: note(&mut problems, expected).unwrap_or_default(),
        };
        (facts, problems.into_iter().map(|problem| problem.in_jail(jail.name())).collect())
    }
}

fn note<T>(problems: &mut Vec<bkctld_core::Error>, result: Result<T>) -> Option<T> {
    result.map_err(|error| problems.push(error)).ok()
}

fn keys(jail: &Jail) -> std::result::Result<Vec<Key>, String> {
    // In an older format the file is the client's, and may be anything.
    jail.require_current_format().map_err(|_| "the jail is of another format".to_owned())?;
    let path = jail.authorized_keys();
    let content = file::read_if_there(&path).map_err(|error| error.to_string())?.unwrap_or_default();
    let is_key = |line: &[u8]| !line.trim_ascii().is_empty() && !line.trim_ascii().starts_with(b"#");
    if !content.split(|byte| *byte == b'\n').any(is_key) {
        return Ok(Vec::new());
    }
    Keys::check(&path, &content).map(|keys| keys.keys().to_vec()).map_err(|error| error.to_string())
}

fn expiry(jail: &Jail, incs: &[IncName], now: &Zoned) -> Result<Expiry> {
    Ok(match Policy::read(jail)? {
        PolicyFile::Missing => Expiry::NoPolicy,
        PolicyFile::Empty { .. } => Expiry::NoRule,
        PolicyFile::Bad(lines) => Expiry::BadLine(lines.first().map(ToString::to_string).unwrap_or_default()),
        PolicyFile::Rules(policy) => {
            Expiry::Deletes(Plan::new(&policy, incs, now.date()).deleted().collect())
        }
    })
}

/// The lines that a person reads. Whatever a client may have written is escaped.
pub fn lines(status: &Status, facts: &Facts, now: &Zoned) -> Vec<String> {
    let mut told = vec![format!("jail {}", status.name)];
    let mut tell = |label: &str, values: Vec<String>| {
        for (at, value) in values.iter().enumerate() {
            let label = if at == 0 { label } else { "" };
            told.push(format!("  {label:<16}{}", text::printable(value.as_bytes())));
        }
    };
    tell("state", vec![state(status, facts.expected)]);
    tell("port", vec![status.port.map_or_else(|| "unknown".to_owned(), |port| port.to_string())]);
    tell("addresses", vec![addresses(status)]);
    tell("keys", keys_told(facts, status.name.as_str()));
    tell("isolation", vec![isolation(status.isolation).to_owned()]);
    let (active, last) = match &status.sessions {
        Some(sessions) => (sessions.active.as_slice(), sessions.last.as_ref()),
        None => (&[][..], None),
    };
    let active: Vec<String> = active.iter().map(|record| running(record, now)).collect();
    tell("sessions", if active.is_empty() { vec!["none now".to_owned()] } else { some_of(active) });
    let never = || "none".to_owned();
    tell("last session", vec![last.map_or_else(never, |record| finished(record, now))]);
    let push = facts.last_push.as_ref();
    // Mostly it is that one.
    let good = |push: &SessionRecord| match last {
        Some(last) if last.id == push.id => "the last session".to_owned(),
        _ => finished(push, now),
    };
    tell("last good push", vec![push.map_or_else(never, good)]);
    tell("policy", vec![policy(status.retention)]);
    tell("incs", vec![incs(&facts.incs)]);
    tell("rm now", vec![next_expiry(&facts.expiry)]);
    told
}

fn state(status: &Status, expected: ExpectedState) -> String {
    match status.served_by {
        None if expected == ExpectedState::Off => {
            "off, as expected (EXPECTED_STATE=OFF in its check_policy)".to_owned()
        }
        None => format!("off; 'bkctld start {}' starts it", status.name),
        Some(ServedBy::Bkctld) => "on".to_owned(),
        Some(ServedBy::Nspawn) => "on, in a container of the shell program".to_owned(),
        Some(ServedBy::Chroot) => "on, in a chroot of the shell program".to_owned(),
    }
}

fn addresses(status: &Status) -> String {
    match status.addresses.as_slice() {
        [] => "unknown".to_owned(),
        [all] if all == "0.0.0.0/0" => "all may connect".to_owned(),
        some => some.join(", "),
    }
}

fn keys_told(facts: &Facts, jail: &str) -> Vec<String> {
    match &facts.keys {
        Err(reason) => vec![format!("cannot be told: {reason}")],
        Ok(keys) if keys.is_empty() => {
            vec![format!("none, so nobody can log in: bkctld key {jail} FILE")]
        }
        Ok(keys) => some_of(
            keys.iter().map(|key| format!("{} {} {}", key.algorithm, key.fingerprint, key.comment)).collect(),
        ),
    }
}

fn isolation(isolation: Isolation) -> &'static str {
    match isolation {
        Isolation::Full => "full",
        Isolation::Compat => "compat: no user namespace, root in a session is the server's",
    }
}

fn policy(retention: Retention) -> String {
    match retention {
        Retention::None => "none".to_owned(),
        Retention::Counted { days, months } => {
            format!("{} by day, {months} by month", text::count(days, "rule"))
        }
    }
}

fn incs(incs: &[IncName]) -> String {
    match incs {
        [] => "none".to_owned(),
        [one] => format!("1: {one}"),
        [oldest, .., newest] => format!("{}, from {oldest} to {newest}", incs.len()),
    }
}

fn next_expiry(expiry: &Expiry) -> String {
    match expiry {
        Expiry::Unknown => "unknown".to_owned(),
        Expiry::NoPolicy => "deletes nothing: there is no policy".to_owned(),
        Expiry::NoRule => "deletes nothing: the policy has no rule".to_owned(),
        Expiry::BadLine(line) => format!("deletes nothing: {line}"),
        Expiry::Deletes(incs) if incs.is_empty() => "deletes nothing".to_owned(),
        Expiry::Deletes(incs) => {
            let names = some_of(incs.iter().map(ToString::to_string).collect());
            format!("deletes {}: {}", incs.len(), names.join(", "))
        }
    }
}

fn running(record: &SessionRecord, now: &Zoned) -> String {
    let who = if record.key.is_some() { doing(record) } else { "not logged in".to_owned() };
    let began = local(record.begin, now);
    format!("for {}, since {began}, from {}: {who}", span(record.begin, now.timestamp()), record.source)
}

fn finished(record: &SessionRecord, now: &Zoned) -> String {
    let end = record.end.unwrap_or(record.begin);
    let mut line = format!("{}, {}, from {}", local(record.begin, now), ago(end, now), record.source);
    line.push_str(&format!(": {}", doing(record)));
    if let Some(exit) = record.exit {
        line.push_str(&format!(", exit status {exit}"));
    }
    if let Some(ending) = record.ending {
        line.push_str(&format!(", {}", ending.name()));
    }
    let (received, sent) = (text::bytes(record.bytes_in), text::bytes(record.bytes_out));
    line.push_str(&format!(", {received} in, {sent} out, took {}", span(record.begin, end)));
    line
}

fn doing(record: &SessionRecord) -> String {
    match (record.kind, &record.command) {
        (None, _) => "no command".to_owned(),
        (Some(Kind::Command), Some(command)) => {
            let head: String = command.chars().take(COMMAND).collect();
            let more = if head.len() < command.len() { "..." } else { "" };
            format!("command '{head}{more}'")
        }
        (Some(kind), _) => kind.name().to_owned(),
    }
}

/// The first ones, and how many more there are.
fn some_of(mut all: Vec<String>) -> Vec<String> {
    if all.len() > MOST + 1 {
        let more = all.len() - MOST;
        all.truncate(MOST);
        all.push(format!("and {more} more"));
    }
    all
}

fn local(time: Timestamp, now: &Zoned) -> String {
    time.to_zoned(now.time_zone().clone()).strftime("%Y-%m-%d %H:%M").to_string()
}

fn ago(time: Timestamp, now: &Zoned) -> String {
    if time > now.timestamp() {
        return "by a clock that was ahead".to_owned();
    }
    match now.timestamp().duration_since(time).as_secs() {
        ..60 => "just now".to_owned(),
        _ => format!("{} ago", span(time, now.timestamp())),
    }
}

/// How long it is from one to the other, in the unit in which one speaks of it.
fn span(from: Timestamp, to: Timestamp) -> String {
    let seconds = to.duration_since(from).as_secs().max(0);
    let (number, unit) = match seconds {
        ..120 => (seconds, "second"),
        120..7200 => (seconds / 60, "minute"),
        7200..172_800 => (seconds / 3600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    text::count(usize::try_from(number).unwrap_or_default(), unit)
}

#[cfg(test)]
mod tests {
    use bkctld_core::session::Ending;

    use super::super::Sessions;
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
            port: Some(2222),
            retention: Retention::Counted { days: 4, months: 2 },
            addresses: vec!["192.0.2.7".to_owned(), "2001:db8::/64".to_owned()],
            isolation: Isolation::Full,
            sessions: Some(Sessions { active: Vec::new(), last: None, without_login: None }),
            problems: Vec::new(),
        }
    }

    fn facts() -> Facts {
        Facts {
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
        let lines = lines(&status, &facts(), &now());
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
                sessions: Some(Sessions {
                    active: Vec::new(),
                    last: Some(last.clone()),
                    without_login: None,
                }),
                ..status()
            };
            let facts = Facts { last_push: Some(push.clone()), ..facts() };
            value(&lines(&status, &facts, &now()), "last good push")
        };
        let other = SessionRecord { id: "3-4".to_owned(), ..pushed.clone() };
        assert_eq!(told(&pushed, &pushed), "the last session");
        assert_eq!(told(&other, &pushed), finished(&pushed, &now()));
        pushed.begin = "2027-03-01T02:00:00Z".parse().unwrap();
        pushed.end = None;
        assert!(finished(&pushed, &now()).starts_with("2027-03-01 02:00, by a clock that was ahead, from "));
        pushed.key = None;
        assert!(running(&pushed, &now()).ends_with(": not logged in"));
    }

    #[test]
    fn incs_are_told_by_their_number_and_span_and_what_goes_by_name() {
        let names: Vec<IncName> = (10..30).map(|day| format!("2026-01-{day}-02").parse().unwrap()).collect();
        let told = |incs: &[IncName], expiry| {
            let facts = Facts { incs: incs.to_vec(), expiry, ..facts() };
            let lines = lines(&status(), &facts, &now());
            (value(&lines, "incs"), value(&lines, "rm now"))
        };
        let (incs, goes) = told(&names, Expiry::Deletes(names.clone()));
        assert_eq!(incs, "20, from 2026-01-10-02 to 2026-01-29-02");
        assert!(goes.starts_with("deletes 20: 2026-01-10-02, ") && goes.ends_with(", and 15 more"), "{goes}");
        let (incs, goes) = told(&names[..1], Expiry::Deletes(Vec::new()));
        assert_eq!((incs.as_str(), goes.as_str()), ("1: 2026-01-10-02", "deletes nothing"));
        let (incs, goes) = told(&[], Expiry::NoRule);
        assert_eq!((incs.as_str(), goes.as_str()), ("none", "deletes nothing: the policy has no rule"));
    }

    #[test]
    fn a_long_list_is_cut_with_the_number_of_the_rest() {
        let list = |count: usize| some_of((0..count).map(|at| at.to_string()).collect());
        assert_eq!(list(6).len(), 6);
        assert_eq!(list(7), ["0", "1", "2", "3", "4", "and 2 more"]);
    }

    #[test]
    fn a_span_is_told_in_the_unit_in_which_one_speaks_of_it() {
        let from = Timestamp::UNIX_EPOCH;
        for (seconds, told) in [
            (0, "0 seconds"),
            (1, "1 second"),
            (119, "119 seconds"),
            (120, "2 minutes"),
            (7199, "119 minutes"),
            (7200, "2 hours"),
            (172_800, "2 days"),
        ] {
            assert_eq!(span(from, Timestamp::from_second(seconds).unwrap()), told);
        }
        assert_eq!(span(Timestamp::from_second(9).unwrap(), from), "0 seconds");
    }
}
