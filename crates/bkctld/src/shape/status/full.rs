//! One jail in full, for a person.

use bkctld_core::check::ExpectedState;
use bkctld_core::config::Isolation;
use bkctld_core::overview::{Details, Expiry};
use bkctld_core::retention::Retention;
use bkctld_core::service::ServedBy;
use bkctld_core::session::SessionRecord;
use bkctld_core::{IncName, text};
use jiff::Zoned;

use super::{Status, session};

/// The maximum number of list items to show; further ones are only counted.
const MOST: usize = 5;

/// The lines for a person. Text of a client is escaped.
pub fn lines(status: &Status, details: &Details, now: &Zoned) -> Vec<String> {
    let mut shown = vec![format!("jail {}", status.name)];
    let mut add = |label: &str, values: Vec<String>| {
        for (at, value) in values.iter().enumerate() {
            let label = if at == 0 { label } else { "" };
            shown.push(format!("  {label:<16}{}", text::printable(value.as_bytes())));
        }
    };
    add("state", vec![state(status, details.expected)]);
    add("port", vec![status.port.map_or_else(|| "unknown".to_owned(), |port| port.to_string())]);
    add("addresses", vec![addresses(status)]);
    add("keys", keys(details, status.name.as_str()));
    add("isolation", vec![isolation(status.isolation).to_owned()]);
    let (active, last) = match &status.sessions {
        Some(sessions) => (sessions.active.as_slice(), sessions.last.as_ref()),
        None => (&[][..], None),
    };
    let active: Vec<String> = active.iter().map(|record| session::running(record, now)).collect();
    add("sessions", if active.is_empty() { vec!["none now".to_owned()] } else { some_of(active) });
    let never = || "none".to_owned();
    add("last session", vec![last.map_or_else(never, |record| session::finished(record, now))]);
    let push = details.last_push.as_ref();
    // Mostly it is that one.
    let good = |push: &SessionRecord| match last {
        Some(last) if last.id == push.id => "the last session".to_owned(),
        _ => session::finished(push, now),
    };
    add("last good push", vec![push.map_or_else(never, good)]);
    add("policy", vec![policy(status.retention)]);
    add("incs", vec![incs(&details.incs)]);
    add("rm now", vec![next_expiry(&details.expiry)]);
    shown
}

fn state(status: &Status, expected: ExpectedState) -> String {
    match status.served_by {
        None if expected == ExpectedState::Off => {
            "off, as expected (EXPECTED_STATE=OFF in its check_policy)".to_owned()
        }
        None => format!("off; 'bkctld start {}' starts it", status.name),
        Some(ServedBy::Bkctld) => "on".to_owned(),
        Some(ServedBy::Nspawn) => "on, in a container of the original".to_owned(),
        Some(ServedBy::Chroot) => "on, in a chroot of the original".to_owned(),
    }
}

fn addresses(status: &Status) -> String {
    match status.addresses.as_slice() {
        [] => "unknown".to_owned(),
        [all] if all == "0.0.0.0/0" => "all may connect".to_owned(),
        some => some.join(", "),
    }
}

fn keys(details: &Details, jail: &str) -> Vec<String> {
    match &details.keys {
        Err(reason) => vec![format!("unknown: {reason}")],
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
        Expiry::NoRule => "deletes nothing: the policy has no rules".to_owned(),
        Expiry::BadLine(line) => format!("deletes nothing: {line}"),
        Expiry::Deletes(incs) if incs.is_empty() => "deletes nothing".to_owned(),
        Expiry::Deletes(incs) => {
            let names = some_of(incs.iter().map(ToString::to_string).collect());
            format!("deletes {}: {}", incs.len(), names.join(", "))
        }
    }
}

/// The first items, and the number of further ones.
fn some_of(mut all: Vec<String>) -> Vec<String> {
    if all.len() > MOST + 1 {
        let more = all.len() - MOST;
        all.truncate(MOST);
        all.push(format!("and {more} more"));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_list_is_cut_with_the_number_of_the_rest() {
        let list = |count: usize| some_of((0..count).map(|at| at.to_string()).collect());
        assert_eq!(list(6).len(), 6);
        assert_eq!(list(7), ["0", "1", "2", "3", "4", "and 2 more"]);
    }
}
