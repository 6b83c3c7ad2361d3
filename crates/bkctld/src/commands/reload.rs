//! `reload`: changed configuration picked up, sessions untouched.

use bkctld_core::lock::Lock;
use bkctld_core::service;

use super::JailOrAll;
use crate::context::{Context, Ended, Outcome, Target};
use crate::exit::{Exit, Failure};

pub type Arguments = JailOrAll;

pub fn run(context: &Context, arguments: Arguments) -> Result<Exit, Failure> {
    let names = context.names(&arguments.target)?;
    Ok(context.for_each("reload", &names, |name| {
        let jail = context.jail(name)?;
        if !service::is_on(&jail)? {
            let off = format!("jail '{name}' is off, nothing to reload");
            return match arguments.target {
                Target::All => Ok(Outcome::new(Ended::Skipped, off)),
                Target::One(_) => Ok(Outcome::new(Ended::Skipped, off).into_warning()),
            };
        }
        if context.settings.dry_run {
            return Ok(Outcome::new(Ended::Would, format_args!("would reload jail '{name}'")));
        }
        let _lock = Lock::take(&jail.config_lock(), || context.waiting_for(name))?;
        service::reload(&jail)?;
        Ok(Outcome::new(Ended::Done, format_args!("jail '{name}' reloaded")))
    }))
}
