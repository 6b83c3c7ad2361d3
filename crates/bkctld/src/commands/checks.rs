//! The common part of the checks.

use bkctld_core::check::Report;
use clap::Args;

use crate::context::Context;
use crate::exit::Exit;
use crate::shape::check::Findings;

// No doc comment, because it would replace the help of each check.
#[derive(Args)]
pub struct Output {
    /// Add performance data for graphs to the first line
    #[arg(long)]
    perfdata: bool,
}

impl Output {
    /// Answers with the report; the exit code is that of a Nagios plugin.
    pub fn answer(&self, context: &Context, report: &Report) -> Exit {
        for problem in report.findings().iter().flat_map(|finding| &finding.problems) {
            context.ui.warning(problem);
        }
        context.answer(&Findings::new(report, self.perfdata));
        Exit::Checked(report.severity())
    }
}
