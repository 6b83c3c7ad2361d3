//! One connection, from its sandbox to its record: the work of the monitor, a separate process.

pub(crate) mod kind;
mod lastlog;
pub(crate) mod monitor;
