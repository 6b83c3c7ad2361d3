//! The answer of `init`.

use bkctld_core::Port;
use schemars::JsonSchema;
use serde::Serialize;

/// What `init` adds to the outcome of a jail.
#[derive(Serialize, JsonSchema)]
pub struct NewJail {
    pub port: Port,
}
