//! Decides which incs to keep: the text of a policy becomes rules; rules and a date become a plan.
//!
//! The language and its arithmetic are those of the original, which handed each rule to GNU date:
//! the same policy must keep the same incs as before.

mod date;
mod expire;
mod plan;
pub(crate) mod policy;

pub use date::{Distance, Unit};
pub use expire::Expiry;
pub use plan::{Decision, Plan, Reason};
pub use policy::{Policy, PolicyFile, Retention, Rule};
