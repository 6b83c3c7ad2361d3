//! The answer of `firewall`.

use bkctld_core::Port;
use bkctld_core::firewall::Plan;
use schemars::JsonSchema;
use serde::Serialize;

/// What `firewall` adds to the outcome of a jail.
#[derive(Serialize, JsonSchema)]
pub struct Admitted {
    pub port: Port,
    pub addresses: Vec<String>,
}

/// What the back end is told for all jails at once.
#[derive(Serialize, JsonSchema)]
pub struct Rules<'a> {
    pub firewall: &'a Plan,
}
