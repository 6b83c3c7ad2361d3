//! The answer of `upgrade-config`.

use schemars::JsonSchema;
use serde::Serialize;

/// The additional fields of `upgrade-config` in the outcome of a jail.
#[derive(Serialize, JsonSchema)]
pub struct Changes {
    /// A sentence for each file that changed.
    pub changes: Vec<String>,
}
