//! `check-canary`: checks that each client has pushed today.

use bkctld_core::check;
use clap::Args;

use super::checks::Output;
use crate::completers;
use crate::context::{Context, Target};
use crate::exit::{Exit, Failure};

/// Check that each client has pushed its canary today
#[derive(Args)]
pub struct Arguments {
    /// The jail; by default all of them
    #[arg(value_name = "JAIL|all", add = completers::jail_name_or_all())]
    target: Option<Target>,
    #[command(flatten)]
    output: Output,
}

pub fn run(context: &Context, arguments: Arguments) -> Result<Exit, Failure> {
    let report = match arguments.target {
        Some(Target::One(name)) => {
            let names = context.names(&Target::One(name))?;
            check::canaries(&context.settings, &names, &context.now)
        }
        _ => {
            check::of_all(&context.settings, |names| check::canaries(&context.settings, names, &context.now))
        }
    };
    Ok(arguments.output.answer(context, &report))
}
