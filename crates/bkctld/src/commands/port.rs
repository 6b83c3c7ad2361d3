//! `port`: the jail's port.

use std::str::FromStr;

use bkctld_core::firewall::{self, Change, JailRules};
use bkctld_core::jail::{Port, Ports, SshdConfig};
use bkctld_core::lock::Lock;
use bkctld_core::{Error, JailName};
use clap::Args;

use crate::completers;
use crate::context::{Context, Ended, Outcome};
use crate::exit::{Exit, Failure};
use crate::shape::port::JailPort;

/// Show or set a jail's port
#[derive(Args)]
pub struct Arguments {
    /// The jail
    #[arg(value_name = "JAIL", add = completers::jail_name())]
    jail: JailName,
    /// The new port, from 1 to 65535, or 'auto' for the next free one
    #[arg(value_name = "N|auto", add = completers::word("auto"), allow_hyphen_values = true)]
    port: Option<Choice>,
}

#[derive(Clone, Copy)]
enum Choice {
    Auto,
    This(Port),
}

impl FromStr for Choice {
    type Err = Error;

    fn from_str(text: &str) -> Result<Choice, Error> {
        if text == "auto" { Ok(Choice::Auto) } else { text.parse().map(Choice::This) }
    }
}

pub fn run(context: &Context, arguments: Arguments) -> Result<Exit, Failure> {
    match arguments.port {
        None => show(context, &arguments.jail),
        Some(choice) => Ok(context.for_each(&[arguments.jail], |name| set(context, name, choice))),
    }
}

fn show(context: &Context, name: &JailName) -> Result<Exit, Failure> {
    let jail = context.jail(name)?;
    let port = SshdConfig::read(&jail)?.port()?;
    context.answer(&JailPort { jail: name.clone(), port });
    Ok(Exit::Done)
}

fn set(context: &Context, name: &JailName, choice: Choice) -> Result<Outcome, Failure> {
    let jail = context.jail(name)?;
    let _lock = Lock::take(&jail.config_lock(), || context.waiting_for(name))?;
    let ports = Ports::lock(&context.settings)?;
    let port = match choice {
        Choice::Auto => ports.next_free()?,
        Choice::This(port) => port,
    };
    if let Some(owner) = ports.owner(port).filter(|owner| *owner != name) {
        return Err(Failure::error(format!("jail '{name}': port {port} belongs to jail '{owner}'")));
    }
    if context.options.dry_run {
        let message = format_args!("would give jail '{name}' port {port}");
        return Ok(Outcome::new(Ended::Would, message).with("port", port.get()));
    }
    let mut config = SshdConfig::read(&jail)?;
    config.set_port(port)?;
    let rules = JailRules { jail: name.clone(), port, addresses: config.allowed_addresses()? };
    firewall::change(&context.settings, &Change::admit(rules), |_| config.save())?;
    drop(ports);
    context.reload_if_on(&jail)?;
    Ok(Outcome::new(Ended::Done, format_args!("jail '{name}' has port {port}")).with("port", port.get()))
}
