//! `stop`: stops a jail's SSH service and ends its sessions.

use bkctld_core::jail::{self, Jail, JailName};
use bkctld_core::service::{self, Effect};
use bkctld_core::watch::lock_config;
use clap::Args;

use crate::completers;
use crate::context::{Context, Ended, Outcome, Target};
use crate::exit::{Exit, Failure};

/// Stop a jail's SSH service and end its sessions
#[derive(Args)]
pub struct Arguments {
    /// The jail, or 'all'
    #[arg(value_name = "JAIL|all", add = completers::jail_name_or_all())]
    target: Target,
}

pub fn run(context: &Context, arguments: Arguments) -> Result<Exit, Failure> {
    let names = names(context, &arguments.target)?;
    Ok(context.for_each(&names, |name| -> Result<Outcome, Failure> {
        let jail = Jail::new(&context.settings, name.clone());
        if context.options.dry_run {
            return Ok(Outcome::new(
                Ended::Would,
                format_args!("would stop jail '{name}' and end its sessions"),
            ));
        }
        let _lock = lock_config(&jail, context)?;
        Ok(match service::stop(&context.settings, &jail)? {
            Effect::Changed => Outcome::new(Ended::Done, format_args!("jail '{name}' stopped")),
            Effect::Unchanged => Outcome::new(Ended::Skipped, format_args!("jail '{name}' is off already")),
        })
    }))
}

/// Includes running jails without a directory: they are found by their locks, so that they can be stopped
/// when the backup partition is missing.
fn names(context: &Context, target: &Target) -> Result<Vec<JailName>, Failure> {
    match target {
        Target::One(name) if context.runs(name) => Ok(vec![name.clone()]),
        Target::One(_) => context.names(target),
        Target::All => {
            let listed = jail::list(&context.settings);
            let lost = jail::running_without_data(&context.settings, listed.as_deref().unwrap_or_default())?;
            let mut names = match listed {
                Err(error) if lost.is_empty() => return Err(error.into()),
                Err(error) => {
                    context.ui.warning(error);
                    Vec::new()
                }
                Ok(names) => names,
            };
            names.extend(lost);
            names.sort();
            Ok(names)
        }
    }
}
