//! `update`: the shared programs as the host's packages have them now.

use bkctld_core::jail;
use bkctld_core::lock::Lock;
use bkctld_core::runtime::{self, RuntimeStore};

use super::JailOrAll;
use crate::context::{Context, Ended, Outcome};
use crate::exit::{Exit, Failure};

pub type Arguments = JailOrAll;

pub fn run(context: &Context, arguments: Arguments) -> Result<Exit, Failure> {
    let names = context.names(&arguments.target)?;
    let changed = if context.settings.dry_run {
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
    Ok(context.for_each("update", &names, |name| {
        let jail = context.jail(name)?;
        if context.settings.dry_run {
            return Ok(Outcome::new(
                Ended::Would,
                format_args!("would update the programs of jail '{name}'"),
            ));
        }
        let _lock = Lock::take(&jail.config_lock(), || context.waiting_for(name))?;
        jail::lay_out(&jail, &store)?;
        jail::clear_old_programs(&jail)?;
        let done = if changed { "updated" } else { "up to date" };
        Ok(Outcome::new(Ended::Done, format_args!("jail '{name}' is {done}")).with("changed", changed))
    }))
}
