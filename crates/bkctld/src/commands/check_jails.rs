//! `check-jails`: how long each jail's client has been silent.

use bkctld_core::check;
use clap::Args;

use super::Perfdata;
use crate::context::{Context, Target};
use crate::exit::{Exit, Failure};
use crate::ui::report;

#[derive(Args)]
pub struct Arguments {
    #[command(flatten)]
    output: Perfdata,
}

pub fn run(context: &Context, arguments: Arguments) -> Result<Exit, Failure> {
    let report = match context.names(&Target::All) {
        Ok(names) => check::jails(&context.settings, &names, &context.now),
        Err(failure) => check::unable(failure),
    };
    Ok(report::print(&context.ui, "check-jails", &report, arguments.output.perfdata))
}
