//! Measures `bkctld` against its peers: each comparison runs ours and theirs alternately, on inputs
//! that it builds on loop-mounted volumes, and prints the ratio of the medians, the medians and the
//! spread. Never a test's verdict: machines are noisy, and a ratio is for a person to judge.
//!
//! `cargo build --release && cargo run --release -p bkctld-bench -- [CASE...]`, as root. The case `before`
//! takes the peer from `BKCTLD_BENCH_BEFORE`: an earlier build of the program.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a bench prints for a person at a terminal")]

mod cases;
mod machine;
mod measure;
mod server;
mod volume;

use std::process::ExitCode;

type Result<T, E = Box<dyn std::error::Error>> = std::result::Result<T, E>;

fn main() -> ExitCode {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    match run(&wanted) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(wanted: &[String]) -> Result<()> {
    if let Some(unknown) =
        wanted.iter().find(|name| !cases::ALL.iter().any(|case| case.name == name.as_str()))
    {
        let names: Vec<&str> = cases::ALL.iter().map(|case| case.name).collect();
        return Err(format!("no case '{unknown}'; there are: {}", names.join(" ")).into());
    }
    volume::enter_namespaces()?;
    for case in cases::ALL {
        if wanted.is_empty() || wanted.iter().any(|name| name == case.name) {
            println!("\n## {}: {}", case.name, case.what);
            (case.run)()?;
        }
    }
    Ok(())
}
