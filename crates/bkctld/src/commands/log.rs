//! `log`: what sshd said of a jail's sessions, newest first.

use bkctld_core::{Jail, session};
use serde::Serialize;

use super::OneJail;
use crate::context::Context;
use crate::exit::{Exit, Failure};

pub type Arguments = OneJail;

pub fn run(context: &Context, arguments: Arguments) -> Result<Exit, Failure> {
    let jail = Jail::open(&context.settings, arguments.jail)?;
    let lines = session::log_newest_first(&jail)?;
    if context.ui.json() {
        #[derive(Serialize)]
        struct Log<'a> {
            jail: &'a bkctld_core::JailName,
            lines: Vec<String>,
        }
        context.ui.document("log", Log { jail: jail.name(), lines: lines.collect() });
        return Ok(Exit::Done);
    }
    for line in lines {
        context.ui.line(line);
    }
    Ok(Exit::Done)
}
