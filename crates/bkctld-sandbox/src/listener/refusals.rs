//! Clients that get no session: their messages, and their small share of the logs.

use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use bkctld_core::Jail;
use bkctld_core::session;
use jiff::Timestamp;
use rustix::io::Errno;

use crate::session::disconnect;

/// The time that a refused client gets to read the reason.
const LINGER: Duration = Duration::from_secs(2);
/// The maximum number of clients to wait for; further ones are disconnected at once.
const LINGERING: usize = 16;
/// The maximum delay before refused connections are counted.
const COUNT_AFTER: Duration = Duration::from_secs(1);

/// The clients that are being refused at this moment, and how many were.
#[derive(Debug)]
pub(crate) struct Refusals {
    /// Clients that have not read the reason yet.
    lingering: Vec<Lingering>,
    /// How many have lingered so far.
    numbered: u64,
    uncounted: Option<Uncounted>,
    lines: LineBudget,
}

/// Names one client that is being refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RefusedClient(u64);

#[derive(Debug)]
struct Lingering {
    client: RefusedClient,
    socket: OwnedFd,
    until: Instant,
}

/// Refused connections that have not been counted yet.
#[derive(Clone, Copy, Debug)]
struct Uncounted {
    number: u64,
    last_source: IpAddr,
    due: Instant,
}

impl Refusals {
    pub(crate) fn new(now: Instant) -> Refusals {
        Refusals { lingering: Vec::new(), numbered: 0, uncounted: None, lines: LineBudget::new(now) }
    }

    /// Sends the reason to the client, without waiting for it.
    pub(crate) fn tell(&mut self, socket: OwnedFd, why: &str, now: Instant) {
        disconnect(socket.as_fd(), why);
        // Closing the connection while data of the client is unread would reset it, and the client might lose
        // the message.
        if self.lingering.len() < LINGERING && rustix::io::ioctl_fionbio(&socket, true).is_ok() {
            self.numbered += 1;
            let client = RefusedClient(self.numbered);
            self.lingering.push(Lingering { client, socket, until: now + LINGER });
        }
    }

    /// Counts a connection, and returns whether it gets a line in the logs, with the number of lines omitted
    /// since the last.
    pub(crate) fn note(&mut self, source: IpAddr, now: Instant) -> Option<u64> {
        let uncounted = self.uncounted.get_or_insert(Uncounted {
            number: 0,
            last_source: source,
            due: now + COUNT_AFTER,
        });
        uncounted.number += 1;
        uncounted.last_source = source;
        self.lines.admit(now)
    }

    /// Whether another line that connections can cause is logged; likewise.
    pub(crate) fn admit_line(&mut self, now: Instant) -> Option<u64> {
        self.lines.admit(now)
    }

    /// Writes the count, if it is time or this is the last chance.
    pub(crate) fn count(&mut self, jail: &Jail, now: Option<Instant>) {
        if let Some(due) = self.uncounted.take_if(|due| now.is_none_or(|now| now >= due.due)) {
            // A state directory that cannot be written has been reported, and refusing goes on.
            let _ = session::count_refused(jail, due.number, Timestamp::now(), due.last_source);
        }
    }

    pub(crate) fn nobody_lingers(&self) -> bool {
        self.lingering.is_empty() && self.uncounted.is_none()
    }

    /// The next time at which something must be done.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let lingering = self.lingering.iter().map(|one| one.until);
        lingering.chain(self.uncounted.map(|uncounted| uncounted.due)).min()
    }

    /// Their connections, on which they may say something or go.
    pub(crate) fn watched(&self) -> impl Iterator<Item = (RefusedClient, BorrowedFd<'_>)> {
        self.lingering.iter().map(|one| (one.client, one.socket.as_fd()))
    }

    /// Takes what this one has to say, which is nothing to us, and lets it go if it has gone.
    pub(crate) fn hear(&mut self, client: RefusedClient) {
        self.lingering.retain(|one| one.client != client || !is_gone(&one.socket));
    }

    /// Lets those go that have had the time to read it.
    pub(crate) fn let_go(&mut self, now: Instant) {
        self.lingering.retain(|one| now < one.until);
    }

    /// Closes all of their connections, whether they have read it or not.
    pub(crate) fn clear(&mut self) {
        self.lingering.clear();
    }
}

/// Discards the client's data; returns true once it has closed.
fn is_gone(socket: &OwnedFd) -> bool {
    let mut buffer = [0; 4096];
    !matches!(rustix::io::read(socket, &mut buffer), Ok(1..) | Err(Errno::AGAIN | Errno::INTR))
}

/// The maximum number of lines at once.
const BURST: u32 = 10;
/// The time after which one more is allowed.
const EACH: Duration = Duration::from_secs(60);

/// A limit on log lines: anybody who may connect may do so often.
#[derive(Debug)]
struct LineBudget {
    left: u32,
    /// The time since which the next line accrues.
    since: Instant,
    left_out: u64,
}

impl LineBudget {
    fn new(now: Instant) -> LineBudget {
        LineBudget { left: BURST, since: now, left_out: 0 }
    }

    /// Whether a line may be written now; if so, the number of lines omitted since the last.
    fn admit(&mut self, now: Instant) -> Option<u64> {
        let more = now.duration_since(self.since).as_secs() / EACH.as_secs();
        if more > 0 {
            self.left = self.left.saturating_add(u32::try_from(more).unwrap_or(BURST)).min(BURST);
            self.since = now;
        }
        if self.left == 0 {
            self.left_out += 1;
            return None;
        }
        if self.left == BURST {
            self.since = now;
        }
        self.left -= 1;
        Some(std::mem::take(&mut self.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_lines_at_once_then_one_a_minute_tell_of_any_number() {
        let start = Instant::now();
        let mut lines = LineBudget::new(start);
        let later = start + Duration::from_secs(5000);
        let at = |second: u64| later + Duration::from_secs(second);
        assert_eq!((0..100).filter_map(|_| lines.admit(at(0))).collect::<Vec<_>>(), [0; 10]);
        assert_eq!(lines.admit(at(59)), None);
        assert_eq!(lines.admit(at(60)), Some(91));
        assert_eq!(lines.admit(at(61)), None);
        let in_a_day = (0..24 * 3600).filter(|second| lines.admit(at(200 + second)).is_some()).count();
        assert!((1400..1500).contains(&in_a_day), "{in_a_day}");
        assert_eq!(lines.admit(at(1_000_000)).map(|left_out| left_out > 0), Some(true));
    }
}
