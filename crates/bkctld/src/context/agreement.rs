//! Questions before irreversible actions.

use bkctld_core::JailName;
use serde::Serialize;

use super::{Context, Outcome};
use crate::exit::{Exit, Failure};
use crate::limits;
use crate::ui::question::Answer;

/// Questions before irreversible actions.
pub struct Question<'a> {
    /// The verb of the action; its past form has an additional `d`.
    pub verb: &'a str,
    /// The text after the jail's name: the things that are deleted with it.
    pub with: &'a dyn Fn(&JailName) -> String,
    /// The explanation that a question mark prints.
    pub explanation: &'a str,
}

impl Context {
    /// Like [`Context::for_each`], for irreversible actions: asks for each jail first, unless forced. If the
    /// answer is no, that jail is skipped; without an answer, all further jails are skipped.
    pub fn for_each_agreed<D: Serialize + Send>(
        &self,
        names: &[JailName],
        question: &Question<'_>,
        act: impl Fn(&JailName) -> Result<Outcome<D>, Failure> + Sync,
    ) -> Exit {
        let agreed = if self.options.force || self.options.dry_run {
            names.to_vec()
        } else {
            self.agreed(names, question)
        };
        if agreed.is_empty() && !names.is_empty() {
            return Exit::AnsweredNo;
        }
        match self.for_each_at_once(&agreed, limits::room_for_trees(), act) {
            Exit::Done if agreed.len() < names.len() => Exit::AnsweredNo,
            exit => exit,
        }
    }

    /// The jails for which the answer is yes.
    fn agreed(&self, names: &[JailName], question: &Question<'_>) -> Vec<JailName> {
        let mut agreed = Vec::new();
        for (at, name) in names.iter().enumerate() {
            let with = (question.with)(name);
            let asked = format!("Are you sure you want to {} jail '{name}'{with}?", question.verb);
            match self.ui.ask(&asked, question.explanation) {
                Answer::Yes => agreed.push(name.clone()),
                Answer::No => {}
                Answer::Missing => {
                    let stay = match names.len() - at {
                        1 => format!("jail '{name}' is"),
                        many => format!("{many} jails are"),
                    };
                    self.ui.error(format_args!(
                        "{stay} not {}d: no answer on standard input (--force skips the question)",
                        question.verb
                    ));
                    break;
                }
            }
        }
        agreed
    }
}
