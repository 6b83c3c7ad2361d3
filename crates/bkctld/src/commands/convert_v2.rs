//! `convert-v2`: converts a jail of the first format to the second, in place.

use bkctld_core::lifecycle::convert::{self, ConversionPlan};
use bkctld_core::{Jail, JailName};
use clap::Args;

use crate::completers;
use crate::context::{Context, Ended, Outcome};
use crate::exit::{Exit, Failure};
use crate::shape::convert_v2::Steps;

/// Convert a jail of version 1 in place
#[derive(Args)]
pub struct Arguments {
    /// The jail
    #[arg(value_name = "JAIL", add = completers::jail_name())]
    jail: JailName,
}

pub fn run(context: &Context, arguments: Arguments) -> Result<Exit, Failure> {
    Ok(context.for_each(&[arguments.jail], |name| {
        if context.options.dry_run {
            return would(&Jail::open(&context.settings, name.clone())?);
        }
        let is_on = convert::run(&context.settings, name, context)?;
        let again = if is_on { ", and is on again" } else { "" };
        Ok(Outcome::new(Ended::Done, format_args!("jail '{name}' has version 2 now{again}")))
    }))
}

fn would(jail: &Jail) -> Result<Outcome<Steps>, Failure> {
    let name = jail.name();
    let (steps, is_on) = match convert::plan(jail)? {
        ConversionPlan::Start => {
            let message = format_args!("would start jail '{name}', which was on before its conversion");
            return Ok(Outcome::new(Ended::Would, message));
        }
        ConversionPlan::Convert { steps, is_on } => (steps, is_on),
    };
    let steps: Vec<String> = steps.iter().map(ToString::to_string).collect();
    let ends = if is_on { ", end its sessions and start it again" } else { "" };
    let message = format!("would convert jail '{name}' to version 2{ends}: {}", steps.join("; "));
    Ok(Outcome::new(Ended::Would, message).with(Steps { steps }))
}
