//! Everything that the program prints goes through here: results to standard output, messages to standard
//! error, both without panicking when the reader has gone. Messages also go to the server's log, regardless
//! of the verbosity of the terminal.

pub mod progress;
pub mod question;

use std::fmt::Display;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::sync::Arc;

use bkctld_core::syslog::{Severity, SystemLog};
use serde::Serialize;

use crate::log::Log;
use progress::Drawn;

/// The verbosity of messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verbosity {
    /// Only errors.
    Quiet,
    /// Errors, warnings and, on a terminal, notices.
    Normal,
    /// Everything.
    Verbose,
}

/// The terminal of a command.
#[derive(Debug)]
pub struct Ui {
    verbosity: Verbosity,
    json: bool,
    terminal: bool,
    /// The line that moves at the bottom of the terminal, while there is one.
    drawn: Arc<Drawn>,
    log: Option<Log>,
    /// Standard error is the journal, which gets each message through the log already.
    mute: bool,
}

impl Ui {
    /// A terminal where this much is said, beside an answer that is JSON or is not.
    pub fn new(verbosity: Verbosity, json: bool) -> Ui {
        let terminal = io::stderr().is_terminal();
        Ui { verbosity, json, terminal, drawn: Arc::default(), log: None, mute: false }
    }

    /// The same, whose messages also go to this log.
    pub fn logging(self, log: Log) -> Ui {
        Ui { log: Some(log), mute: stderr_is_journal(), ..self }
    }

    /// The server's log, where messages go there.
    pub fn log(&self) -> Option<&Log> {
        self.log.as_ref()
    }

    /// Whether something that moves may be drawn: on a terminal, unless told to be quiet.
    pub fn draws_progress(&self) -> bool {
        self.terminal && self.verbosity > Verbosity::Quiet
    }

    /// Whether a person reads the result, rather than a program.
    pub fn read_by_a_person(&self) -> bool {
        io::stdout().is_terminal() && !self.json
    }

    /// Whether it is said what comes next: to a person, unless told to be quiet.
    pub fn guides(&self) -> bool {
        self.terminal && self.read_by_a_person() && self.verbosity > Verbosity::Quiet
    }

    /// Prints a line of the result.
    pub fn line(&self, text: impl Display) {
        self.text(format_args!("{text}\n"));
    }

    /// Prints a part of the result verbatim.
    pub fn text(&self, text: impl Display) {
        // A closed pipe is not an error: the reader has read enough.
        self.drawn.beside(|| {
            let _ = write!(io::stdout(), "{text}");
        });
    }

    /// The result as this writes it. Nobody is told where it cannot be written: see [`Ui::text`].
    pub fn write(&self, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) {
        self.drawn.beside(|| {
            let mut out = BufWriter::new(io::stdout().lock());
            let _ = write(&mut out).and_then(|()| out.flush());
        });
    }

    /// Prints the result as one JSON document.
    pub fn document(&self, document: &impl Serialize) {
        match serde_json::to_string(document) {
            Ok(text) => self.line(text),
            Err(error) => self.error(format_args!("cannot write the result as JSON: {error}")),
        }
    }

    /// Reports an error.
    pub fn error(&self, text: impl Display) {
        self.to_log(Severity::Error, &text);
        self.show_error(text);
    }

    /// Prints a line of standard error in a form that scripts know.
    pub fn error_line(&self, text: impl Display) {
        self.drawn.beside(|| say(text));
    }

    /// Reports a warning.
    pub fn warning(&self, text: impl Display) {
        self.to_log(Severity::Warning, &text);
        self.show_warning(text);
    }

    /// Reports a change, or that nothing was changed.
    pub fn notice(&self, text: impl Display) {
        self.to_log(Severity::Info, &text);
        self.show_notice(text);
    }

    fn to_log(&self, severity: Severity, text: impl Display) {
        if let Some(log) = &self.log {
            log.say(severity, text);
        }
    }

    /// Reports an error on the terminal only.
    pub fn show_error(&self, text: impl Display) {
        self.say(format_args!("bkctld: {text}"));
    }

    /// Reports a warning on the terminal only.
    pub fn show_warning(&self, text: impl Display) {
        if self.verbosity >= Verbosity::Normal {
            self.say(format_args!("bkctld: warning: {text}"));
        }
    }

    /// Prints the next steps, if [`Ui::guides`].
    pub fn guide(&self, text: impl Display) {
        self.say(text);
    }

    /// Reports a notice on the terminal only, and not to cron, which would mail it.
    pub fn show_notice(&self, text: impl Display) {
        if self.verbosity == Verbosity::Verbose || (self.terminal && self.verbosity == Verbosity::Normal) {
            self.say(format_args!("bkctld: {text}"));
        }
    }

    fn say(&self, text: impl Display) {
        if !self.mute {
            self.drawn.beside(|| say(text));
        }
    }
}

fn say(text: impl Display) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// Whether journald reads standard error, as in a service of systemd, and takes messages of the log, too:
/// systemd.exec(5) on `JOURNAL_STREAM`.
fn stderr_is_journal() -> bool {
    let Ok(stderr) = rustix::fs::fstat(io::stderr()) else { return false };
    let stream = format!("{}:{}", stderr.st_dev, stderr.st_ino);
    std::env::var_os("JOURNAL_STREAM").is_some_and(|named| named == *stream) && SystemLog::has_journal()
}
