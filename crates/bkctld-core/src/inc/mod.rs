//! Dated copies of a jail: making, listing and deleting them.

mod name;

pub use name::IncName;
