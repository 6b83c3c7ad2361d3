//! The answer of `the checks`.

use std::io;

use bkctld_core::check::{Counts, Finding, Report, Severity};
use schemars::JsonSchema;
use serde::Serialize;

use super::{Answer, Page};

/// The result of a check for monitoring: first the status line, then a line for each finding.
#[derive(Serialize, JsonSchema)]
pub struct Findings<'a> {
    severity: Severity,
    counts: Counts,
    findings: &'a [Finding],
    #[serde(skip)]
    status_line: String,
}

impl Findings<'_> {
    /// Of this report. With `perfdata` the status line bears numbers for graphs behind a `|`: only when asked
    /// for, because scripts compare that line.
    pub fn new(report: &Report, perfdata: bool) -> Findings<'_> {
        let mut status_line = report.header();
        if perfdata {
            status_line.push_str(&format!(" | {}", report.performance_data()));
        }
        let (severity, counts) = (report.severity(), report.counts());
        Findings { severity, counts, findings: report.findings(), status_line }
    }
}

impl Answer for Findings<'_> {
    fn write(&self, page: &mut Page<'_>) -> io::Result<()> {
        page.line(format_args!("{}\n", self.status_line))?;
        self.findings.iter().try_for_each(|finding| page.line(finding))
    }
}
