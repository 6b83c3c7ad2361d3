//! Times in the words of a person.

use bkctld_core::text;
use jiff::{Timestamp, Zoned};

/// To the minute, in the server's zone.
pub fn local(time: Timestamp, now: &Zoned) -> String {
    time.to_zoned(now.time_zone().clone()).strftime("%Y-%m-%d %H:%M").to_string()
}

/// The time since then.
pub fn ago(time: Timestamp, now: &Zoned) -> String {
    if time > now.timestamp() {
        return "in the future, as its clock was ahead".to_owned();
    }
    match now.timestamp().duration_since(time).as_secs() {
        ..60 => "just now".to_owned(),
        _ => format!("{} ago", span(time, now.timestamp())),
    }
}

/// The time between two moments, in a suitable unit.
pub fn span(from: Timestamp, to: Timestamp) -> String {
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
    use super::*;

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
