//! `check-jails`: checks how long ago each jail's client logged in.

use bkctld_core::check;
use clap::Args;

use super::checks::Output;
use crate::context::Context;
use crate::exit::{Exit, Failure};

/// Check how long each jail's client has been silent (also: check)
#[derive(Args)]
#[command(alias = "check")]
pub struct Arguments {
    #[command(flatten)]
    output: Output,
}

pub fn run(context: &Context, arguments: Arguments) -> Result<Exit, Failure> {
    let report =
        check::of_all(&context.settings, |names| check::jails(&context.settings, names, &context.now));
    Ok(arguments.output.answer(context, &report))
}
