//! What a listener writes, and where: in the jail's log, in that of connections without a login, and in the
//! server's.

use std::net::SocketAddr;
use std::time::Instant;

use bkctld_core::syslog::{Entry, Severity};

use super::Listener;
use crate::notify;

impl Listener<'_> {
    /// Counts a connection that gets no session. Few of them get a line in the logs.
    pub(super) fn log_refusal(&mut self, severity: Severity, peer: SocketAddr, why: &str) {
        if let Some(left_out) = self.refusals.note(peer.ip().to_canonical(), Instant::now()) {
            let text = format!("connection from {peer} refused: {why}");
            self.say_without_login(severity, &text, left_out);
        }
    }

    /// A warning that connections can cause.
    pub(super) fn complain(&mut self, text: &str) {
        if let Some(left_out) = self.refusals.admit_line(Instant::now()) {
            self.say_without_login(Severity::Warning, text, left_out);
        }
    }

    fn say_without_login(&self, severity: Severity, text: &str, left_out: u64) {
        let text = match left_out {
            0 => text.to_owned(),
            some => format!("{text} ({some} such lines were omitted)"),
        };
        notify::say_without_login(&self.served.jail, &text);
        self.log(severity, &text);
    }

    /// Writes to the jail's log and the server's.
    pub(super) fn say(&self, severity: Severity, text: &str) {
        notify::say(&self.served.jail, text);
        self.log(severity, text);
    }

    /// Writes to the server's log only.
    pub(super) fn log(&self, severity: Severity, text: &str) {
        self.served.log(Entry::new(severity, text).by("listener"));
    }
}
