//! `key`: shows or replaces the keys that may log in.

use std::io::{self, IsTerminal, Read};
use std::path::{Path, PathBuf};

use bkctld_core::error::IoContext;
use bkctld_core::file;
use bkctld_core::jail::Keys;
use bkctld_core::lifecycle::access;
use bkctld_core::{Error, JailName, text};
use clap::Args;

use crate::completers;
use crate::context::{Context, Ended, Outcome};
use crate::exit::{Exit, Failure};
use crate::shape;
use crate::shape::key::NewKeys;

/// Show or replace a jail's authorized keys
#[derive(Args)]
pub struct Arguments {
    /// The jail
    #[arg(value_name = "JAIL", add = completers::jail_name())]
    jail: JailName,
    /// A file of public keys, one per line, that replace those of the jail; '-' reads standard input
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
}

pub fn run(context: &Context, arguments: Arguments) -> Result<Exit, Failure> {
    match &arguments.file {
        None => show(context, &arguments.jail),
        Some(file) => Ok(context.for_each(&[arguments.jail], |name| replace(context, name, file))),
    }
}

fn show(context: &Context, name: &JailName) -> Result<Exit, Failure> {
    let jail = context.jail(name)?;
    let file = file::read_if_there(&jail.authorized_keys())?.unwrap_or_default();
    context.answer(&shape::key::Keys::new(name.clone(), file));
    Ok(Exit::Done)
}

fn replace(context: &Context, name: &JailName, file: &Path) -> Result<Outcome<NewKeys>, Failure> {
    // Before the keys are asked for.
    context.jail(name)?;
    if file == Path::new("-") && io::stdin().is_terminal() {
        context.ui.show_notice("enter the public keys, one per line, then Ctrl-D on an empty line");
    }
    let content = read(file)?;
    let keys = Keys::check(file, &content)?;
    let count = keys.keys().len();
    let counted = text::count(count, "key");
    if context.options.dry_run {
        let message = format_args!("would install {counted} for jail '{name}'");
        return Ok(Outcome::new(Ended::Would, message).with(NewKeys { keys: count }));
    }
    access::replace_keys(&context.settings, name, &keys, context)?;
    Ok(Outcome::new(Ended::Done, format_args!("jail '{name}' has {counted} now"))
        .with(NewKeys { keys: count }))
}

/// Reads the administrator's file, or standard input, up to the limit of such files.
fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    if path != Path::new("-") {
        return match file::read_if_there(path)? {
            Some(content) => Ok(content),
            None => Err(Error::invalid(format!("no key file {}", text::path(path))).at(path).into()),
        };
    }
    let mut content = Vec::new();
    io::stdin()
        .take(file::SMALL_FILE_LIMIT + 1)
        .read_to_end(&mut content)
        .context("cannot read", "standard input")?;
    if content.len() as u64 > file::SMALL_FILE_LIMIT {
        return Err(Error::invalid("standard input is larger than any list of keys").into());
    }
    Ok(content)
}
