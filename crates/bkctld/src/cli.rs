//! The command line: the arguments are checked for their form only, and passed to their command.

use std::ffi::OsString;
use std::io::Write;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use bkctld_core::config::Switches;
use bkctld_core::{Error, Settings, Turns};
use clap::error::ErrorKind;
use clap::{ArgAction, Args, CommandFactory, FromArgMatches, Parser};
use jiff::Zoned;

use crate::commands::Command;
use crate::context::Context;
use crate::exit::{Exit, Failure};
use crate::log::Log;
use crate::options::{RunOptions, read_configuration};
use crate::ui::{Ui, Verbosity};
use crate::{help, usage};

const VERSION: &str = concat!(
    env!("CARGO_PKG_VERSION"),
    "\nLicence AGPL-3.0-or-later: GNU Affero General Public License version 3 or later.",
    "\nThis is free software; there is no warranty, to the extent permitted by law.",
);

/// bkctld - a backup receiver: one jailed SSH service for each client machine
#[derive(Parser)]
#[command(
    name = "bkctld",
    disable_help_flag = true,
    disable_version_flag = true,
    disable_help_subcommand = true
)]
struct Cli {
    #[command(flatten)]
    options: Options,
    #[command(subcommand)]
    command: Option<Command>,
}

/// The options that stand before or after any command.
#[derive(Args)]
struct Options {
    /// Show this help, or that of a command (also: -?)
    #[arg(short = 'h', short_alias = '?', long, global = true, action = ArgAction::Help)]
    help: Option<bool>,
    /// Show version and licence
    #[arg(short = 'V', long, global = true, action = ArgAction::Version)]
    version: Option<bool>,
    /// Do not ask for confirmation, and succeed if there is nothing to do (also: FORCE=1)
    #[arg(short, long, global = true)]
    force: bool,
    /// Print the changes that would be made, and make none (also: DRY_RUN=1)
    #[arg(short = 'n', long, global = true)]
    dry_run: bool,
    /// Print only errors
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    quiet: bool,
    /// Print more details
    #[arg(short, long, global = true)]
    verbose: bool,
    /// Print the result as JSON
    #[arg(long, global = true)]
    json: bool,
    /// Print tables without the header line (also: HEADER=0)
    #[arg(long, global = true)]
    no_header: bool,
    /// Read the configuration from this file (also: BKCTLD_CONFIG)
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Runs the program with these arguments, the program's name first.
pub fn run(arguments: &[OsString]) -> ExitCode {
    let words = with_command_of_name(arguments);
    let matches = definition().try_get_matches_from(&words);
    match matches.and_then(|matches| Cli::from_arg_matches(&matches)) {
        Ok(cli) => dispatch(cli),
        Err(error) if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) => {
            plain_ui().text(error.render());
            Exit::Done.into()
        }
        Err(error) => wrong_usage(&usage::explain(&error, &definition(), words.get(1..).unwrap_or_default())),
    }
}

/// A program that is called as `bkctld-COMMAND` runs that command, for scripts that were written for the
/// original. Two of them have special arguments.
fn with_command_of_name(arguments: &[OsString]) -> Vec<OsString> {
    let mut arguments = arguments.to_vec();
    let Some(command) = command_of_name(&arguments).map(str::to_owned) else {
        return arguments;
    };
    let words: Vec<OsString> = match command.as_str() {
        "check-last-incs" => vec!["check-incs".into(), "last".into()],
        // `bkctld-inc-lock on|off PATH`
        "inc-lock" => {
            let switch = arguments.iter().skip(1).position(|word| word == "on" || word == "off");
            let unlocks = switch.is_some_and(|at| arguments.remove(at + 1) == "off");
            vec![if unlocks { "inc-unlock" } else { "inc-lock" }.into()]
        }
        command => vec![command.into()],
    };
    arguments.splice(1..1, words);
    arguments
}

/// The part after `bkctld-` of the name by which the program was called.
pub fn command_of_name(arguments: &[OsString]) -> Option<&str> {
    Path::new(arguments.first()?).file_name()?.to_str()?.strip_prefix("bkctld-")
}

fn wrong_usage(explanation: &str) -> ExitCode {
    let _ = std::io::stderr().write_all(explanation.as_bytes());
    Exit::Error.into()
}

fn plain_ui() -> Ui {
    Ui::new(Verbosity::Normal, false)
}

/// The command line with our own help and usage: clap's help has no line that shows a command's usage.
pub fn definition() -> clap::Command {
    let plain = Cli::command();
    let mut cli = plain.clone().version(VERSION).propagate_version(true);
    for command in plain.get_subcommands() {
        let (usage, help) = (help::usage(command), help::of_command(command));
        cli = cli
            .mut_subcommand(command.get_name(), |command| command.override_usage(usage).override_help(help));
    }
    cli.override_usage(help::USAGE).override_help(help::of_all(&plain))
}

fn dispatch(cli: Cli) -> ExitCode {
    let Some(command) = cli.command else {
        return wrong_usage(&usage::no_command());
    };
    if !rustix::process::geteuid().is_root() {
        let failure = Failure::from(Error::refused("must be run as root").with_hint("try sudo"));
        plain_ui().error(&failure);
        return failure.exit().into();
    }
    let name = command.name();
    let ended = match prepare(&cli.options, name) {
        Ok(context) => command.run(&context).map_err(|failure| (context.ui, failure)),
        // If the configuration cannot be read, there is no LOGLEVEL, but a nightly run should still log the
        // error.
        Err(failure) => Err((plain_ui().logging(Log::new(name, Settings::default().log_level)), failure)),
    };
    match ended {
        Ok(exit) => exit.into(),
        Err((ui, failure)) => {
            ui.error(&failure);
            failure.exit().into()
        }
    }
}

/// Reads the configuration and merges environment and options into it.
fn prepare(options: &Options, command: &'static str) -> Result<Context, Failure> {
    let configuration = read_configuration(options.config.as_deref())?;
    let settings = configuration.settings;
    let options = options.merged_with(configuration.switches);
    let mut ui = Ui::new(options.verbosity, options.json);
    // A dry run changes nothing and is not logged.
    if !options.dry_run {
        ui = ui.logging(Log::new(command, settings.log_level));
    }
    for warning in configuration.warnings {
        ui.warning(warning);
    }
    let processors = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let (now, turns) = (Zoned::now(), Turns::new(processors));
    Ok(Context { command, settings, options, ui, now, turns })
}

impl Options {
    fn merged_with(&self, switches: Switches) -> RunOptions {
        RunOptions {
            force: self.force || switches.force,
            dry_run: self.dry_run || switches.dry_run,
            json: self.json,
            header: !self.no_header && switches.header,
            verbosity: match (self.quiet, self.verbose) {
                (true, _) => Verbosity::Quiet,
                (_, true) => Verbosity::Verbose,
                _ => Verbosity::Normal,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_of_the_command_line_is_consistent() {
        definition().debug_assert();
    }

    #[test]
    fn the_name_that_the_program_is_called_by_is_the_command() {
        for (called, meant) in [
            ("bkctld list", "list"),
            ("/usr/lib/bkctld/bkctld-list", "list"),
            ("bkctld-is-on a", "is-on a"),
            ("bkctld-check-last-incs --json", "check-incs last --json"),
            ("bkctld-inc-lock on /backup/incs/a/2026-03-01-02", "inc-lock /backup/incs/a/2026-03-01-02"),
            ("bkctld-inc-lock -n off a/2026-03-01-02", "inc-unlock -n a/2026-03-01-02"),
            ("bkctld-inc-lock on on", "inc-lock on"),
            ("bkctld-inc-lock --help", "inc-lock --help"),
            ("bkctld-inc-unlock a", "inc-unlock a"),
        ] {
            let arguments: Vec<OsString> = called.split(' ').map(OsString::from).collect();
            let words = with_command_of_name(&arguments);
            assert_eq!(words[1..], meant.split(' ').map(OsString::from).collect::<Vec<_>>(), "{called}");
        }
    }
}
