//! One connection, from its sandbox to its record: what the monitor, a process of its own, does.

pub(crate) mod kind;
mod lastlog;
pub(crate) mod monitor;
