//! The answer of `firewall`.

use bkctld_core::firewall::Plan;
use schemars::JsonSchema;
use serde::Serialize;

/// What the back end is told for all jails at once.
#[derive(Serialize, JsonSchema)]
pub struct Rules<'a> {
    pub firewall: &'a Plan,
}
