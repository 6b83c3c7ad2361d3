//! `check-setup`: whether the server is set up as backups need it.

use bkctld_core::{Jail, check};
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
    let report = check::setup(&context.settings, &context.now, &reload_error);
    Ok(report::print(&context.ui, "check-setup", &report, arguments.output.perfdata))
}

/// Why the jail's listener could not pick up its configuration.
pub(super) fn reload_error(jail: &Jail) -> bkctld_core::Result<Option<String>> {
    Ok(ListenerState::read(jail)?.and_then(|state| state.error))
}
