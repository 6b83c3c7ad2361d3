//! The context of every command: the settings, the options, the terminal and the time; and the ways in which
//! a command acts on one jail or on all of them.

mod agreement;
mod each;
mod target;

use bkctld_core::watch::Watch;
use bkctld_core::{Jail, JailName, Settings, Turns};
use jiff::Zoned;

use crate::exit::Failure;
use crate::options::RunOptions;
use crate::shape::{Answer, Document, Page};
use crate::ui::{Ui, Verbosity};

pub use crate::shape::outcome::{Ended, Outcome};
pub use agreement::Question;
pub use target::Target;

/// One run of the program.
pub struct Context {
    /// The command's name.
    pub command: &'static str,
    /// The settings of this server.
    pub settings: Settings,
    /// The options of this run.
    pub options: RunOptions,
    /// The terminal.
    pub ui: Ui,
    /// The time, read once: a run over midnight has one "today".
    pub now: Zoned,
    /// Of the trees that are walked at once, so that none holds up another.
    pub turns: Turns,
}

impl Context {
    /// Answers the command: as text, or with `--json` as the document.
    pub fn answer(&self, answer: &impl Answer) {
        if self.options.json {
            return self.ui.document(&Document::new(self.command, answer));
        }
        let (header, verbose) = (self.options.header, self.options.verbosity == Verbosity::Verbose);
        self.ui.write(|out| answer.write(&mut Page { out, header, verbose, now: &self.now }));
    }

    /// The jail of this name, of the format that this program acts on.
    pub fn jail(&self, name: &JailName) -> Result<Jail, Failure> {
        Ok(Jail::open_current(&self.settings, name)?)
    }
}

impl Watch for Context {
    fn waiting_for(&self, jail: &JailName) {
        self.ui.notice(format_args!("waiting for another command on jail '{jail}' to finish"));
    }
}
