//! `list`: prints the names of all jails.

use clap::Args;

use crate::context::{Context, Target};
use crate::exit::{Exit, Failure};
use crate::shape::list::Names;

/// List the jails' names
#[derive(Args)]
pub struct Arguments {}

pub fn run(context: &Context, _: Arguments) -> Result<Exit, Failure> {
    context.answer(&Names { jails: context.names(&Target::All)? });
    Ok(Exit::Done)
}
