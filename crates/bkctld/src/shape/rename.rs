//! The answer of `rename`.

use bkctld_core::JailName;
use bkctld_core::lifecycle::rename::Step;
use schemars::JsonSchema;
use serde::Serialize;

/// What `rename` adds to the outcome of a jail.
#[derive(Serialize, JsonSchema)]
pub struct Renamed {
    pub to: JailName,
    pub sessions_ended: usize,
    pub steps: Vec<Step>,
}
