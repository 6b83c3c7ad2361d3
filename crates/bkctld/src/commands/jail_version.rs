//! `jail-version`: shows the format of a jail on disk.

use bkctld_core::{Jail, JailName};
use clap::Args;

use crate::completers;
use crate::context::Context;
use crate::exit::{Exit, Failure};
use crate::shape::jail_version::Format;

/// Show the format of a jail on disk
#[derive(Args)]
pub struct Arguments {
    /// The jail
    #[arg(value_name = "JAIL", add = completers::jail_name())]
    jail: JailName,
}

pub fn run(context: &Context, arguments: Arguments) -> Result<Exit, Failure> {
    let jail = Jail::open(&context.settings, arguments.jail)?;
    let format = jail.format_version()?;
    context.answer(&Format { jail: jail.name().clone(), format });
    Ok(Exit::Done)
}
