//! Draws which crate and which module uses which, from the code, and measures it.
//!
//! `cargo run -p structure -- picture` prints the picture that docs/architecture.md holds; `circles` prints the imports
//! that go round, and fails if there are any; `measure` prints the sizes that a reviewer asks for. A directory after
//! the command is another checkout.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it prints for a person at a terminal")]

use std::path::PathBuf;
use std::process::ExitCode;

use structure::{Result, Workspace, circles, measure, picture};

const USAGE: &str = "usage: structure picture|circles|measure [CHECKOUT]";

fn main() -> ExitCode {
    match run() {
        Ok(status) => status,
        Err(error) => {
            eprintln!("structure: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<ExitCode> {
    let mut arguments = std::env::args().skip(1);
    let command = arguments.next().ok_or(USAGE)?;
    let checkout = arguments.next().map_or_else(structure::this_checkout, PathBuf::from);
    let workspace = || Workspace::read(&checkout);
    match command.as_str() {
        "picture" => print!("{}", picture::draw(&workspace()?)),
        "measure" => print!("{}", measure::table(&workspace()?, &checkout)?),
        "circles" => {
            let circles = circles::find(&workspace()?);
            for circle in &circles {
                println!("{circle}");
            }
            return Ok(if circles.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
        _ => return Err(USAGE.into()),
    }
    Ok(ExitCode::SUCCESS)
}
