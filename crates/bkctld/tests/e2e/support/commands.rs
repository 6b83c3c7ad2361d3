//! What the program itself says of its commands: a test that goes over "every command" has no list of its own,
//! which would lack the next one.

use std::collections::BTreeSet;
use std::process::Command;

use super::run;
use super::server::BKCTLD;

/// The names of all commands, from the block of the help that scripts read.
pub fn every_command() -> BTreeSet<String> {
    let mut command = Command::new(BKCTLD);
    command.arg("--help");
    let help = run(command).ok();
    let lines = help.lines();
    let block =
        lines.iter().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let names: BTreeSet<String> =
        block.filter_map(|line| line.strip_prefix("  ")?.split(' ').next().map(str::to_owned)).collect();
    assert!(names.len() > 30, "these are hardly all: {names:?}");
    names
}

/// Demands that these lines have each of the commands, and no other. A line begins with options, then
/// comes the command.
#[track_caller]
pub fn assert_each_has_a_line(commands: &BTreeSet<String>, lines: &[&[&str]]) {
    let named = lines.iter().map(|line| command_of(line).to_owned());
    assert_eq!(
        &named.collect::<BTreeSet<String>>(),
        commands,
        "left: the lines of this test; right: the program"
    );
}

/// The command of a line.
pub fn command_of<'l>(line: &[&'l str]) -> &'l str {
    line.iter().find(|word| !word.starts_with('-')).expect("a line has a command")
}
