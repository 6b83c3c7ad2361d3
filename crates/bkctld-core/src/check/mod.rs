//! What monitoring asks: findings about the jails and the server, each with how bad it is, in the form
//! that Nagios and its kin read.

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
pub use report::{Counts, Finding, Measure, Report, Severity};
pub use setup::setup;

/// The report of a check over every jail; where they cannot be listed, it tells why, because a plugin
/// that prints nothing looks like one that is not there.
pub fn of_all(settings: &Settings, check: impl FnOnce(&[JailName]) -> Report) -> Report {
    match jail::list_strictly(settings) {
        Ok(names) => check(&names),
        Err(error) => Report::new(vec![Finding::new(Severity::Unknown, error)]),
    }
}
