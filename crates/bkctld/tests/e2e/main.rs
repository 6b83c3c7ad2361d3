//! The whole program, end to end: real file systems, real sshd, real clients.
//!
//! Run by `./test.sh`, which gives these tests a mount and a pid namespace of their own, so that
//! nothing they mount or start can outlive them.
#![forbid(unsafe_code)]
// A test that cannot go on panics; its helpers are not marked as tests, so the lints see no test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, clippy::print_stdout)]
#![allow(missing_docs)]

mod support;

mod archive;
mod attacks_by_other_users;
mod attacks_from_inside;
mod attacks_on_history;
mod bad_input;
mod check_canary;
mod check_incs;
mod check_jails;
mod check_setup;
mod client_command;
mod client_script;
mod closed_to_other_users;
mod command_line;
mod completion;
mod concurrency_and_limits;
mod config;
mod crashes;
mod docs;
mod entry_points;
mod firewall;
mod hostile;
mod inc_protection;
mod incs;
mod init;
mod json;
mod keys_ports_addresses;
mod lifecycle;
mod locks;
mod logging;
mod manual;
mod metrics;
mod package;
mod partition_gone;
mod remove;
mod rename;
mod report;
mod retention;
mod sessions;
mod stats;
mod sync;
mod takeover;
mod terminal;
mod transfer;
mod upgrade;
