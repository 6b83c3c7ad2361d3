//! `check-setup`: whether the server is set up as backups need it.

use bkctld_core::check::ListenerNotes;
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
    let report = check::setup(&context.settings, &context.now, &notes);
    Ok(report::print(&context.ui, "check-setup", &report, arguments.output.perfdata))
}

/// What the jail's listener says of itself.
pub(super) fn notes(jail: &Jail) -> bkctld_core::Result<ListenerNotes> {
    let notes =
        |state: ListenerState| ListenerNotes { reload_error: state.error, unbounded: state.unbounded };
    Ok(ListenerState::read(jail)?.map(notes).unwrap_or_default())
}
