//! What a session runs in: made for one connection, and gone with it.

pub(crate) mod filter;
mod init;
pub(crate) mod link;
pub(crate) mod log_lines;
pub(crate) mod root;
pub(crate) mod selftest;
pub(crate) mod sshd;
pub(crate) mod trees;

use std::ffi::OsString;
use std::os::fd::OwnedFd;

use bkctld_core::config::Isolation;
use bkctld_core::error::Result;
use bkctld_sys::namespace::{Namespace, unshare};
use bkctld_sys::process::fork;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, PidfdFlags, Signal, WaitOptions, pidfd_open, pidfd_send_signal, waitpid};

use self::link::Link;
use self::root::Step;
use self::trees::Trees;
use crate::bounds::Bounds;
use crate::bounds::id_range::IdRange;
use crate::served::ServedJail;

/// What the sandboxes of a jail are made by, until a reload changes it.
pub(crate) struct Blueprint<'a> {
    pub(crate) served: &'a ServedJail,
    pub(crate) isolation: Isolation,
    /// The ids that users of the jail have on the server; none where they are the server's own.
    pub(crate) ids: Option<&'a IdRange>,
    pub(crate) bounds: &'a Bounds,
    pub(crate) sshd_arguments: Vec<OsString>,
}

/// A sandbox that runs, from the monitor's side.
#[derive(Debug)]
pub(crate) struct Sandbox {
    init: Pid,
    pidfd: OwnedFd,
    /// The end that init listens to.
    pub(crate) link: Link,
    /// The standard error of sshd.
    pub(crate) log: OwnedFd,
}

impl Sandbox {
    /// Starts sshd on this socket. If this fails later, the reason arrives over the link.
    ///
    /// The calling process can do this once: it makes the PID namespace of its children.
    pub(crate) fn start(blueprint: &Blueprint<'_>, socket: OwnedFd) -> Result<Sandbox> {
        let trees = Trees::take(blueprint.served, blueprint.ids.map(IdRange::namespace))?;
        let (link, init_link) = Link::pair().step("socket pair")?;
        let (log, sshd_log) = pipe_with(PipeFlags::CLOEXEC).step("pipe")?;
        rustix::io::ioctl_fionbio(&log, true).step("pipe")?;
        // Not clone3 with all flags at once: fork of libc keeps libc's own state right, and the other
        // namespaces are as well made by the child.
        unshare(&[Namespace::Pid]).step("new PID namespace")?;
        let mut ours = Some((link, log));
        let init = fork(|| {
            ours.take();
            init::run(blueprint, init::Belongings { trees, link: init_link, socket, log: sshd_log })
        })
        .step("fork")?;
        let pidfd = pidfd_open(init, PidfdFlags::empty()).step("pidfd")?;
        let (link, log) = ours.take().ok_or(std::io::ErrorKind::Other).step("fork")?;
        Ok(Sandbox { init, pidfd, link, log })
    }

    /// Kills the remaining processes and waits until the last process of the sandbox is gone.
    pub(crate) fn end(&self) {
        // Both can fail only when init is gone already.
        let _ = pidfd_send_signal(&self.pidfd, Signal::KILL);
        let _ = waitpid(Some(self.init), WaitOptions::empty());
    }
}
