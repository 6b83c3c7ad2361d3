//! `check-setup`: whether the server is set up as backups need it.

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
    let report = check::setup(&context.settings, &context.now);
    Ok(report::print(&context.ui, "check-setup", &report, arguments.output.perfdata))
}
