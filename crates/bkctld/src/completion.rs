//! Completion in the shells. Their scripts ask this program itself, so that they know the command line as
//! it is, and the jails that there are now.

use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use bkctld_core::{Jail, JailName, Settings, inc, jail};
use clap_complete::CompleteEnv;
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate};
use clap_complete::env::{Bash, Fish, Shells, Zsh};

use crate::cli;
use crate::context::read_settings;
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

/// Completes the name of a jail.
pub fn jail_name() -> ArgValueCompleter {
    ArgValueCompleter::new(|word: &OsStr| beginning_with(word, names()))
}

/// Completes the name of a jail, or 'all'.
pub fn jail_name_or_all() -> ArgValueCompleter {
    ArgValueCompleter::new(|word: &OsStr| beginning_with(word, names().chain(["all".to_owned()])))
}

/// Completes a pattern of incs: a jail that has some, 'all', or once the jail is typed, one of its incs.
pub fn inc_pattern() -> ArgValueCompleter {
    ArgValueCompleter::new(|word: &OsStr| match word.to_str().and_then(|text| text.split_once('/')) {
        None => beginning_with(word, names().chain(["all".to_owned()])),
        Some((jail, _)) => beginning_with(word, incs(jail).into_iter()),
    })
}

/// `JAIL/INC` for each inc of the jail.
fn incs(jail: &str) -> Vec<String> {
    let listed = settings().and_then(|settings| {
        let name: JailName = jail.parse().ok()?;
        inc::list(&Jail::new(&settings, name)).ok()
    });
    listed.unwrap_or_default().into_iter().map(|inc| format!("{jail}/{inc}")).collect()
}

/// Completes this one word, which stands for something.
pub fn word(word: &'static str) -> ArgValueCompleter {
    ArgValueCompleter::new(move |typed: &OsStr| beginning_with(typed, [word.to_owned()].into_iter()))
}

fn names() -> impl Iterator<Item = String> {
    let names = settings().and_then(|settings| jail::list(&settings).ok()).unwrap_or_default();
    names.into_iter().map(|name: JailName| name.to_string())
}

/// The settings that the command will have: also those of a file that the words name. None where they
/// cannot be read; completion is no place to say why.
fn settings() -> Option<Settings> {
    let words: Vec<OsString> = std::env::args_os().collect();
    let named = words.windows(2).find(|pair| pair[0] == "--config").map(|pair| Path::new(&pair[1]));
    Some(read_settings(named).ok()?.0)
}

fn beginning_with(word: &OsStr, all: impl Iterator<Item = String>) -> Vec<CompletionCandidate> {
    let Some(word) = word.to_str() else { return Vec::new() };
    all.filter(|candidate| candidate.starts_with(word)).map(CompletionCandidate::new).collect()
}
