//! `is-on`: an exit code for scripts.

use bkctld_core::{Jail, service};
use serde::Serialize;

use super::OneJail;
use crate::context::Context;
use crate::exit::{Exit, Failure};

pub type Arguments = OneJail;

pub fn run(context: &Context, arguments: Arguments) -> Result<Exit, Failure> {
    let jail = match Jail::open(&context.settings, arguments.jail.clone()) {
        Err(_) if context.runs(&arguments.jail) => {
            context.ui.warning(context.on_without_data(&arguments.jail));
            Jail::new(&context.settings, arguments.jail)
        }
        jail => jail?,
    };
    let on = service::is_on(&jail)?;
    if context.ui.json() {
        #[derive(Serialize)]
        struct IsOn<'a> {
            jail: &'a bkctld_core::JailName,
            on: bool,
        }
        context.ui.document("is-on", IsOn { jail: jail.name(), on });
    }
    Ok(if on { Exit::Done } else { Exit::Off })
}
