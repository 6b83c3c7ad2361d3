//! `convert-v2`: a jail of the first format gets the second, in place.

use bkctld_core::lifecycle::{Conversion, WasOn};
use bkctld_core::lock::Lock;
use bkctld_core::runtime::RuntimeStore;
use bkctld_core::{Jail, JailName, service};
use clap::Args;

use crate::completers;
use crate::context::{Context, Ended, Outcome};
use crate::exit::{Exit, Failure};

/// Convert a jail of version 1 in place
#[derive(Args)]
pub struct Arguments {
    /// The jail
    #[arg(value_name = "JAIL", add = completers::jail_name())]
    jail: JailName,
}

pub fn run(context: &Context, arguments: Arguments) -> Result<Exit, Failure> {
    Ok(context.for_each(&[arguments.jail], |name| {
        let jail = Jail::open(&context.settings, name.clone())?;
        if context.options.dry_run {
            return would(&jail);
        }
        let _config = Lock::take(&jail.config_lock(), || context.waiting_for(name))?;
        let _incs = Lock::take(&jail.incs_lock(), || context.waiting_for(name))?;
        // Again, as another conversion may just have ended.
        convert(context, &Jail::open(&context.settings, name.clone())?)
    }))
}

fn would(jail: &Jail) -> Result<Outcome, Failure> {
    if !jail.has_old_layout() && WasOn::of(jail).is_noted() {
        let message = format_args!("would start jail '{}', which was on before its conversion", jail.name());
        return Ok(Outcome::new(Ended::Would, message));
    }
    let steps: Vec<String> = Conversion::plan(jail)?.steps().iter().map(ToString::to_string).collect();
    let ends = if service::is_on(jail)? { ", end its sessions and start it again" } else { "" };
    let message = format!("would convert jail '{}' to version 2{ends}: {}", jail.name(), steps.join("; "));
    Ok(Outcome::new(Ended::Would, message).with("steps", steps))
}

fn convert(context: &Context, jail: &Jail) -> Result<Outcome, Failure> {
    let name = jail.name();
    let was_on = WasOn::of(jail);
    // One that was interrupted when only the start was left is finished, too.
    if jail.has_old_layout() || !was_on.is_noted() {
        Conversion::plan(jail)?;
        // What may be missing on the server is missed before anything is stopped or moved.
        RuntimeStore::ready(&context.settings)?;
        if service::is_on(jail)? {
            was_on.note()?;
        }
        service::stop(&context.settings, jail)?;
        // Once more: until here the client could change what is looked at.
        let done = Conversion::plan(jail).and_then(|plan| plan.carry_out(&context.settings));
        if was_on.is_noted() {
            let off =
                |error| format!("{error}; the jail is off now: when that is mended, run convert-v2 again");
            done.map_err(|error| Failure::error(off(error)))?;
        } else {
            done?;
        }
    }
    if !was_on.is_noted() {
        return Ok(Outcome::new(Ended::Done, format_args!("jail '{name}' has version 2 now")));
    }
    let started = start(context, &Jail::open(&context.settings, name.clone())?);
    was_on.forget()?;
    match started {
        Ok(()) => {
            Ok(Outcome::new(Ended::Done, format_args!("jail '{name}' has version 2 now, and is on again")))
        }
        Err(error) => {
            Err(Failure::error(format!("jail '{name}' has version 2 now, but does not start: {error}")))
        }
    }
}

/// A run that was killed may have left a supervisor that is about to start the listener: it is ended
/// first, so that this one hears what its own start says.
fn start(context: &Context, jail: &Jail) -> bkctld_core::Result<()> {
    if jail.is_listening()? { Ok(()) } else { service::restart(&context.settings, jail) }
}
