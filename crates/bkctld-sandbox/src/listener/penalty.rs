//! Penalties for sources that connect and never log in, like OpenSSH's PerSourcePenalties since 9.8, but for
//! any OpenSSH. They are kept here because each connection has its own sshd, which knows nothing about the
//! others.
//!
//! Each such connection adds to the time until which its source gets no more; nothing happens to a source
//! before that adds up to [`MIN`], so that a wrong key, or a probe of monitoring once a minute, goes unpunished. Costs
//! and thresholds are OpenSSH's. A source from which somebody has logged in of late, a client behind the same
//! address as the attacker perhaps, waits [`MAX_OF_KNOWN`] at most.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::source::Source;
use crate::session::Offence;

/// A source is refused once its penalties add up to more than this.
const MIN: Duration = Duration::from_secs(15);
/// The maximum for a source from which somebody has logged in within [`KNOWN_FOR`].
const MAX_OF_KNOWN: Duration = Duration::from_secs(30);
const KNOWN_FOR: Duration = Duration::from_secs(24 * 3600);

/// The maximum number of sources, with about 64 bytes each. If there are more, those whose time is up first
/// are dropped: somebody with many addresses must not get everybody else refused. OpenSSH calls this
/// permissive.
const MAX_SOURCES: usize = 4096;

/// What a connection costs its source that has done this instead of logging in.
fn cost(offence: Offence) -> Duration {
    Duration::from_secs(match offence {
        Offence::NoAttempt => 1,
        Offence::FailedLogin => 5,
        Offence::GraceExceeded => 10,
        Offence::Crash => 90,
    })
}

#[derive(Clone, Copy, Debug)]
struct Penalty {
    until: Instant,
    /// Whether it was ever enough to refuse the source, which is then refused until the end.
    active: bool,
}

/// The penalties of one jail.
#[derive(Debug, Default)]
pub(crate) struct Penalties {
    sources: HashMap<Source, Penalty>,
    /// The time of the last login from there.
    known: HashMap<Source, Instant>,
}

impl Penalties {
    /// The remaining time for which this source gets no session; none if it may have one.
    pub(crate) fn left(&self, source: Source, now: Instant) -> Option<Duration> {
        let penalty = self.sources.get(&source).filter(|penalty| penalty.active)?;
        Some(penalty.until.saturating_duration_since(now)).filter(|left| !left.is_zero())
    }

    /// Adds the cost of a connection to its source, up to `max`; with zero there are no penalties. Returns
    /// the time for which the source is refused, if it was not refused before.
    pub(crate) fn add(
        &mut self,
        source: Source,
        offence: Offence,
        max: Duration,
        now: Instant,
    ) -> Option<Duration> {
        let known = self.known.get(&source).is_some_and(|login| now.duration_since(*login) < KNOWN_FOR);
        let max = if known { max.min(MAX_OF_KNOWN) } else { max };
        if max.is_zero() {
            return None;
        }
        let fresh = Penalty { until: now, active: false };
        let mut penalty =
            self.sources.get(&source).copied().filter(|penalty| penalty.until > now).unwrap_or(fresh);
        penalty.until = (penalty.until + cost(offence)).min(now + max);
        let left = penalty.until - now;
        let begins = !penalty.active && left > MIN.min(max / 2);
        penalty.active |= begins;
        make_room(&mut self.sources, &source, |penalty| penalty.until, now);
        self.sources.insert(source, penalty);
        begins.then_some(left)
    }

    /// Somebody has logged in from there.
    pub(crate) fn logged_in(&mut self, source: Source, now: Instant) {
        self.sources.remove(&source);
        make_room(&mut self.known, &source, |login| *login + KNOWN_FOR, now);
        self.known.insert(source, now);
    }
}

/// Makes room for one more: drops those whose time is up, or else the one whose time is up first.
fn make_room<T>(
    map: &mut HashMap<Source, T>,
    newcomer: &Source,
    until: impl Fn(&T) -> Instant,
    now: Instant,
) {
    if map.len() < MAX_SOURCES || map.contains_key(newcomer) {
        return;
    }
    map.retain(|_, value| until(value) > now);
    if map.len() >= MAX_SOURCES
        && let Some(first) = map.iter().min_by_key(|(_, value)| until(value)).map(|(source, _)| *source)
    {
        map.remove(&first);
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    const MAX: Duration = Duration::from_secs(600);

    fn source(number: u32) -> Source {
        Source::from_address(IpAddr::V4(number.into()))
    }

    fn seconds(number: u64) -> Duration {
        Duration::from_secs(number)
    }

    #[test]
    fn penalties_add_up_until_the_source_is_refused_and_are_over_by_themselves() {
        use Offence::{Crash, FailedLogin, GraceExceeded, NoAttempt};
        // Offences with their second; then the seconds at which the source is refused, and for how long yet.
        for (offences, looks) in [
            (&[(0, Crash)][..], &[(0, Some(90)), (89, Some(1)), (90, None)][..]),
            (&[(0, FailedLogin); 3], &[(0, None)]),
            (&[(0, FailedLogin); 4], &[(0, Some(20)), (19, Some(1)), (20, None)]),
            (&[(0, GraceExceeded), (0, GraceExceeded)], &[(0, Some(20))]),
            (&[(0, NoAttempt); 15], &[(0, None)]),
            (&[(0, NoAttempt); 16], &[(0, Some(16)), (16, None)]),
            (&[(0, NoAttempt); 5000], &[(0, Some(600)), (600, None)]),
            // A probe each minute, a wrong key every ten seconds.
            (&[(0, NoAttempt), (60, NoAttempt), (120, NoAttempt)], &[(120, None)]),
            (&[(0, FailedLogin), (10, FailedLogin), (20, FailedLogin), (30, FailedLogin)], &[(30, None)]),
            // What goes on while it is refused counts on; and after it, from nothing.
            (&[(0, Crash), (0, NoAttempt)], &[(0, Some(91))]),
            (&[(0, Crash), (90, FailedLogin)], &[(90, None)]),
        ] {
            let start = Instant::now();
            let mut penalties = Penalties::default();
            let mut begun = 0;
            for (second, offence) in offences {
                begun +=
                    u32::from(penalties.add(source(1), *offence, MAX, start + seconds(*second)).is_some());
            }
            for (second, left) in looks {
                let now = start + seconds(*second);
                assert_eq!(penalties.left(source(1), now), left.map(seconds), "{offences:?} at {second}");
                assert_eq!(penalties.left(source(2), now), None);
            }
            assert!(begun <= 1, "{offences:?} is reported {begun} times");
        }
    }

    #[test]
    fn a_source_with_a_login_waits_no_more_than_half_a_minute() {
        let start = Instant::now();
        let mut penalties = Penalties::default();
        penalties.add(source(1), Offence::Crash, MAX, start);
        penalties.logged_in(source(1), start);
        assert_eq!(penalties.left(source(1), start), None);
        for _ in 0..1000 {
            penalties.add(source(1), Offence::FailedLogin, MAX, start);
        }
        assert_eq!(penalties.left(source(1), start), Some(MAX_OF_KNOWN));
        // A day later nobody knows it any more.
        let later = start + KNOWN_FOR;
        for _ in 0..1000 {
            penalties.add(source(1), Offence::FailedLogin, MAX, later);
        }
        assert_eq!(penalties.left(source(1), later), Some(MAX));
    }

    #[test]
    fn the_longest_penalty_is_the_administrators_and_zero_is_none() {
        let now = Instant::now();
        for (max, expected) in [(0, None), (10, Some(10)), (60, Some(60))] {
            let mut penalties = Penalties::default();
            for _ in 0..1000 {
                penalties.add(source(1), Offence::FailedLogin, seconds(max), now);
            }
            assert_eq!(penalties.left(source(1), now), expected.map(seconds), "{max}");
        }
    }

    #[test]
    fn many_sources_take_no_more_room_and_push_out_the_shortest_penalties() {
        let now = Instant::now();
        let mut penalties = Penalties::default();
        penalties.add(source(0), Offence::Crash, MAX, now);
        for number in 1..MAX_SOURCES as u32 + 200 {
            penalties.add(source(number), Offence::FailedLogin, MAX, now);
            penalties.logged_in(source(1 << 31 | number), now);
        }
        assert_eq!((penalties.sources.len(), penalties.known.len()), (MAX_SOURCES, MAX_SOURCES));
        assert_eq!(penalties.left(source(0), now), Some(seconds(90)));
        let later = now + seconds(91);
        penalties.add(source(99_999), Offence::FailedLogin, MAX, later);
        assert!(penalties.sources.len() < 10, "what is over goes first");
    }
}
