//! Wrong usage: the mistake, the probable intention, the usage, and where to find the help. The help itself
//! would bury the mistake.

use std::ffi::OsString;

use bkctld_core::text;
use clap::Command;
use clap::error::{ContextKind, ContextValue, Error, ErrorKind};

use crate::help::{self, USAGE};

/// The maximum length of a quoted word, in characters.
const WORD: usize = 60;

/// No command at all.
pub fn no_command() -> String {
    lines("no command given", None)
}

/// The message about a command line that cannot be parsed; `words` are its words after the program's name.
pub fn explain(error: &Error, cli: &Command, words: &[OsString]) -> String {
    // Of a value of the wrong form the reason says it all.
    if error.kind() == ErrorKind::ValueValidation
        && let Some(reason) = std::error::Error::source(error)
    {
        return format!("bkctld: {reason}\n");
    }
    let usage = match error.get(ContextKind::Usage) {
        Some(ContextValue::StyledStr(usage)) => usage.to_string().strip_prefix("Usage: ").map(str::to_owned),
        // Of a wrong value clap does not say whose it is. The help of the options is that of the program.
        _ if one(error, ContextKind::InvalidArg).is_some_and(|argument| argument.starts_with('-')) => None,
        _ => words.iter().find_map(|word| cli.find_subcommand(word)).map(help::usage),
    };
    lines(&what_is_wrong(error), usage.as_deref())
}

/// `usage` is that of a command, if one was named.
fn lines(wrong: &str, usage: Option<&str>) -> String {
    let usage = usage.unwrap_or(USAGE);
    let command = usage.strip_prefix("bkctld [options] ").and_then(|rest| rest.split(' ').next());
    let help = match command.filter(|word| !word.starts_with('<')) {
        Some(command) => format!("'bkctld {command} --help' says more"),
        None => "'bkctld --help' shows all commands and options".to_owned(),
    };
    format!("bkctld: {wrong}\nUsage: {usage}\n{help}\n")
}

fn what_is_wrong(error: &Error) -> String {
    let argument = || one(error, ContextKind::InvalidArg);
    let known = match error.kind() {
        ErrorKind::InvalidSubcommand => one(error, ContextKind::InvalidSubcommand)
            .map(|word| format!("no command '{word}'{}", nearest(error, ContextKind::SuggestedSubcommand))),
        ErrorKind::UnknownArgument => argument().map(|word| {
            if word.starts_with('-') {
                format!("no option '{word}'{}", nearest(error, ContextKind::SuggestedArg))
            } else {
                format!("'{word}' is one argument too many")
            }
        }),
        ErrorKind::MissingRequiredArgument => argument().map(|name| format!("{name} is missing")),
        ErrorKind::ArgumentConflict => argument().map(|first| match one(error, ContextKind::PriorArg) {
            Some(second) if second != first => format!("{first} and {second} exclude each other"),
            _ => format!("{first} is given twice"),
        }),
        ErrorKind::TooManyValues => argument().map(|name| format!("{name} takes no value")),
        ErrorKind::InvalidValue => argument().map(|name| wrong_value(error, &name)),
        _ => None,
    };
    known.unwrap_or_else(|| {
        let text = error.render().to_string();
        let first = text.split("\n\n").next().unwrap_or_default();
        let first = first.strip_prefix("error: ").unwrap_or(first);
        text::printable(first.split_whitespace().collect::<Vec<_>>().join(" ").as_bytes()).into_owned()
    })
}

fn wrong_value(error: &Error, name: &str) -> String {
    let value = one(error, ContextKind::InvalidValue).unwrap_or_default();
    let known = all(error, ContextKind::ValidValue);
    match (value.is_empty(), known.is_empty()) {
        (true, true) => format!("{name}: the value is missing"),
        (true, false) => format!("{name}: the value is missing: {}", known.join(" or ")),
        (false, true) => format!("{name}: not '{value}'"),
        (false, false) => format!("'{value}' is not one of {}", known.join(", ")),
    }
}

/// Of several that are near, clap has the nearest last. Two: letters that changed places are as near to a
/// shorter word as to the one that was meant.
fn nearest(error: &Error, kind: ContextKind) -> String {
    let near: Vec<String> = all(error, kind).iter().rev().take(2).map(|word| format!("'{word}'")).collect();
    if near.is_empty() { String::new() } else { format!("; perhaps {}", near.join(" or ")) }
}

fn one(error: &Error, kind: ContextKind) -> Option<String> {
    all(error, kind).into_iter().next()
}

/// The words of the error's context, fit for a terminal and without clap's `<>`.
fn all(error: &Error, kind: ContextKind) -> Vec<String> {
    let words = match error.get(kind) {
        Some(ContextValue::String(word)) => std::slice::from_ref(word),
        Some(ContextValue::Strings(words)) => words.as_slice(),
        _ => &[],
    };
    words.iter().map(|word| shown(word)).collect()
}

fn shown(word: &str) -> String {
    let word = match word.split_once('<') {
        // `<JAIL>`, `--config <FILE>`.
        Some((before, rest)) => format!("{before}{}", rest.replace(['<', '>'], "")),
        None => word.to_owned(),
    };
    let head: String = word.chars().take(WORD).collect();
    let more = if head.len() < word.len() { "..." } else { "" };
    format!("{}{more}", text::printable(head.as_bytes()))
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use crate::cli;

    fn wrong(line: &str) -> String {
        let words = line.split(' ').filter(|word| !word.is_empty()).map(OsString::from);
        let words: Vec<OsString> = std::iter::once("bkctld".into()).chain(words).collect();
        let error = cli::definition().try_get_matches_from(&words).unwrap_err();
        super::explain(&error, &cli::definition(), &words[1..])
    }

    #[test]
    fn what_is_wrong_stands_first_with_what_was_perhaps_meant() {
        for (line, told) in [
            ("stauts", "no command 'stauts'; perhaps 'stats' or 'status'"),
            ("check-setp", "no command 'check-setp'; perhaps 'check-setup' or 'check'"),
            ("xyzzy", "no command 'xyzzy'"),
            ("list --jason", "no option '--jason'; perhaps '--json'"),
            ("--dryrun rm", "no option '--dryrun'; perhaps '--dry-run'"),
            ("list -x", "no option '-x'"),
            ("init", "JAIL is missing"),
            ("rename a", "NEW is missing"),
            ("remove", "JAIL|all is missing"),
            ("init a b", "'b' is one argument too many"),
            ("list --config", "--config FILE: the value is missing"),
            ("-f -f list", "--force is given twice"),
            ("check-incs frist", "'frist' is not one of all, last"),
            ("-q -v list", "--quiet and --verbose exclude each other"),
            ("--force=1 list", "--force takes no value"),
            ("list \u{1b}[31m", "'\\u{1b}[31m' is one argument too many"),
        ] {
            let text = wrong(line);
            assert_eq!(text.lines().next(), Some(format!("bkctld: {told}").as_str()), "{line}:\n{text}");
            assert_eq!(text.lines().count(), 3, "{text}");
            assert!(
                text.lines().nth(1).is_some_and(|line| line.starts_with("Usage: bkctld [options] ")),
                "{text}"
            );
            assert!(text.ends_with('\n') && text.contains("--help"), "{text}");
        }
    }

    #[test]
    fn the_usage_is_that_of_the_command_that_was_named() {
        assert!(wrong("rename a").contains("Usage: bkctld [options] rename OLD NEW\n'bkctld rename --help'"));
        assert!(wrong("-f port").contains("Usage: bkctld [options] port JAIL [N|auto]\n"));
        assert!(wrong("-f check-incs frist").contains("Usage: bkctld [options] check-incs [all|last]\n"));
        assert!(wrong("list --config").contains("Usage: bkctld [options] <command> [arguments]\n"));
        assert!(wrong("statsu").contains("Usage: bkctld [options] <command> [arguments]\n'bkctld --help'"));
    }

    #[test]
    fn a_value_of_the_wrong_form_is_told_in_one_line() {
        let text = wrong("init ..");
        assert!(text.lines().count() == 1 && text.contains("'..'"), "{text}");
    }

    #[test]
    fn a_long_word_is_not_repeated_whole() {
        let text = wrong(&"x".repeat(100_000));
        assert!(text.len() < 400 && text.contains("xxx...'"), "{text}");
    }
}
