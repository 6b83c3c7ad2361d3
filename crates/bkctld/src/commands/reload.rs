//! `reload`: applies a changed configuration; sessions continue.

use bkctld_core::service;
use bkctld_core::watch::lock_config;
use clap::Args;

use crate::completers;
use crate::context::{Context, Ended, Outcome, Target};
use crate::exit::{Exit, Failure};

/// Apply a changed configuration; sessions continue
#[derive(Args)]
pub struct Arguments {
    /// The jail, or 'all'
    #[arg(value_name = "JAIL|all", add = completers::jail_name_or_all())]
    target: Target,
}

pub fn run(context: &Context, arguments: Arguments) -> Result<Exit, Failure> {
    let names = context.names(&arguments.target)?;
    Ok(context.for_each(&names, |name| -> Result<Outcome, Failure> {
        let jail = context.jail(name)?;
        if !service::is_on(&jail)? {
            let off = format!("jail '{name}' is off, nothing to reload");
            return match arguments.target {
                Target::All => Ok(Outcome::new(Ended::Skipped, off)),
                Target::One(_) => Ok(Outcome::new(Ended::Skipped, off).into_warning()),
            };
        }
        if context.options.dry_run {
            return Ok(Outcome::new(Ended::Would, format_args!("would reload jail '{name}'")));
        }
        let _lock = lock_config(&jail, context)?;
        service::reload(&jail)?;
        Ok(Outcome::new(Ended::Done, format_args!("jail '{name}' reloaded")))
    }))
}
