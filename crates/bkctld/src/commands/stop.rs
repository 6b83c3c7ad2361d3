//! `stop`: the jail's SSH service off, its sessions ended.

use bkctld_core::Jail;
use bkctld_core::lock::Lock;
use bkctld_sandbox::service::{self, Change};

use super::JailOrAll;
use crate::context::{Context, Ended, Outcome};
use crate::exit::{Exit, Failure};

pub type Arguments = JailOrAll;

pub fn run(context: &Context, arguments: Arguments) -> Result<Exit, Failure> {
    let names = context.names(&arguments.target)?;
    Ok(context.for_each("stop", &names, |name| {
        let jail = Jail::open(&context.settings, name.clone())?;
        if context.settings.dry_run {
            return Ok(Outcome::new(
                Ended::Would,
                format_args!("would stop jail '{name}' and end its sessions"),
            ));
        }
        let _lock = Lock::take(&jail.config_lock(), || context.waiting_for(name))?;
        Ok(match service::stop(&context.settings, &jail)? {
            Change::Made => Outcome::new(Ended::Done, format_args!("jail '{name}' stopped")),
            Change::NotNeeded => Outcome::new(Ended::Skipped, format_args!("jail '{name}' is off already")),
        })
    }))
}
