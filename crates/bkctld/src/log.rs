//! The messages of a command in the server's log.

use std::cell::RefCell;
use std::fmt::Display;
use std::time::Duration;

use bkctld_core::JailName;
use bkctld_core::syslog::{Entry, Severity, SystemLog};
use jiff::Zoned;

use crate::shape::outcome::{Ended, Outcome};

thread_local! {
    /// The jail for which this thread works: all messages in the meantime are about it. As a parameter of
    /// each message, every command would have to remember it.
    static JAIL: RefCell<Option<JailName>> = const { RefCell::new(None) };
}

/// The log of one command.
#[derive(Clone, Debug)]
pub struct Log {
    system: SystemLog,
    command: &'static str,
}

impl Log {
    /// Of this command, with what is at most of this level.
    pub fn new(command: &'static str, level: u8) -> Log {
        Log { system: SystemLog::new(level), command }
    }

    /// Logs a message of the command; false if it was lost.
    pub fn say(&self, severity: Severity, text: impl Display) -> bool {
        self.send(Entry::new(severity, text))
    }

    /// The command begins to work on the jail, in this thread.
    pub fn begin(&self, jail: &JailName) {
        JAIL.set(Some(jail.clone()));
        self.send(Entry::new(Severity::Info, "begins"));
    }

    /// The command has done with the jail, after this time.
    pub fn end<D>(&self, outcome: &Outcome<D>, took: Duration) {
        let (result, severity) = match outcome.outcome {
            Ended::Done if outcome.warns => ("done", Severity::Warning),
            Ended::Done => ("done", Severity::Notice),
            Ended::Skipped if outcome.warns => ("skipped", Severity::Warning),
            Ended::Skipped => ("skipped", Severity::Info),
            Ended::Failed => ("failed", Severity::Error),
            // Nothing happened to the jail.
            Ended::Would => ("would", Severity::Debug),
        };
        let (seconds, message) = (took.as_secs_f64(), &outcome.message);
        let text = format_args!("{result} after {seconds:.2} s: {message}");
        let entry = Entry::new(severity, text).with("BKCTLD_RESULT", result);
        self.send(entry.with("BKCTLD_DURATION_MS", took.as_millis()));
        JAIL.set(None);
    }

    fn send(&self, entry: Entry) -> bool {
        JAIL.with_borrow(|jail| {
            self.system.send(&entry.by(self.command).about(jail.as_ref()), || Zoned::now().datetime())
        })
    }
}
