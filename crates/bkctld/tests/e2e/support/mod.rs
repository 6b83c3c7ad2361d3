//! A real server for each test: a loop-mounted volume, its own network, stock clients.

pub mod cases;
pub mod client;
pub mod commands;
pub mod digest;
pub mod machine;
pub mod nagios;
pub mod network;
pub mod original;
pub mod processes;
pub mod run;
pub mod schema;
pub mod server;
pub mod strace;
pub mod terminal;
pub mod tree;
pub mod volume;

pub(crate) use cases::{as_root, on_each_fs};
pub use client::Client;
pub use digest::Digest;
pub use machine::Machine;
/// Gives a test function to one of the macros of [`cases`].
pub use macro_rules_attribute::apply;
pub use run::{Ran, run, sh, wait_for};
pub use server::{Server, write, write_program};
pub use volume::FsKind;
