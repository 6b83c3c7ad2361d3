//! Completion in the shells. Their scripts ask this program itself, so that they know the command line as
//! it is, and the jails that there are now.

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

use clap_complete::CompleteEnv;
use clap_complete::env::{Bash, Fish, Shells, Zsh};

use crate::cli;
use crate::exit::Exit;

/// What asks for completion. `COMPLETE`, which is the library's own choice, may well be in an
/// administrator's environment, and every command would then print a script instead of doing its work.
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

/// The command line with its options hidden: those are offered only where a word begins with '-' or
/// nothing else fits. Who looks for a jail would else have to find it among a dozen options.
fn definition() -> clap::Command {
    let hidden = |argument: clap::Arg| {
        let option = !argument.is_positional();
        argument.hide(option)
    };
    cli::definition().mut_args(hidden).mut_subcommands(|command| command.mut_args(hidden))
}
