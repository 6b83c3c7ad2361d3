//! The command line: what was typed, checked for its form only, and handed to its command.

use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use bkctld_core::Settings;
use clap::error::ErrorKind;
use clap::{ArgAction, Args, CommandFactory, FromArgMatches, Parser};
use jiff::Zoned;

use crate::commands::Command;
use crate::context::{Context, read_settings};
use crate::exit::{Exit, Failure};
use crate::log::Log;
use crate::ui::{Ui, Verbosity};

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
    /// Ask nothing; what is so already is no error (also: FORCE=1)
    #[arg(short, long, global = true)]
    force: bool,
    /// Say what would be done, change nothing (also: DRY_RUN=1)
    #[arg(short = 'n', long, global = true)]
    dry_run: bool,
    /// Say only errors
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    quiet: bool,
    /// Say more
    #[arg(short, long, global = true)]
    verbose: bool,
    /// Print the result as JSON
    #[arg(long, global = true)]
    json: bool,
    /// No header line above tables (also: HEADER=0)
    #[arg(long, global = true)]
    no_header: bool,
    /// Read the configuration from this file (also: BKCTLD_CONFIG)
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Runs the program with these arguments, the program's name first.
pub fn run(arguments: &[OsString]) -> ExitCode {
    let matches = definition().try_get_matches_from(with_command_of_name(arguments));
    match matches.and_then(|matches| Cli::from_arg_matches(&matches)) {
        Ok(cli) => dispatch(cli),
        Err(error) if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) => {
            plain_ui().text(error.render());
            Exit::Done.into()
        }
        Err(error) => wrong_usage(&error),
    }
}

/// A program that is called `bkctld-COMMAND` is that command: the entry points that scripts of the
/// original call. Two of them have a shape of their own.
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

/// What stands after `bkctld-` in the name that the program was called by.
pub fn command_of_name(arguments: &[OsString]) -> Option<&str> {
    Path::new(arguments.first()?).file_name()?.to_str()?.strip_prefix("bkctld-")
}

fn plain_ui() -> Ui {
    Ui::new(Verbosity::Normal, false, true)
}

/// The command line with our own help: clap's has no line that shows a command's usage.
pub fn definition() -> clap::Command {
    let mut cli = Cli::command().version(VERSION).propagate_version(true);
    let names: Vec<String> = cli.get_subcommands().map(|command| command.get_name().to_owned()).collect();
    for name in names {
        let help = command_help(&name);
        cli = cli.mut_subcommand(&name, |command| command.override_help(help));
    }
    cli.override_help(help())
}

fn dispatch(cli: Cli) -> ExitCode {
    let Some(command) = cli.command else {
        let _ = write!(std::io::stderr(), "bkctld: no command given\n\n{}", help());
        return Exit::Error.into();
    };
    if !rustix::process::geteuid().is_root() {
        let failure = Failure::error("must be run as root (try sudo)");
        plain_ui().error(&failure);
        return failure.exit.into();
    }
    let name = command.name();
    crate::limits::raise_for(name);
    let ended = match prepare(&cli.options, name) {
        Ok(context) => command.run(&context).map_err(|failure| (context.ui, failure)),
        // A configuration that cannot be read has no LOGLEVEL; a nightly run should tell all the same.
        Err(failure) => Err((plain_ui().logging(Log::new(name, Settings::default().log_level)), failure)),
    };
    match ended {
        Ok(exit) => exit.into(),
        Err((ui, failure)) => {
            ui.error(&failure);
            failure.exit.into()
        }
    }
}

/// Reads the configuration and merges environment and options into it.
fn prepare(options: &Options, command: &'static str) -> Result<Context, Failure> {
    let verbosity = match (options.quiet, options.verbose) {
        (true, _) => Verbosity::Quiet,
        (_, true) => Verbosity::Verbose,
        _ => Verbosity::Normal,
    };
    let (mut settings, warnings) = read_settings(options.config.as_deref())?;
    settings.force |= options.force;
    settings.dry_run |= options.dry_run;
    settings.header &= !options.no_header;
    let mut ui = Ui::new(verbosity, options.json, settings.header);
    // Nothing has happened to a server that was only asked.
    if !settings.dry_run {
        ui = ui.logging(Log::new(command, settings.log_level));
    }
    for warning in warnings {
        ui.warning(warning);
    }
    Ok(Context { settings, ui, now: Zoned::now() })
}

fn wrong_usage(error: &clap::Error) -> ExitCode {
    let mut stderr = std::io::stderr();
    // A value of the wrong form is told in one line; the help would bury it.
    let value = matches!(error.kind(), ErrorKind::ValueValidation);
    let text = error.render().to_string();
    let told = text.strip_prefix("error: ").unwrap_or(&text);
    let first = told.split("\n\n").next().unwrap_or(told).trim_end();
    let _ = if value {
        let reason = std::error::Error::source(error).map(ToString::to_string);
        writeln!(stderr, "bkctld: {}", reason.as_deref().unwrap_or(first))
    } else {
        write!(
            stderr,
            "bkctld: {}\n\n{}",
            bkctld_core::text::printable(first.split_whitespace().collect::<Vec<_>>().join(" ").as_bytes()),
            help()
        )
    };
    Exit::Error.into()
}

/// The help: every command with its usage and one line of description.
fn help() -> String {
    let cli = Cli::command();
    let mut text = format!(
        "{}\n\nUsage: bkctld [options] <command> [arguments]\n\nCommands:\n",
        cli.get_about().map(ToString::to_string).unwrap_or_default()
    );
    for command in cli.get_subcommands().filter(|command| !command.is_hide_set()) {
        let about = command.get_about().map(ToString::to_string).unwrap_or_default();
        text.push_str(&format!("  {:<28} {about}\n", usage(command)));
    }
    text.push_str("\nOptions (before or after the command):\n");
    for option in cli.get_arguments().filter(|argument| argument.get_long().is_some()) {
        let short =
            option.get_short().map(|short| format!("-{short}, ")).unwrap_or_else(|| "    ".to_owned());
        let value = if option.get_action().takes_values() { " FILE" } else { "" };
        let long = option.get_long().unwrap_or_default();
        let about = option.get_help().map(ToString::to_string).unwrap_or_default();
        text.push_str(&format!("  {:<28} {about}\n", format!("{short}--{long}{value}")));
    }
    text
}

fn command_help(name: &str) -> String {
    let cli = Cli::command();
    let Some(command) = cli.find_subcommand(name) else {
        return help();
    };
    let about = command.get_long_about().or(command.get_about()).map(ToString::to_string).unwrap_or_default();
    let mut text = format!("Usage: bkctld [options] {}\n\n{about}\n", usage(command));
    let described: Vec<_> =
        command.get_positionals().filter(|argument| argument.get_help().is_some()).collect();
    if !described.is_empty() {
        text.push('\n');
    }
    for argument in described {
        let about = argument.get_help().map(ToString::to_string).unwrap_or_default();
        text.push_str(&format!("  {:<16} {about}\n", placeholder(argument)));
    }
    for option in command.get_opts() {
        let (long, about) = (option.get_long().unwrap_or_default(), option.get_help());
        let about = about.map(ToString::to_string).unwrap_or_default();
        text.push_str(&format!("  {:<16} {about}\n", format!("--{long}")));
    }
    text
}

fn usage(command: &clap::Command) -> String {
    let arguments: Vec<String> = command.get_positionals().map(placeholder).collect();
    [vec![command.get_name().to_owned()], arguments].concat().join(" ")
}

fn placeholder(argument: &clap::Arg) -> String {
    let name = argument.get_value_names().and_then(|names| names.first()).map_or("ARG", |name| name.as_str());
    let many = argument.get_num_args().is_some_and(|range| range.max_values() > 1);
    match (argument.is_required_set(), many) {
        (true, _) => name.to_owned(),
        (false, true) => format!("[{name}...]"),
        (false, false) => format!("[{name}]"),
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

    #[test]
    fn the_help_has_each_command_with_its_usage() {
        let text = help();
        for usage in
            ["init JAIL ", "status [JAIL|all] ", "port JAIL [N|auto]", "inc [JAIL...]", "-f, --force"]
        {
            assert!(text.contains(usage), "{usage} is not in:\n{text}");
        }
    }
}
