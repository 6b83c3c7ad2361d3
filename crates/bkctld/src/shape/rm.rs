//! The answer of `rm`.

use bkctld_core::IncName;
use bkctld_core::retention::Plan;
use schemars::JsonSchema;
use serde::Serialize;

/// What `rm` adds to the outcome of a jail: every inc, what becomes of it, and why.
#[derive(Serialize, JsonSchema)]
pub struct Decisions {
    pub incs: Vec<Decision>,
}

/// One inc.
#[derive(Serialize, JsonSchema)]
pub struct Decision {
    pub inc: IncName,
    pub keep: bool,
    pub reason: String,
}

impl From<&Plan> for Decisions {
    fn from(plan: &Plan) -> Decisions {
        let incs = plan.decisions.iter().map(|decision| Decision {
            inc: decision.inc,
            keep: decision.keeps(),
            reason: decision.reason.to_string(),
        });
        Decisions { incs: incs.collect() }
    }
}
