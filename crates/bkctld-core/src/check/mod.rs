//! The checks for monitoring: findings about the jails and the server, each with a severity, in the format of
//! Nagios plugins.

pub(crate) mod canary;
mod incs;
mod jails;
pub(crate) mod policy;
mod report;
mod setup;

use crate::config::Settings;
use crate::jail::{self, JailName};

pub use canary::canaries;
pub use incs::{Expected, incs};
pub use jails::jails;
pub use policy::{CheckPolicy, ExpectedState, Thresholds};
pub use report::{Canary, Counts, Details, Finding, Measure, Report, Severity};
pub use setup::setup;

/// The report of a check of every jail. If the jails cannot be listed, the report says why, because a plugin
/// that prints nothing looks like one that is not installed.
pub fn of_all(settings: &Settings, check: impl FnOnce(&[JailName]) -> Report) -> Report {
    match jail::list_strictly(settings) {
        Ok(names) => check(&names),
        Err(error) => Report::new(vec![Finding::new(Severity::Unknown, error)]),
    }
}
