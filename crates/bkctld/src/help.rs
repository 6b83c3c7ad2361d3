//! The help: every command in its group, with its usage and one line of description.

use clap::{Arg, Command};

use crate::commands;

/// The usage of the program.
pub const USAGE: &str = "bkctld [options] <command> [arguments]";

/// The usage of a command.
pub fn usage(command: &Command) -> String {
    format!("bkctld [options] {}", with_arguments(command))
}

/// The help of the whole program. Scripts read the commands from it: each has a line that begins with two
/// blanks, between `Commands:` and the first empty line, and the titles of the groups begin with one.
pub fn of_all(cli: &Command) -> String {
    let mut text = format!("{}\n\nUsage: {USAGE}\n\nCommands:\n", about(cli));
    for (group, names) in commands::Command::GROUPS {
        text.push_str(&format!(" {group}:\n"));
        for command in names.iter().filter_map(|name| cli.find_subcommand(name)) {
            text.push_str(&format!("  {:<28} {}\n", with_arguments(command), about(command)));
        }
    }
    text.push_str("\nOptions (before or after the command):\n");
    for option in cli.get_arguments().filter(|argument| argument.get_long().is_some()) {
        let short =
            option.get_short().map(|short| format!("-{short}, ")).unwrap_or_else(|| "    ".to_owned());
        let value = if option.get_action().takes_values() { " FILE" } else { "" };
        let long = option.get_long().unwrap_or_default();
        text.push_str(&format!("  {:<28} {}\n", format!("{short}--{long}{value}"), about_argument(option)));
    }
    text
}

/// The help of one command.
pub fn of_command(command: &Command) -> String {
    let long = command.get_long_about().map_or_else(|| about(command), ToString::to_string);
    let mut text = format!("Usage: {}\n\n{long}\n", usage(command));
    let described: Vec<_> =
        command.get_positionals().filter(|argument| argument.get_help().is_some()).collect();
    if !described.is_empty() {
        text.push('\n');
    }
    for argument in described {
        text.push_str(&format!("  {:<16} {}\n", placeholder(argument), about_argument(argument)));
    }
    for option in command.get_opts() {
        let long = option.get_long().unwrap_or_default();
        text.push_str(&format!("  {:<16} {}\n", format!("--{long}"), about_argument(option)));
    }
    text
}

fn about(command: &Command) -> String {
    command.get_about().map(ToString::to_string).unwrap_or_default()
}

fn about_argument(argument: &Arg) -> String {
    argument.get_help().map(ToString::to_string).unwrap_or_default()
}

fn with_arguments(command: &Command) -> String {
    let arguments: Vec<String> = command.get_positionals().map(placeholder).collect();
    [vec![command.get_name().to_owned()], arguments].concat().join(" ")
}

fn placeholder(argument: &Arg) -> String {
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
    use std::collections::BTreeSet;

    use super::*;

    /// The command line before its help is replaced.
    fn cli() -> Command {
        <commands::Command as clap::Subcommand>::augment_subcommands(Command::new("bkctld"))
    }

    #[test]
    fn the_help_has_each_command_once_with_its_usage() {
        let text = of_all(&cli());
        for usage in ["init JAIL ", "status [JAIL|all] ", "port JAIL [N|auto]", "inc [JAIL...]"] {
            assert!(text.contains(usage), "{usage} is not in:\n{text}");
        }
        let listed: Vec<&str> = text
            .lines()
            .filter_map(|line| line.strip_prefix("  "))
            .filter_map(|line| line.split(' ').next())
            .filter(|word| !word.starts_with('-') && !word.is_empty())
            .collect();
        let different: BTreeSet<&str> = listed.iter().copied().collect();
        assert_eq!(listed.len(), different.len(), "one stands there twice:\n{text}");
        let cli = cli();
        assert_eq!(different, cli.get_subcommands().map(Command::get_name).collect());
    }

    #[test]
    fn the_commands_are_one_block_with_titles_that_are_no_commands() {
        let text = of_all(&cli());
        let block: Vec<&str> = text
            .lines()
            .skip_while(|line| *line != "Commands:")
            .skip(1)
            .take_while(|line| !line.is_empty())
            .collect();
        let titles: Vec<&str> = block.iter().copied().filter(|line| !line.starts_with("  ")).collect();
        assert_eq!(titles, [" Jails:", " Keys and addresses:", " Incs:", " Checks:", " Server:"]);
        assert_eq!(block.len() - titles.len(), cli().get_subcommands().count());
    }
}
