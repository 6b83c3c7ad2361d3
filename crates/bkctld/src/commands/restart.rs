//! `restart`: off and on again.

use bkctld_core::lock::Lock;
use bkctld_core::service;

use super::JailOrAll;
use crate::context::{Context, Ended, Outcome};
use crate::exit::{Exit, Failure};

pub type Arguments = JailOrAll;

pub fn run(context: &Context, arguments: Arguments) -> Result<Exit, Failure> {
    let names = context.names(&arguments.target)?;
    Ok(context.for_each("restart", &names, |name| {
        if let Some(left_out) = context.left_out(&arguments.target, name) {
            return Ok(left_out);
        }
        let jail = context.jail(name)?;
        if context.settings.dry_run {
            return Ok(Outcome::new(
                Ended::Would,
                format_args!("would restart jail '{name}' and end its sessions"),
            ));
        }
        let _lock = Lock::take(&jail.config_lock(), || context.waiting_for(name))?;
        service::restart(&context.settings, &jail)?;
        Ok(Outcome::new(Ended::Done, format_args!("jail '{name}' restarted")))
    }))
}
