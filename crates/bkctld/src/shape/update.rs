//! The answer of `update`.

use schemars::JsonSchema;
use serde::Serialize;

/// What `update` adds to the outcome of a jail.
#[derive(Serialize, JsonSchema)]
pub struct Updated {
    /// Whether the shared programs are others than before; not known in a rehearsal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub changed: Option<bool>,
    /// What the original had left outside of the jail, and is gone.
    pub cleared: Vec<String>,
}
