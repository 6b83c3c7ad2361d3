//! The listener of a jail, one sandbox for each of its connections, and the record of each session.
//!
//! ```text
//! supervisor      only where systemd is not: keeps the listener alive
//! └ listener      holds the port; one process, no threads, no timers
//!   └ monitor     one for each connection, root on the server: makes the sandbox, watches, records
//!     └ init      process 1 of the sandbox: starts sshd, reaps, ends everything with it
//!       └ sshd …  the client's programs
//! ```
//!
//! Each process notices the death of the one above it by a pipe or socket that closes, and ends
//! what is below it; whichever is killed, nothing of a session is left.
#![forbid(unsafe_code)]

mod bounds;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod listener;
mod notify;
mod sandbox;
mod session;
mod supervisor;
mod wait;

use std::net::IpAddr;
use std::path::PathBuf;

use bkctld_core::config::{Isolation, SessionLimits};
use bkctld_core::syslog::{Entry, SystemLog};
use bkctld_core::{Jail, Port};
use ipnet::IpNet;

pub use listener::{Ended, run};
pub use supervisor::supervise;

/// What a listener serves, fixed for its life.
#[derive(Clone, Debug)]
pub struct Service {
    /// The jail.
    pub jail: Jail,
    /// The link to the runtime that new sessions get: `DATADIR/runtime/current`.
    pub runtime: PathBuf,
    /// The path of `sshd_config` inside of the jail.
    pub sshd_config: PathBuf,
    /// The server's log.
    pub log: SystemLog,
    /// Whether standard error is systemd's, which keeps it: for what the server's log does not take.
    pub log_to_stderr: bool,
    /// Whether standard output is the supervisor's, who wants to know when the listener is ready.
    pub supervised: bool,
}

impl Service {
    /// Tells the server's log.
    pub(crate) fn log(&self, entry: Entry) {
        let entry = entry.about(Some(self.jail.name()));
        if !self.log.send(&entry, notify::local_time) && self.log_to_stderr {
            notify::to_stderr(&entry.message());
        }
    }
}

/// What a listener reads at its start and again at each reload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerConfig {
    /// The port.
    pub port: Port,
    /// The server's addresses to listen on; none means every one, of IPv4 and IPv6.
    pub listen: Vec<IpAddr>,
    /// The clients' addresses; `0.0.0.0/0` means everyone, by IPv6 too.
    pub allowed: Vec<IpNet>,
    /// The `LogLevel` of the jail's `sshd_config`, where it has one.
    pub log_level: Option<String>,
    /// How sessions are kept apart from the server.
    pub isolation: Isolation,
    /// How many of them at once.
    pub limits: SessionLimits,
}
