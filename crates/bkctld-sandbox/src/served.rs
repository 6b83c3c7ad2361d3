//! What a listener and all below it serve, fixed for the listener's life.

use std::path::PathBuf;

use bkctld_core::runtime::RuntimeStore;
use bkctld_core::syslog::{Entry, SystemLog};
use bkctld_core::{Jail, Settings};

use crate::notify;

/// A jail that is served, and what its listener has known since its start.
#[derive(Clone, Debug)]
pub struct ServedJail {
    /// The jail itself, with its places on disk.
    pub jail: Jail,
    /// The server's settings, as they were at the start: a reload reads the jail's own files only.
    pub settings: Settings,
    /// The log of the server, not that of the jail.
    pub log: SystemLog,
    /// Whoever has started the listener, and waits for its word.
    pub started_by: StartedBy,
}

/// The process above a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartedBy {
    /// systemd is told by its socket that the listener is ready, keeps standard error for what the server's log
    /// does not take, and bounds the memory of the jail's unit.
    Systemd,
    /// The supervisor is told by standard output. Nobody bounds memory, so the listener does.
    Supervisor,
}

impl ServedJail {
    /// The link to the programs that new sessions get.
    pub(crate) fn runtime(&self) -> PathBuf {
        RuntimeStore::new(&self.settings).current()
    }

    /// Writes to the server's log.
    pub(crate) fn log(&self, entry: Entry) {
        let entry = entry.about(Some(self.jail.name()));
        if !self.log.send(&entry, notify::local_time) && self.started_by == StartedBy::Systemd {
            notify::to_stderr(&entry.message());
        }
    }
}
