//! `restart`: stops and starts a jail.

use bkctld_core::service;
use bkctld_core::watch::lock_config;
use clap::Args;

use crate::completers;
use crate::context::{Context, Ended, Outcome, Target};
use crate::exit::{Exit, Failure};

/// Stop and start a jail's SSH service
#[derive(Args)]
pub struct Arguments {
    /// The jail, or 'all'
    #[arg(value_name = "JAIL|all", add = completers::jail_name_or_all())]
    target: Target,
}

pub fn run(context: &Context, arguments: Arguments) -> Result<Exit, Failure> {
    let names = context.names(&arguments.target)?;
    Ok(context.for_each(&names, |name| {
        if let Some(left_out) = context.left_out(&arguments.target, name) {
            return Ok(left_out);
        }
        let jail = context.jail(name)?;
        if context.options.dry_run {
            return Ok(Outcome::new(
                Ended::Would,
                format_args!("would restart jail '{name}' and end its sessions"),
            ));
        }
        let _lock = lock_config(&jail, context)?;
        service::restart(&context.settings, &jail)?;
        Ok(Outcome::new(Ended::Done, format_args!("jail '{name}' restarted")))
    }))
}
