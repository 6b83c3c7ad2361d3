//! Tests of the program on whole machines: containers that boot systemd with a real sshd, and bare systems
//! in which nothing is installed.
//!
//! `sudo .ci/machines [FILTER]`, or as root `cargo run -p machines -- [FILTER]`. The arguments are those of
//! any test binary of Rust; `--list` shows the names, `SUITE::MODULE::TEST`.
//!
//! Every test has a machine of its own, so that each runs alone and in any order. Where it starts and what it
//! may leave behind is [`confine`]'s affair: nothing.
//!
//! A program and not a target of `cargo test`: what `cargo test --workspace` runs needs no network, and these
//! tests fetch a Debian.
#![forbid(unsafe_code)]
// A test that cannot go on panics.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, clippy::print_stdout)]

mod built;
mod cgroup;
mod confine;
mod entered;
mod failure;
mod host;
mod jails;
mod machine;
mod original;
mod run;
mod suite;
mod tests;

use std::process::ExitCode;

use libtest_mimic::Arguments;

fn main() -> ExitCode {
    if let Some(code) = entered::enter_if_asked() {
        return code;
    }
    let mut arguments = Arguments::from_args();
    if arguments.list {
        return libtest_mimic::run(&arguments, tests::trials()).exit_code();
    }
    if !confine::is_confined() {
        return confine::run_again_confined();
    }
    failure::remember_places();
    // A machine mostly waits: for its boot, for a client, for a second to pass.
    arguments.test_threads = arguments
        .test_threads
        .or_else(|| std::thread::available_parallelism().ok().map(|count| count.get() + 1));
    libtest_mimic::run(&arguments, tests::trials()).exit_code()
}
