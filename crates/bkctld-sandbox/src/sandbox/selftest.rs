//! Before a listener calls itself ready, one sandboxed sshd has to say its banner: missing host
//! keys, a bad `sshd_config` or a server that lacks something show at `start`, not at night.

use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use bkctld_core::error::{Error, Result};
use bkctld_core::text::printable;
use bkctld_sys::process::fork;
use bkctld_sys::seccomp::Notifications;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{WaitOptions, waitpid};
use rustix::time::Timespec;

use super::Sandbox;
use super::link::Message;
use super::sshd::{self, Lines};
use crate::bounds::Bounds;
use crate::bounds::id_range::IdRange;
use crate::{ListenerConfig, Service};

/// How long sshd has; it needs a hundredth of that.
const PATIENCE: Duration = Duration::from_secs(10);

const SILENT: &str = "sshd does not serve this jail";

/// Starts and ends one sandbox. Runs in a child, because a process can make only one.
pub(crate) fn run(
    service: &Service,
    config: &ListenerConfig,
    ids: Option<&IdRange>,
    bounds: &Bounds,
) -> Result<()> {
    let broken = |error: std::io::Error| Error::Refused(format!("cannot test the sandbox: {error}"));
    let (words, child_words) = pipe_with(PipeFlags::CLOEXEC).map_err(|error| broken(error.into()))?;
    let child = fork(move || {
        let Err(why) = hear_banner(service, config, ids, bounds) else { return 0 };
        // Below the size of a pipe's buffer, so this does not wait.
        let _ = rustix::io::write(&child_words, &why.as_bytes()[..why.len().min(2000)]);
        1
    })
    .map_err(broken)?;
    let mut why = Vec::new();
    let read = std::io::Read::read_to_end(&mut std::fs::File::from(words), &mut why);
    let status = waitpid(Some(child), WaitOptions::empty()).map_err(|error| broken(error.into()))?;
    read.map_err(broken)?;
    match status.and_then(|(_, status)| status.exit_status()) {
        Some(0) => Ok(()),
        _ if why.is_empty() => Err(Error::Refused("the test of the sandbox was killed".into())),
        _ => Err(Error::Refused(String::from_utf8_lossy(&why).into_owned())),
    }
}

fn hear_banner(
    service: &Service,
    config: &ListenerConfig,
    ids: Option<&IdRange>,
    bounds: &Bounds,
) -> std::result::Result<(), String> {
    let (here, there) = socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)
        .map_err(|error| error.to_string())?;
    let args = sshd::args(&service.sshd_config, &config.allowed, config.log_level.as_deref());
    let sandbox = Sandbox::start(service, config.isolation, ids, bounds, there, args)
        .map_err(|error| error.to_string())?;
    let heard = wait_for_banner(&sandbox, here.as_fd());
    sandbox.end();
    let Err(mut why) = heard else { return Ok(()) };
    for line in log_lines(&sandbox) {
        why.push_str("; ");
        why.push_str(&line);
    }
    Err(why)
}

fn log_lines(sandbox: &Sandbox) -> Vec<String> {
    let mut buffer = [0; 2048];
    let len = rustix::io::read(&sandbox.log, &mut buffer).unwrap_or(0);
    let mut lines = Lines::default();
    let mut shown = Vec::new();
    let mut each = |line: &[u8]| shown.push(printable(line).into_owned());
    lines.take(&buffer[..len], &mut each);
    lines.rest(&mut each);
    shown
}

fn wait_for_banner(sandbox: &Sandbox, socket: BorrowedFd<'_>) -> std::result::Result<(), String> {
    let deadline = Instant::now() + PATIENCE;
    let mut notifications: Option<Notifications> = None;
    // Once it has said something else, or closed its socket; init's words then explain it.
    let mut silent = false;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(if silent { SILENT } else { "sshd has not answered in time" }.into());
        }
        let left = Timespec { tv_sec: left.as_secs() as _, tv_nsec: left.subsec_nanos() as _ };
        let link = PollFd::from_borrowed_fd(sandbox.link.as_fd(), PollFlags::IN);
        let mut fds = vec![link];
        let notifications_at = notifications.as_ref().map(|all| {
            fds.push(PollFd::from_borrowed_fd(all.as_fd(), PollFlags::IN));
            fds.len() - 1
        });
        let socket_at = (!silent).then(|| {
            fds.push(PollFd::from_borrowed_fd(socket, PollFlags::IN));
            fds.len() - 1
        });
        if poll(&mut fds, Some(&left)).is_err() {
            continue;
        }
        let events: Vec<PollFlags> = fds.iter().map(PollFd::revents).collect();
        drop(fds);
        let of = |at: Option<usize>| at.map_or(PollFlags::empty(), |at| events[at]);
        if !of(socket_at).is_empty() {
            let mut banner = [0; 4];
            if matches!(rustix::io::read(socket, &mut banner), Ok(4) if &banner == b"SSH-") {
                return Ok(());
            }
            silent = true;
        }
        if of(notifications_at).contains(PollFlags::IN)
            && let Some(all) = &notifications
            && let Ok(Some(call)) = all.next()
        {
            let _ = all.let_go(&call);
        } else if !of(notifications_at).is_empty() {
            notifications = None;
        }
        if !events[0].is_empty() {
            match sandbox.link.receive() {
                Ok(Some(Message::Notifications(fd))) => notifications = Some(Notifications::new(fd)),
                Ok(Some(Message::Failed(why))) => return Err(why),
                Ok(Some(Message::SshdEnded { .. }) | None) | Err(_) => return Err(SILENT.into()),
                Ok(Some(_)) => {}
            }
        }
    }
}
