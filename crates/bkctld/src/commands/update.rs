//! `update`: the shared programs as the host's packages have them now.

use bkctld_core::jail::layout;
use bkctld_core::lock::Lock;
use bkctld_core::runtime::{self, RuntimeStore};
use bkctld_core::service::original::nspawn::{self, Leftovers};
use bkctld_core::service::{self, ServedBy};
use bkctld_core::{Jail, text};
use clap::Args;

use crate::completers;
use crate::context::{Context, Ended, Outcome, Target};
use crate::exit::{Exit, Failure};

/// Bring the programs that the jails share up to the host's packages
#[derive(Args)]
pub struct Arguments {
    /// The jail, or 'all'
    #[arg(value_name = "JAIL|all", add = completers::jail_name_or_all())]
    target: Target,
}

pub fn run(context: &Context, arguments: Arguments) -> Result<Exit, Failure> {
    let names = context.names(&arguments.target)?;
    let changed = if context.options.dry_run {
        false
    } else {
        let built =
            runtime::build(&context.settings, || context.ui.notice("waiting for another update to finish"))?;
        if built.changed {
            context.ui.notice(format_args!("new sessions get runtime {}", built.name));
        }
        built.changed
    };
    let store = RuntimeStore::new(&context.settings);
    Ok(context.for_each(&names, |name| {
        let jail = context.jail(name)?;
        if context.options.dry_run {
            return would(&jail);
        }
        let _lock = Lock::take(&jail.config_lock(), || context.waiting_for(name))?;
        layout::lay_out(&jail, &store)?;
        // Before the programs go that the original's container runs.
        if service::served_by(&jail)? == Some(ServedBy::Nspawn) {
            service::start(&context.settings, &jail)?;
        }
        layout::clear_old_programs(&jail)?;
        let cleared = shown(&nspawn::clear(&jail)?);
        let done = if changed { "updated" } else { "up to date" };
        let gone = if cleared.is_empty() { String::new() } else { format!(", gone: {}", cleared.join(", ")) };
        Ok(Outcome::new(Ended::Done, format_args!("jail '{name}' is {done}{gone}"))
            .with("changed", changed)
            .with("cleared", cleared))
    }))
}

fn would(jail: &Jail) -> Result<Outcome, Failure> {
    let mut message = format!("would update the programs of jail '{}'", jail.name());
    if service::served_by(jail)? == Some(ServedBy::Nspawn) {
        message += ", and take it over from the original's container, whose sessions end";
    }
    let cleared = shown(&Leftovers::of(jail)?);
    if !cleared.is_empty() {
        message += &format!(", and delete {}", cleared.join(", "));
    }
    Ok(Outcome::new(Ended::Would, message).with("cleared", cleared))
}

fn shown(leftovers: &Leftovers) -> Vec<String> {
    leftovers.paths().map(|path| text::path(path).to_string()).collect()
}
