//! What monitoring asks: findings about the jails and the server, each with how bad it is, in the form
//! that Nagios and its kin read.

mod jails;
mod policy;
mod report;

pub use jails::jails;
pub use policy::{CheckPolicy, ExpectedState, Thresholds};
pub use report::{Counts, Finding, Measure, Report, Severity};

/// The report of a check that cannot look at anything, and why.
pub fn unable(why: impl std::fmt::Display) -> Report {
    Report::new(vec![Finding::new(Severity::Unknown, why)])
}
