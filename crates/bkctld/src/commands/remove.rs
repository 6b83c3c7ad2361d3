//! `remove`: a jail with all that belongs to it.

use bkctld_core::lock::Lock;
use bkctld_core::{Jail, JailName, lifecycle};
use bkctld_sandbox::service;

use super::JailOrAll;
use crate::context::{Context, Ended, Outcome, Target};
use crate::exit::{Exit, Failure};

pub type Arguments = JailOrAll;

const EXPLANATION: &str =
    "Y: the jail, its incs, its configuration and its records are deleted; n: nothing is done";

pub fn run(context: &Context, arguments: Arguments) -> Result<Exit, Failure> {
    if let Target::One(name) = &arguments.target
        && context.settings.force
        && !Jail::new(&context.settings, name.clone()).exists()
    {
        context.ui.warning(format_args!("no jail named '{name}': nothing to remove"));
        return clear_leftovers(context).map(|()| Exit::Done);
    }
    let names = match context.names(&arguments.target) {
        // Perhaps since a removal was killed in the middle of deleting, which is finished here.
        Err(unknown) => {
            if let Err(failure) = clear_leftovers(context) {
                context.ui.warning(format_args!("{failure}"));
            }
            return Err(unknown);
        }
        names => names?,
    };
    let exit =
        context.for_each_agreed("remove", &names, ("delete", EXPLANATION), |name| remove(context, name));
    clear_leftovers(context)?;
    Ok(exit)
}

/// A removal that could not finish has left a hidden directory, of a jail that is listed no more.
fn clear_leftovers(context: &Context) -> Result<(), Failure> {
    if context.settings.dry_run { Ok(()) } else { Ok(lifecycle::clear_leftovers(&context.settings)?) }
}

fn remove(context: &Context, name: &JailName) -> Result<Outcome, Failure> {
    let jail = Jail::open(&context.settings, name.clone())?;
    if context.settings.dry_run {
        let message = format_args!("would delete jail '{name}', its incs and its configuration");
        return Ok(Outcome::new(Ended::Would, message));
    }
    let _config = Lock::take(&jail.config_lock(), || context.waiting_for(name))?;
    service::stop_for_good(&context.settings, &jail)?;
    let _incs = Lock::take(&jail.incs_lock(), || context.waiting_for(name))?;
    lifecycle::remove(&context.settings, &jail)?;
    Ok(Outcome::new(Ended::Done, format_args!("jail '{name}' deleted")))
}
