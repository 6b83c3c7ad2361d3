//! `update`: renews the shared programs from the server's packages.

use bkctld_core::lifecycle::update;
use bkctld_core::service::original::nspawn::Leftovers;
use bkctld_core::{Jail, runtime, text};
use clap::Args;

use crate::completers;
use crate::context::{Context, Ended, Outcome, Target};
use crate::exit::{Exit, Failure};
use crate::shape::update::Updated;

/// Renew the programs that the jails share from those of the server
#[derive(Args)]
pub struct Arguments {
    /// The jail, or 'all'
    #[arg(value_name = "JAIL|all", add = completers::jail_name_or_all())]
    target: Target,
}

pub fn run(context: &Context, arguments: Arguments) -> Result<Exit, Failure> {
    let names = context.names(&arguments.target)?;
    let changed = !context.options.dry_run && build(context)?;
    Ok(context.for_each(&names, |name| {
        if context.options.dry_run {
            return would(&context.jail(name)?);
        }
        let cleared = shown(&update::run(&context.settings, name, context)?);
        let done = if changed { "updated" } else { "up to date" };
        let gone = if cleared.is_empty() { String::new() } else { format!(", gone: {}", cleared.join(", ")) };
        Ok(Outcome::new(Ended::Done, format_args!("jail '{name}' is {done}{gone}"))
            .with(Updated { changed: Some(changed), cleared }))
    }))
}

/// Collects the programs once for all jails, and says whether they are others than before.
fn build(context: &Context) -> Result<bool, Failure> {
    let waiting = || context.ui.notice("waiting for another update to finish");
    let built = runtime::build(&context.settings, waiting)?;
    if built.changed {
        context.ui.notice(format_args!("new sessions use runtime {}", built.name));
    }
    Ok(built.changed)
}

fn would(jail: &Jail) -> Result<Outcome<Updated>, Failure> {
    let planned = update::plan(jail)?;
    let mut message = format!("would update the programs of jail '{}'", jail.name());
    if planned.takes_over {
        message += ", and take it over from the original's container, whose sessions end";
    }
    let cleared = shown(&planned.leftovers);
    if !cleared.is_empty() {
        message += &format!(", and delete {}", cleared.join(", "));
    }
    Ok(Outcome::new(Ended::Would, message).with(Updated { changed: None, cleared }))
}

fn shown(leftovers: &Leftovers) -> Vec<String> {
    leftovers.paths().map(|path| text::path(path).to_string()).collect()
}
