//! `check-setup`: whether the server is set up as backups need it.

use bkctld_core::check;
use bkctld_sandbox::ListenerState;
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
    let report = check::setup(&context.settings, &context.now, &|jail| {
        Ok(ListenerState::read(jail)?.and_then(|state| state.error))
    });
    Ok(report::print(&context.ui, "check-setup", &report, arguments.output.perfdata))
}
