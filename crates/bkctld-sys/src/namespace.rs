//! Leaving the namespaces of the server.

use std::io;

use rustix::thread::{UnshareFlags, unshare_unsafe};

/// What a process can have apart from the server, one by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Namespace {
    /// User and group ids, and what capabilities count for.
    User,
    /// Process ids; takes effect for the children of the caller, the first of which is process 1.
    Pid,
    /// Mounts, and with them which files there are.
    Mount,
    /// Network devices, addresses and abstract sockets.
    Net,
    /// System V IPC and POSIX message queues.
    Ipc,
    /// The host name and the NIS domain.
    Uts,
    /// Where the tree of cgroups seems to begin.
    Cgroup,
}

/// Moves the calling thread into new namespaces of these kinds.
pub fn unshare(kinds: &[Namespace]) -> io::Result<()> {
    let flags = kinds.iter().fold(UnshareFlags::empty(), |flags, kind| {
        flags
            | match kind {
                Namespace::User => UnshareFlags::NEWUSER,
                Namespace::Pid => UnshareFlags::NEWPID,
                Namespace::Mount => UnshareFlags::NEWNS,
                Namespace::Net => UnshareFlags::NEWNET,
                Namespace::Ipc => UnshareFlags::NEWIPC,
                Namespace::Uts => UnshareFlags::NEWUTS,
                Namespace::Cgroup => UnshareFlags::NEWCGROUP,
            }
    });
    // SAFETY: unsafe only for `FILES`, which would give this thread its own descriptors; the flags
    // above never hold it.
    Ok(unsafe { unshare_unsafe(flags) }?)
}
