//! `list`: the names.

use clap::Args;
use serde::Serialize;

use crate::context::{Context, Target};
use crate::exit::{Exit, Failure};

#[derive(Args)]
pub struct Arguments {}

pub fn run(context: &Context, _: Arguments) -> Result<Exit, Failure> {
    let names = context.names(&Target::All)?;
    if context.ui.json() {
        #[derive(Serialize)]
        struct List<'a> {
            jails: &'a [bkctld_core::JailName],
        }
        context.ui.document("list", List { jails: &names });
        return Ok(Exit::Done);
    }
    for name in names {
        context.ui.line(name);
    }
    Ok(Exit::Done)
}
