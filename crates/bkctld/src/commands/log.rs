//! `log`: prints sshd's messages about a jail's sessions, newest first.

use bkctld_core::{Jail, JailName, session};
use clap::Args;

use crate::completers;
use crate::context::Context;
use crate::exit::{Exit, Failure};
use crate::shape::log::Log;

/// Show a jail's SSH log, newest first
#[derive(Args)]
pub struct Arguments {
    /// The jail
    #[arg(value_name = "JAIL", add = completers::jail_name())]
    jail: JailName,
}

pub fn run(context: &Context, arguments: Arguments) -> Result<Exit, Failure> {
    let jail = Jail::open(&context.settings, arguments.jail)?;
    let lines = session::log_newest_first(&jail)?;
    context.answer(&Log::new(jail.name().clone(), lines));
    Ok(Exit::Done)
}
