//! The command line: what was typed, checked for its form only, and handed to its command.

use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Args, CommandFactory, FromArgMatches, Parser};
use jiff::Zoned;

use crate::commands::Command;
use crate::context::{Context, read_settings};
use crate::exit::{Exit, Failure};
use crate::ui::{Ui, Verbosity};

const LICENCE: &str = "\
Licence AGPL-3.0-or-later: GNU Affero General Public License version 3 or later.
This is free software; there is no warranty, to the extent permitted by law.";

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
    /// Show this help
    #[arg(short = 'h', short_alias = '?', long, global = true)]
    help: bool,
    /// Show version and licence
    #[arg(short = 'V', long, global = true)]
    version: bool,
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
    let cli =
        Cli::command().try_get_matches_from(arguments).and_then(|matches| Cli::from_arg_matches(&matches));
    match cli {
        Ok(cli) => dispatch(cli),
        Err(error) => wrong_usage(&error),
    }
}

fn dispatch(cli: Cli) -> ExitCode {
    let Cli { options, command } = cli;
    let plain = Ui::new(Verbosity::Normal, false, true);
    if options.version {
        plain.line(format_args!("bkctld {}\n{LICENCE}", env!("CARGO_PKG_VERSION")));
        return Exit::Done.into();
    }
    if options.help {
        plain.text(match command.as_ref().map(Command::name) {
            Some(name) => command_help(name),
            None => help(),
        });
        return Exit::Done.into();
    }
    let Some(command) = command else {
        let _ = write!(std::io::stderr(), "bkctld: no command given\n\n{}", help());
        return Exit::Error.into();
    };
    match prepare(&options).and_then(|context| command.run(&context)) {
        Ok(exit) => exit.into(),
        Err(failure) => {
            plain.error(&failure);
            failure.exit.into()
        }
    }
}

/// Reads the configuration and merges environment and options into it.
fn prepare(options: &Options) -> Result<Context, Failure> {
    if !rustix::process::geteuid().is_root() {
        return Err(Failure::error("must be run as root (try sudo)"));
    }
    let verbosity = match (options.quiet, options.verbose) {
        (true, _) => Verbosity::Quiet,
        (_, true) => Verbosity::Verbose,
        _ => Verbosity::Normal,
    };
    let (mut settings, warnings) = read_settings(options.config.as_deref())?;
    settings.force |= options.force;
    settings.dry_run |= options.dry_run;
    settings.header &= !options.no_header;
    let ui = Ui::new(verbosity, options.json, settings.header);
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
            bkctld_core::text::printable(first.replace('\n', " ").as_bytes()),
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
        Cli::command().debug_assert();
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
