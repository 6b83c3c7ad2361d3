//! Man pages, help, completion and the default configuration say the same.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;

use crate::support::*;

type Words = BTreeSet<String>;

fn repository(below: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..").join(below)
}

fn program(name: &str, args: &[&str], file: &PathBuf) -> Ran {
    let mut command = Command::new(name);
    command.args(args).arg(file);
    run(command)
}

const PAGES: [&str; 3] = ["man/bkctld.8", "man/bkctld.conf.5", "man/evobackup-incl.5"];

/// A page as it is read, without what makes it bold.
fn page(name: &str) -> Vec<String> {
    let text = program("mandoc", &["-T", "ascii", "-O", "width=200"], &repository(name)).ok().out();
    text.lines().map(plain).collect()
}

/// Overstrikes are a letter, a backspace, and what is left to see.
fn plain(line: &str) -> String {
    let mut seen = String::new();
    for c in line.chars() {
        match c {
            '\u{8}' => drop(seen.pop()),
            c => seen.push(c),
        }
    }
    seen.trim_end().to_owned()
}

/// A line of a page, and how far it is set in: headings of subsections 3, items of lists 5, what is said
/// of an item more.
fn depth(line: &str) -> (usize, &str) {
    let text = line.trim_start();
    (line.len() - text.len(), text)
}

/// The items of the lists in sections of these names. What is said of a short one begins on its line.
fn items<'p>(page: &'p [String], sections: &'p [&str]) -> impl Iterator<Item = &'p str> {
    let mut within = false;
    page.iter().filter_map(move |line| {
        let (depth, text) = depth(line);
        if depth < 5 && !text.is_empty() {
            within = sections.contains(&text);
        }
        let item = text.split("  ").next().unwrap_or_default();
        (within && depth == 5 && !item.ends_with(['.', ':'])).then_some(item)
    })
}

const COMMANDS: [&str; 5] = ["Jails", "Keys and addresses", "Incs", "Checks", "Server"];

/// `inc [JAIL ...]` and `ip JAIL [ADDR | all]` as the help writes them.
fn as_in_help(usage: &str) -> String {
    usage.replace(" | ", "|").replace(" ...", "...")
}

/// The groups of the help: the title of each, and its commands, each with its arguments.
fn groups(help: &Ran) -> Vec<(String, Words)> {
    let lines = help.lines();
    let block =
        lines.iter().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let mut groups: Vec<(String, Words)> = Vec::new();
    for line in block {
        match line.strip_prefix("  ") {
            None => groups.push((line.trim().trim_end_matches(':').to_owned(), Words::new())),
            Some(command) => {
                let usage = command.split("  ").next().unwrap().to_owned();
                // An overlong usage is set off by one blank.
                let has_arguments = usage.contains(|c: char| c.is_uppercase());
                let usage = if has_arguments { arguments(&usage) } else { usage };
                assert!(groups.last_mut().unwrap().1.insert(usage), "{line} stands there twice");
            }
        }
    }
    groups
}

/// The commands of the help, each with its arguments.
fn usages(help: &Ran) -> Words {
    groups(help).into_iter().flat_map(|(_, usages)| usages).collect()
}

/// The command and its arguments, which are all in capitals or in brackets.
fn arguments(usage: &str) -> String {
    let mut words = usage.split(' ');
    let command = words.next().unwrap_or_default().to_owned();
    words
        .take_while(|word| word.starts_with('[') || word.chars().take(2).all(|c| !c.is_lowercase()))
        .fold(command, |usage, word| format!("{usage} {word}"))
}

/// The long options in this text that stand where an option is described.
fn long_options<'t>(lines: impl Iterator<Item = &'t str>) -> Words {
    lines
        .filter(|line| line.trim_start().starts_with('-'))
        .flat_map(|line| line.split([' ', ',']))
        .filter(|word| word.starts_with("--"))
        .map(str::to_owned)
        .collect()
}

/// Each command's own options in the man page: those among what is said of it, and those that stand in the
/// list of a section as its commands do, and are options of all of them.
fn options_of_commands(page: &[String]) -> BTreeSet<(String, String)> {
    let mut found = BTreeSet::new();
    for section in COMMANDS {
        let section = [section];
        let listed: Vec<&str> = items(page, &section).collect();
        for command in listed.iter().filter(|item| !item.starts_with('-')) {
            for option in listed.iter().filter(|item| item.starts_with("--")) {
                found.insert((first_word(command), first_word(option)));
            }
        }
    }
    let mut command = String::new();
    for (depth, text) in page.iter().map(|line| depth(line)) {
        match depth {
            5 => command = first_word(text),
            6.. if text.starts_with("--") => drop(found.insert((command.clone(), first_word(text)))),
            _ => {}
        }
    }
    found
}

fn first_word(text: &str) -> String {
    text.split([' ', ',']).next().unwrap_or_default().to_owned()
}

fn completed(server: &Server, line: &[&str]) -> Words {
    let mut command = server.command(&["--"]);
    command
        .args(line)
        .env("_BKCTLD_COMPLETE", "bash")
        .env("_CLAP_COMPLETE_INDEX", (line.len() - 1).to_string());
    run(command).ok().lines().into_iter().collect()
}

#[apply(as_root)]
fn the_man_page_has_each_command_as_the_help_has_it() {
    let server = Server::plain();
    let page = page(PAGES[0]);
    let help = server.bkctld(&["--help"]).ok();
    let documented: Vec<(String, Words)> = COMMANDS
        .iter()
        .map(|section| {
            let section = [*section];
            let usages = items(&page, &section).filter(|item| !item.starts_with('-')).map(as_in_help);
            (section[0].to_owned(), usages.collect())
        })
        .collect();
    let offered = usages(&help);
    assert!(offered.len() > 10, "{offered:?}");
    assert_eq!(documented, groups(&help), "left: the man page; right: the help");
    let names: Words = offered.iter().map(|usage| usage.split(' ').next().unwrap().to_owned()).collect();
    assert_eq!(completed(&server, &["bkctld", ""]), names, "left: completion; right: the help");
}

#[apply(as_root)]
fn the_man_page_has_each_option_as_the_help_has_it() {
    let server = Server::plain();
    let page = page(PAGES[0]);
    let general = long_options(items(&page, &["Options"]));
    let help = server.bkctld(&["--help"]).ok();
    let offered = long_options(help.lines().iter().map(String::as_str));
    assert_eq!(general, offered, "left: the man page; right: the help");
    let completes: Words =
        completed(&server, &["bkctld", "--"]).into_iter().filter(|word| word.starts_with("--")).collect();
    assert_eq!(completes, offered, "left: completion; right: the help");
    let of_commands = options_of_commands(&page);
    let mut of_help = BTreeSet::new();
    for usage in usages(&help) {
        let command = usage.split(' ').next().unwrap().to_owned();
        let told = server.bkctld(&[&command, "--help"]).ok();
        let own = long_options(told.lines().iter().map(String::as_str));
        let completes = completed(&server, &["bkctld", &command, "--"]);
        for option in own.difference(&general) {
            assert!(completes.contains(option), "{command} {option} is not completed");
            of_help.insert((command.clone(), option.clone()));
        }
    }
    assert_eq!(of_commands, of_help, "left: the man page; right: the help");
}

#[apply(as_root)]
fn the_man_pages_render_without_a_warning() {
    for name in PAGES {
        let page = repository(name);
        for said in [
            program("mandoc", &["-T", "lint", "-W", "warning"], &page),
            program("groff", &["-ww", "-mdoc", "-T", "utf8", "-z"], &page),
        ] {
            let said = said.ok();
            assert!(said.out().is_empty() && said.err().is_empty(), "{}", said.told());
        }
    }
}

#[apply(as_root)]
fn the_variables_are_the_same_in_the_man_page_and_the_default_configuration() {
    let page = page(PAGES[1]);
    let documented: Words =
        items(&page, &["Places", "Jails", "Firewall", "Checks", "Other servers", "The program"])
            .map(str::to_owned)
            .collect();
    let default = std::fs::read_to_string(repository("debian/configuration")).unwrap();
    let shown: Words = default
        .lines()
        .filter_map(|line| Some(line.strip_prefix('#')?.split_once('=')?.0.to_owned()))
        .filter(|name| !name.starts_with(' '))
        .collect();
    assert_eq!(documented, shown, "left: the man page; right: the default configuration");
    let overview = std::fs::read_to_string(repository("docs/configuration.md")).unwrap();
    for variable in &documented {
        assert!(documented.len() > 20 && !variable.contains(char::is_lowercase), "{variable}");
    }
    // The overview has those that most servers need.
    for line in overview.lines().filter(|line| line.starts_with("| `")) {
        let names = line.split('|').nth(1).unwrap().split('`').map(str::trim);
        for name in names.filter(|name| name.len() > 2 && !name.contains(|c: char| c.is_lowercase())) {
            assert!(documented.contains(name), "docs/configuration.md has {name}, the man page has not");
        }
    }
}

#[apply(as_root)]
fn the_man_page_names_each_template_and_each_unit_that_is_enabled() {
    let page = page(PAGES[0]).join("\n");
    let names = |dir: &str| -> Vec<String> {
        let entries = std::fs::read_dir(repository(dir)).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    };
    let enabled = |name: &String| {
        std::fs::read_to_string(repository("systemd").join(name)).unwrap().contains("[Install]")
    };
    let units = names("systemd").into_iter().filter(enabled);
    for name in names("templates").into_iter().chain(units) {
        let name = name.replace("@.", "@JAIL.");
        assert!(page.contains(&name), "{name} is not in the man page");
    }
}
