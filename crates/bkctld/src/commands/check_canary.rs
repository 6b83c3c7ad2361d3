//! `check-canary`: whether the last push of each client is of today.

use bkctld_core::check;
use clap::Args;

use super::Perfdata;
use crate::completion;
use crate::context::{Context, Target};
use crate::exit::{Exit, Failure};
use crate::ui::report;

#[derive(Args)]
pub struct Arguments {
    /// The jail; all of them when none is named
    #[arg(value_name = "JAIL|all", add = completion::jail_name_or_all())]
    target: Option<Target>,
    #[command(flatten)]
    output: Perfdata,
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
    Ok(report::print(&context.ui, "check-canary", &report, arguments.output.perfdata))
}
