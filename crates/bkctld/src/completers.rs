//! The completions for each kind of argument: the existing jails and incs.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use bkctld_core::{Jail, JailName, Settings, inc, jail};
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate};

use crate::options::read_configuration;

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

/// Completes one special word.
pub fn word(word: &'static str) -> ArgValueCompleter {
    ArgValueCompleter::new(move |typed: &OsStr| beginning_with(typed, [word.to_owned()].into_iter()))
}

fn names() -> impl Iterator<Item = String> {
    let names = settings().and_then(|settings| jail::list(&settings).ok()).unwrap_or_default();
    names.into_iter().map(|name: JailName| name.to_string())
}

/// The settings that the command will have, including those of a file that the words name. None if they
/// cannot be read, because a completion cannot report errors.
fn settings() -> Option<Settings> {
    let words: Vec<OsString> = std::env::args_os().collect();
    let named = words.windows(2).find(|pair| pair[0] == "--config").map(|pair| Path::new(&pair[1]));
    Some(read_configuration(named).ok()?.settings)
}

fn beginning_with(word: &OsStr, all: impl Iterator<Item = String>) -> Vec<CompletionCandidate> {
    let Some(word) = word.to_str() else { return Vec::new() };
    all.filter(|candidate| candidate.starts_with(word)).map(CompletionCandidate::new).collect()
}
