//! `init`: a new jail.

use bkctld_core::Jail;
use bkctld_core::jail::{Port, Ports};
use bkctld_core::lifecycle;
use bkctld_core::lock::Lock;

use super::OneJail;
use crate::context::{Context, Ended, Outcome};
use crate::exit::{Exit, Failure};

pub type Arguments = OneJail;

pub fn run(context: &Context, arguments: Arguments) -> Result<Exit, Failure> {
    Ok(context.for_each("init", &[arguments.jail], |name| {
        let jail = Jail::new(&context.settings, name.clone());
        if context.settings.dry_run {
            return would(context, &jail);
        }
        let _lock = Lock::take(&jail.config_lock(), || context.waiting_for(name))?;
        let port = lifecycle::create(&context.settings, &jail)?;
        Ok(Outcome::new(
            Ended::Done,
            format_args!(
                "jail '{name}' created on port {port}; next: bkctld key {name} FILE, then bkctld start {name}"
            ),
        )
        .with("port", port.get()))
    }))
}

fn would(context: &Context, jail: &Jail) -> Result<Outcome, Failure> {
    let name = jail.name();
    if jail.exists() {
        return Err(bkctld_core::Error::JailExists(name.clone()).into());
    }
    let missing = context.settings.check_dirs()?;
    let first = missing.contains(&context.settings.jail_dir.as_path());
    let port = if first { Port::FIRST } else { Ports::lock(&context.settings)?.next_free()? };
    Ok(Outcome::new(Ended::Would, format_args!("would create jail '{name}' on port {port}"))
        .with("port", port.get()))
}
