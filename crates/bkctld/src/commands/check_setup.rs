//! `check-setup`: checks whether the server is ready for backups.

use bkctld_core::check;
use clap::Args;

use super::checks::Output;
use crate::context::Context;
use crate::exit::{Exit, Failure};

/// Check the disk, the firewall, the services, the runs of inc and rm
#[derive(Args)]
pub struct Arguments {
    #[command(flatten)]
    output: Output,
}

pub fn run(context: &Context, arguments: Arguments) -> Result<Exit, Failure> {
    let report = check::setup(&context.settings, &context.now);
    Ok(arguments.output.answer(context, &report))
}
