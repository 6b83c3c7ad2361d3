//! Runs a command on each of its jails, continues after a failure, and answers with the result for each.

use std::time::Instant;

use bkctld_core::JailName;
use serde::Serialize;

use super::{Context, Ended, Outcome};
use crate::exit::{Exit, Failure};
use crate::parallel;
use crate::shape::Document;
use crate::shape::outcome::{JailResult, Nothing, Results};

impl Context {
    /// Acts on each jail, several at once, reports the result for each, and continues after a failure. The
    /// exit code is that of the jail if there is only one, otherwise an error if any failed.
    pub fn for_each<D: Serialize + Send>(
        &self,
        names: &[JailName],
        act: impl Fn(&JailName) -> Result<Outcome<D>, Failure> + Sync,
    ) -> Exit {
        // More than the number of processors: most of the time is spent waiting for disks and programs.
        let at_once = std::thread::available_parallelism().map_or(4, |cores| cores.get() * 4);
        self.for_each_at_once(names, at_once, act)
    }

    /// The same, so many at once.
    pub fn for_each_at_once<D: Serialize + Send>(
        &self,
        names: &[JailName],
        at_once: usize,
        act: impl Fn(&JailName) -> Result<Outcome<D>, Failure> + Sync,
    ) -> Exit {
        self.act_on_each(names, at_once, Nothing {}, act)
    }

    /// The same one jail after the other, with something beside the results in the document: for what
    /// is done for all jails at once.
    pub fn for_each_beside<D: Serialize + Send>(
        &self,
        names: &[JailName],
        beside: impl Serialize,
        act: impl Fn(&JailName) -> Result<Outcome<D>, Failure> + Sync,
    ) -> Exit {
        self.act_on_each(names, 1, beside, act)
    }

    fn act_on_each<D: Serialize + Send>(
        &self,
        names: &[JailName],
        at_once: usize,
        beside: impl Serialize,
        act: impl Fn(&JailName) -> Result<Outcome<D>, Failure> + Sync,
    ) -> Exit {
        let outcomes = parallel::for_each_name(names, at_once, |name| self.act_logged(name, || act(name)));
        let exit = match outcomes.as_slice() {
            [(_, exit)] => *exit,
            all if all.iter().any(|(_, exit)| *exit != Exit::Done) => Exit::Error,
            _ => Exit::Done,
        };
        if self.options.json {
            let results = names.iter().cloned().zip(outcomes);
            let results = results.map(|(jail, (outcome, _))| JailResult { jail, outcome }).collect();
            self.ui.document(&Document::new(self.command, Results { results, beside }));
        }
        exit
    }

    /// Acts, reports the result, and logs the beginning and the end.
    fn act_logged<D>(
        &self,
        name: &JailName,
        act: impl FnOnce() -> Result<Outcome<D>, Failure>,
    ) -> (Outcome<D>, Exit) {
        let Some(log) = self.ui.log() else { return self.show(act()) };
        log.begin(name);
        let began = Instant::now();
        let (outcome, exit) = self.show(act());
        log.end(&outcome, began.elapsed());
        (outcome, exit)
    }

    /// Reports the result for a jail on the terminal only: the log has it with its duration.
    fn show<D>(&self, result: Result<Outcome<D>, Failure>) -> (Outcome<D>, Exit) {
        match result {
            Ok(outcome) => {
                if outcome.warns {
                    self.ui.show_warning(&outcome.message);
                } else if outcome.outcome == Ended::Would && !self.options.json {
                    self.ui.line(&outcome.message);
                } else {
                    self.ui.show_notice(&outcome.message);
                }
                (outcome, Exit::Done)
            }
            Err(failure) => {
                self.ui.show_error(&failure);
                (Outcome::failed(&failure), failure.exit())
            }
        }
    }
}
