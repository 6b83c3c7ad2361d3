//! The answer of `inc`.

use bkctld_core::IncName;
use bkctld_core::inc::Record;
use schemars::JsonSchema;
use serde::Serialize;

/// What `inc` adds to the outcome of a jail of which it made one.
#[derive(Serialize, JsonSchema)]
pub struct NewInc {
    pub inc: IncName,
    pub record: Record,
}
