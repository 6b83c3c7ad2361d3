//! The answer of `convert-v2`.

use schemars::JsonSchema;
use serde::Serialize;

/// What a rehearsal of `convert-v2` adds to the outcome of a jail.
#[derive(Serialize, JsonSchema)]
pub struct Steps {
    pub steps: Vec<String>,
}
