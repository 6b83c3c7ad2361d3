//! The answer of `archive`.

use bkctld_core::lifecycle::archive::Way;
use schemars::JsonSchema;
use serde::Serialize;

/// What `archive` adds to the outcome of a jail.
#[derive(Serialize, JsonSchema)]
pub struct Archived {
    /// Its place in the archive.
    pub archive: String,
    pub way: Way,
    /// Not known in a rehearsal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sessions_ended: Option<usize>,
}
