//! `bkctld`: arguments in, tables, JSON and progress out, exit codes.
#![forbid(unsafe_code)]

mod cli;
mod commands;
mod context;
mod exit;
mod ui;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::run(std::env::args_os())
}
