//! `bkctld`: arguments in, tables, JSON and progress out, exit codes.
#![forbid(unsafe_code)]

mod cli;
mod commands;
mod completers;
mod completion;
mod context;
mod daemon;
mod exit;
mod help;
mod limits;
mod log;
mod options;
mod parallel;
mod server_name;
mod shape;
mod ui;
mod usage;

use std::ffi::OsString;
use std::process::ExitCode;

use rustix::fs::Mode;

fn main() -> ExitCode {
    // Regardless of root's umask, no file may be writable for others, not even for a moment.
    let umask = rustix::process::umask(Mode::WGRP | Mode::WOTH);
    rustix::process::umask(umask | Mode::WGRP | Mode::WOTH);
    let arguments: Vec<OsString> = std::env::args_os().collect();
    daemon::run_if_asked(&arguments)
        .or_else(|| completion::run_if_asked(&arguments))
        .unwrap_or_else(|| cli::run(&arguments))
}
