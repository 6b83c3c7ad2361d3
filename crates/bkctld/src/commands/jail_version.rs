//! `jail-version`: the format of the jail on disk.

use bkctld_core::{Jail, JailName};
use serde::Serialize;

use super::OneJail;
use crate::context::Context;
use crate::exit::{Exit, Failure};

pub type Arguments = OneJail;

pub fn run(context: &Context, arguments: Arguments) -> Result<Exit, Failure> {
    let jail = Jail::open(&context.settings, arguments.jail)?;
    let format = jail.format_version()?;
    if context.ui.json() {
        #[derive(Serialize)]
        struct Shown<'a> {
            jail: &'a JailName,
            format: String,
        }
        context.ui.document("jail-version", Shown { jail: jail.name(), format });
    } else {
        context.ui.line(format);
    }
    Ok(Exit::Done)
}
