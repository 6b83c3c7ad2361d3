//! `remove`: deletes a jail with everything that belongs to it.

use bkctld_core::lifecycle::remove;
use bkctld_core::{Jail, JailName, inc, text};
use clap::Args;

use crate::completers;
use crate::context::{Context, Ended, Outcome, Question, Target};
use crate::exit::{Exit, Failure};

/// Delete a jail, its incs and its configuration
#[derive(Args)]
pub struct Arguments {
    /// The jail, or 'all'
    #[arg(value_name = "JAIL|all", add = completers::jail_name_or_all())]
    target: Target,
}

const EXPLANATION: &str = "Y deletes the jail, its incs, its configuration and its records; n does nothing";

pub fn run(context: &Context, arguments: Arguments) -> Result<Exit, Failure> {
    if let Target::One(name) = &arguments.target
        && context.options.force
        && !Jail::new(&context.settings, name.clone()).exists()
    {
        context.ui.warning(format_args!("no jail named '{name}': nothing to remove"));
        return clear_leftovers(context).map(|()| Exit::Done);
    }
    let names = match context.names(&arguments.target) {
        // A removal may have been killed while it was deleting; this finishes it.
        Err(unknown) => {
            if let Err(failure) = clear_leftovers(context) {
                context.ui.warning(format_args!("{failure}"));
            }
            return Err(unknown);
        }
        names => names?,
    };
    let with = |name: &JailName| incs(context, name).map_or(String::new(), |incs| format!(" and its {incs}"));
    let question = Question { verb: "delete", with: &with, explanation: EXPLANATION };
    let exit = context.for_each_agreed(&names, &question, |name| remove(context, name));
    clear_leftovers(context)?;
    Ok(exit)
}

/// An unfinished removal has left a hidden directory of a jail that is no longer listed.
fn clear_leftovers(context: &Context) -> Result<(), Failure> {
    if context.options.dry_run { Ok(()) } else { Ok(remove::clear_leftovers(&context.settings)?) }
}

/// The number of the jail's incs and their first and last date; none if there are no incs.
fn incs(context: &Context, name: &JailName) -> Option<String> {
    match inc::list(&Jail::new(&context.settings, name.clone())).as_deref() {
        Ok([]) => None,
        Ok([one]) => Some(format!("inc {one}")),
        Ok(incs @ [oldest, .., newest]) => {
            Some(format!("{}, from {oldest} to {newest}", text::count(incs.len(), "inc")))
        }
        Err(error) => Some(format!("incs ({error})")),
    }
}

fn remove(context: &Context, name: &JailName) -> Result<Outcome, Failure> {
    if context.options.dry_run {
        Jail::open(&context.settings, name.clone())?;
        let incs = incs(context, name).map_or(String::new(), |incs| format!(", its {incs},"));
        let message = format_args!("would delete jail '{name}'{incs} and its configuration");
        return Ok(Outcome::new(Ended::Would, message));
    }
    remove::run(&context.settings, name, &context.turns, context)?;
    Ok(Outcome::new(Ended::Done, format_args!("jail '{name}' deleted")))
}
