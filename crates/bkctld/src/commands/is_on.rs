//! `is-on`: tells scripts by its exit code whether a jail is on.

use bkctld_core::{Jail, JailName, service};
use clap::Args;

use crate::completers;
use crate::context::Context;
use crate::exit::{Exit, Failure};
use crate::shape::is_on::State;

/// Exit 0 if the jail is on, 100 if it is off
#[derive(Args)]
pub struct Arguments {
    /// The jail
    #[arg(value_name = "JAIL", add = completers::jail_name())]
    jail: JailName,
}

pub fn run(context: &Context, arguments: Arguments) -> Result<Exit, Failure> {
    let jail = match Jail::open(&context.settings, arguments.jail.clone()) {
        Err(_) if context.runs(&arguments.jail) => {
            context.ui.warning(context.on_without_data(&arguments.jail));
            Jail::new(&context.settings, arguments.jail)
        }
        jail => jail?,
    };
    let on = service::is_on(&jail)?;
    context.answer(&State { jail: jail.name().clone(), on });
    Ok(if on { Exit::Done } else { Exit::Off })
}
