//! Waiting for several things at once, each by its name.
//!
//! `poll` answers by position, and a position is right only as long as nobody puts a descriptor before it, and
//! as long as what it counts does not change between the answer and its use: a reload closes sockets while a
//! connection waits on one of them. A loop therefore has an enum of what can happen to it, and gets that back.

use std::io;
use std::os::fd::BorrowedFd;
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::time::Timespec;

/// Something that has happened to a descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Happened<Event> {
    /// The name that its descriptor was given.
    pub(crate) event: Event,
    /// Whether there is something to read, be it the end. If not, the other end is gone.
    pub(crate) readable: bool,
}

/// Waits until something happens to one of these descriptors, at most until the deadline.
///
/// Returns everything that has happened, in the order of the list: a loop puts first what it must know before
/// the rest. Returns nothing after the deadline, and where a signal came between.
pub(crate) fn until<'a, Event>(
    deadline: Option<Instant>,
    watched: impl IntoIterator<Item = (Event, BorrowedFd<'a>)>,
) -> io::Result<Vec<Happened<Event>>> {
    let (events, mut descriptors): (Vec<Event>, Vec<PollFd<'a>>) =
        watched.into_iter().map(|(event, fd)| (event, PollFd::from_borrowed_fd(fd, PollFlags::IN))).unzip();
    match poll(&mut descriptors, deadline.map(time_left).as_ref()) {
        Ok(_) => {}
        Err(Errno::INTR) => return Ok(Vec::new()),
        Err(error) => return Err(error.into()),
    }
    let happened = events.into_iter().zip(&descriptors).filter(|(_, fd)| !fd.revents().is_empty());
    Ok(happened
        .map(|(event, fd)| Happened { event, readable: fd.revents().contains(PollFlags::IN) })
        .collect())
}

fn time_left(deadline: Instant) -> Timespec {
    let left = deadline.saturating_duration_since(Instant::now());
    Timespec { tv_sec: left.as_secs() as _, tv_nsec: left.subsec_nanos() as _ }
}

/// Whether a deadline that may not be set yet is over.
pub(crate) fn is_over(deadline: Option<Instant>) -> bool {
    deadline.is_some_and(|deadline| deadline <= Instant::now())
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;
    use std::time::Duration;

    use super::*;

    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Event {
        First,
        Second,
        Numbered(u32),
    }

    fn names(happened: Vec<Happened<Event>>) -> Vec<Event> {
        happened.into_iter().map(|happened| happened.event).collect()
    }

    #[test]
    fn events_come_by_name_in_the_order_of_the_list() {
        let (mut a, a_end) = UnixStream::pair().unwrap();
        let (_b, b_end) = UnixStream::pair().unwrap();
        let (mut c, c_end) = UnixStream::pair().unwrap();
        a.write_all(b"x").unwrap();
        c.write_all(b"x").unwrap();
        let (a, b, c) = (a_end.as_fd(), b_end.as_fd(), c_end.as_fd());
        for (list, expected) in [
            (
                vec![(Event::First, a), (Event::Second, b), (Event::Numbered(7), c)],
                vec![Event::First, Event::Numbered(7)],
            ),
            (
                vec![(Event::Numbered(7), c), (Event::Second, b), (Event::First, a)],
                vec![Event::Numbered(7), Event::First],
            ),
            // Whatever stands before it, a name stays with its descriptor.
            (vec![(Event::Second, b), (Event::Numbered(1), b), (Event::First, a)], vec![Event::First]),
        ] {
            assert_eq!(names(until(None, list).unwrap()), expected);
        }
    }

    #[test]
    fn nothing_has_happened_at_the_deadline() {
        let (_a, a) = UnixStream::pair().unwrap();
        let wait = |deadline| until(Some(deadline), [(Event::First, a.as_fd())]).unwrap();
        let begin = Instant::now();
        assert_eq!(wait(begin + Duration::from_millis(30)), []);
        assert!(begin.elapsed() >= Duration::from_millis(30));
        // One that is over already is no reason to wait.
        assert_eq!(wait(begin), []);
        assert!(is_over(Some(begin)) && !is_over(Some(begin + Duration::from_secs(3600))) && !is_over(None));
    }

    #[test]
    fn something_to_read_is_told_from_an_end_that_is_gone() {
        let (read, write) = rustix::pipe::pipe().unwrap();
        rustix::io::write(&write, b"x").unwrap();
        let wait = || until(None, [(Event::First, read.as_fd())]).unwrap();
        assert_eq!(wait(), [Happened { event: Event::First, readable: true }]);
        drop(write);
        // What was written before is read first.
        assert_eq!(wait(), [Happened { event: Event::First, readable: true }]);
        rustix::io::read(&read, &mut [0; 4]).unwrap();
        assert_eq!(wait(), [Happened { event: Event::First, readable: false }]);
    }
}
