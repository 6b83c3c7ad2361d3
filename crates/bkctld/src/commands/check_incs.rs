//! `check-incs`: lists missing incs.

use bkctld_core::check::{self, Expected, Severity};
use clap::{Args, ValueEnum};

use super::checks::Output;
use crate::context::Context;
use crate::exit::{Exit, Failure};

/// Check that no inc required by a policy is missing
#[derive(Args)]
pub struct Arguments {
    /// 'all' (the default): check for an inc of each rule; 'last': check for an inc of today
    #[arg(value_name = "all|last", hide_possible_values = true)]
    scope: Option<Scope>,
    #[command(flatten)]
    output: Output,
}

#[derive(Clone, Copy, ValueEnum)]
enum Scope {
    All,
    Last,
}

pub fn run(context: &Context, arguments: Arguments) -> Result<Exit, Failure> {
    let expected = match arguments.scope {
        None | Some(Scope::All) => Expected::ByEachRule,
        Some(Scope::Last) => Expected::OfToday,
    };
    let report = check::of_all(&context.settings, |names| {
        check::incs(&context.settings, names, &context.now, expected)
    });
    // The lines that cron mails if a job discards standard output.
    for finding in report.findings().iter().filter(|finding| finding.severity != Severity::Ok) {
        match &finding.jail {
            Some(jail) => context.ui.error_line(format_args!("ERROR: {jail} : {}", finding.text())),
            None => context.ui.error_line(format_args!("ERROR: {}", finding.text())),
        }
    }
    Ok(arguments.output.answer(context, &report))
}
