//! Completion in the shells. Their scripts call this program, so that they know the current command line and
//! the existing jails.

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

use clap_complete::CompleteEnv;
use clap_complete::env::{Bash, Fish, Shells, Zsh};

use crate::cli;
use crate::exit::Exit;

/// The variable that requests a completion. The library's default, `COMPLETE`, may be in an administrator's
/// environment, and every command would then print a script instead of running.
const VARIABLE: &str = "_BKCTLD_COMPLETE";

/// Completes, or prints the script for the shell that the variable names, if that is asked for.
pub fn run_if_asked(arguments: &[OsString]) -> Option<ExitCode> {
    std::env::var_os(VARIABLE)?;
    let directory = std::env::current_dir().ok();
    let done = CompleteEnv::with_factory(definition)
        .var(VARIABLE)
        .bin("bkctld")
        .shells(Shells(&[&Bash, &Fish, &Zsh]))
        .try_complete(arguments, directory.as_deref());
    match done {
        Ok(true) => Some(Exit::Done.into()),
        // Set to nothing.
        Ok(false) => None,
        Err(error) => {
            let _ = write!(std::io::stderr(), "bkctld: {}", error.render());
            Some(Exit::Error.into())
        }
    }
}

/// The command line with hidden options: they are offered only if a word begins with '-' or nothing else
/// fits. Otherwise a jail would be hard to find among a dozen options.
fn definition() -> clap::Command {
    let hidden = |argument: clap::Arg| {
        let option = !argument.is_positional();
        argument.hide(option)
    };
    cli::definition().mut_args(hidden).mut_subcommands(|command| command.mut_args(hidden))
}
