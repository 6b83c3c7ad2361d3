//! `check-jails`: how long each jail's client has been silent.

use bkctld_core::check;
use clap::Args;

use super::Perfdata;
use crate::context::Context;
use crate::exit::{Exit, Failure};
use crate::ui::report;

#[derive(Args)]
pub struct Arguments {
    #[command(flatten)]
    output: Perfdata,
}

pub fn run(context: &Context, arguments: Arguments) -> Result<Exit, Failure> {
    let report =
        check::of_all(&context.settings, |names| check::jails(&context.settings, names, &context.now));
    Ok(report::print(&context.ui, "check-jails", &report, arguments.output.perfdata))
}
