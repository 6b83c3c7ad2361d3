//! The programs that sshd starts in a session, which go into its record with their exit status.

use bkctld_sys::seccomp::{Notification, Notifications};

use super::Session;
use super::argv::read_argv;
use super::kind::{self, Argv};
use crate::sandbox::filter::{Watched, watched};

/// A program of the record that still runs.
pub(super) struct RunningProgram {
    pid: i32,
    /// Its place in the record.
    at: usize,
    /// Bytes that had come when it started.
    bytes_in: u64,
}

impl Session<'_> {
    /// Looks at one program that starts or ends, and lets it; false when no more can come.
    pub(super) fn next_program(&mut self, notifications: &Notifications) -> bool {
        let call = match notifications.next() {
            Ok(Some(call)) => call,
            Ok(None) => return true,
            Err(_) => return false,
        };
        match watched(call.number, &call.args) {
            Some(Watched::Exec(argv)) => self.look_at_exec(notifications, &call, argv),
            Some(Watched::Exit(status)) => self.program_ended(call.pid, status),
            None => {}
        }
        let _ = notifications.let_go(&call);
        true
    }

    fn look_at_exec(&mut self, notifications: &Notifications, call: &Notification, argv: u64) {
        if self.is_logged_in() && is_sshd(call.pid) {
            let argv = read_argv(call.pid, argv);
            // Else what was read may have been another process.
            if notifications.is_waiting(call) {
                self.program_starts(call.pid, &argv);
            }
        }
    }

    fn program_starts(&mut self, pid: i32, argv: &Argv) {
        let Some((kind, command)) = kind::classify(argv) else { return };
        self.count_bytes();
        if let Some(at) = self.record.started(kind, &command) {
            self.running.push(RunningProgram { pid, at, bytes_in: self.record.bytes_in });
            self.update_record();
        }
    }

    fn program_ended(&mut self, pid: i32, status: u8) {
        // The kernel may give the number to another process now.
        if let Some(index) = self.running.iter().position(|running| running.pid == pid) {
            let RunningProgram { at, bytes_in, .. } = self.running.swap_remove(index);
            self.count_bytes();
            self.record.exited(at, status, self.record.bytes_in.saturating_sub(bytes_in));
        }
    }
}

/// Whether the process runs sshd itself (before 9.8) or its part for a session: what those start
/// is what the client asked for.
fn is_sshd(pid: i32) -> bool {
    std::fs::read_link(format!("/proc/{pid}/exe"))
        .is_ok_and(|exe| exe.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"sshd")))
}
