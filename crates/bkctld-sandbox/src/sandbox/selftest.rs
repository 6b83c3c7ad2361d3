//! Before a listener reports that it is ready, one sandboxed sshd must send its banner, so that missing host
//! keys, a bad `sshd_config` or an incomplete server become visible at `start`, not at night.

use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use bkctld_core::error::{Error, Result};
use bkctld_core::text::printable;
use bkctld_sys::process::fork;
use bkctld_sys::seccomp::Notifications;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{WaitOptions, waitpid};

use super::link::Message;
use super::log_lines::LogLines;
use super::{Blueprint, Sandbox};
use crate::wait::{self, Happened};

/// What the test waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    /// sshd has said its banner, or something else, or closed its socket.
    Banner,
    /// A program of the sandbox is about to start or to end.
    Program,
    /// Init has something to say, or has gone.
    Init,
}

/// The time that sshd gets; it needs a hundredth of it.
const PATIENCE: Duration = Duration::from_secs(10);

const SILENT: &str = "sshd does not serve this jail";

/// Starts and ends one sandbox. Runs in a child, because a process can make only one.
pub(crate) fn run(blueprint: &Blueprint<'_>) -> Result<()> {
    let broken = |error: std::io::Error| Error::kernel("cannot test the sandbox", error);
    let (words, child_words) = pipe_with(PipeFlags::CLOEXEC).map_err(|error| broken(error.into()))?;
    let child = fork(move || {
        let Err(why) = hear_banner(blueprint) else { return 0 };
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
        _ if why.is_empty() => Err(Error::service("the test of the sandbox was killed")),
        _ => Err(Error::service(String::from_utf8_lossy(&why))),
    }
}

fn hear_banner(blueprint: &Blueprint<'_>) -> std::result::Result<(), String> {
    let (here, there) = socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)
        .map_err(|error| error.to_string())?;
    let sandbox = Sandbox::start(blueprint, there).map_err(|error| error.to_string())?;
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
    let mut lines = LogLines::default();
    let mut shown = Vec::new();
    let mut each = |line: &[u8]| shown.push(printable(line).into_owned());
    lines.take(&buffer[..len], &mut each);
    lines.rest(&mut each);
    shown
}

fn wait_for_banner(sandbox: &Sandbox, socket: BorrowedFd<'_>) -> std::result::Result<(), String> {
    let deadline = Instant::now() + PATIENCE;
    let mut notifications: Option<Notifications> = None;
    // After sshd has sent something else, or closed its socket; init's messages then explain it.
    let mut silent = false;
    loop {
        if wait::is_over(Some(deadline)) {
            return Err(if silent { SILENT } else { "sshd did not answer in time" }.into());
        }
        let banner = (!silent).then_some((Event::Banner, socket));
        let programs = notifications.as_ref().map(|all| (Event::Program, all.as_fd()));
        let init = [(Event::Init, sandbox.link.as_fd())];
        let happened = wait::until(Some(deadline), banner.into_iter().chain(programs).chain(init))
            .map_err(|error| format!("cannot wait for sshd: {error}"))?;
        for Happened { event, readable } in happened {
            match event {
                Event::Banner if says_banner(socket) => return Ok(()),
                Event::Banner => silent = true,
                Event::Program => {
                    if !notifications.as_ref().is_some_and(|all| readable && let_one_go(all)) {
                        notifications = None;
                    }
                }
                Event::Init => match sandbox.link.receive() {
                    Ok(Some(Message::Notifications(fd))) => notifications = Some(Notifications::new(fd)),
                    Ok(Some(Message::Failed(why))) => return Err(why),
                    Ok(Some(Message::SshdEnded { .. }) | None) | Err(_) => return Err(SILENT.into()),
                    Ok(Some(_)) => {}
                },
            }
        }
    }
}

fn says_banner(socket: BorrowedFd<'_>) -> bool {
    let mut banner = [0; 4];
    matches!(rustix::io::read(socket, &mut banner), Ok(4) if &banner == b"SSH-")
}

/// Lets a program start or end, whichever it is; false when no more can come.
fn let_one_go(notifications: &Notifications) -> bool {
    match notifications.next() {
        Ok(Some(call)) => {
            let _ = notifications.let_go(&call);
            true
        }
        Ok(None) => true,
        Err(_) => false,
    }
}
