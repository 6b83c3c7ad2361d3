//! What a check found, as monitoring reads it: the status line first, then a line for each finding.

use bkctld_core::check::{Counts, Finding, Report, Severity};
use serde::Serialize;

use super::Ui;
use crate::exit::Exit;

/// Prints the report; the exit code is that of a Nagios plugin. With `perfdata` the status line
/// bears numbers for graphs behind a `|`: only when asked for, because scripts compare that line.
pub fn print(ui: &Ui, command: &str, report: &Report, perfdata: bool) -> Exit {
    for problem in report.findings().iter().flat_map(|finding| &finding.problems) {
        ui.warning(problem);
    }
    if ui.json() {
        #[derive(Serialize)]
        struct Document<'a> {
            severity: Severity,
            counts: Counts,
            findings: &'a [Finding],
        }
        let content =
            Document { severity: report.severity(), counts: report.counts(), findings: report.findings() };
        ui.document(command, content);
    } else {
        let mut text = report.header();
        if perfdata {
            text.push_str(&format!(" | {}", report.performance_data()));
        }
        text.push_str("\n\n");
        for finding in report.findings() {
            text.push_str(&format!("{finding}\n"));
        }
        ui.text(text);
    }
    Exit::Checked(report.severity())
}
