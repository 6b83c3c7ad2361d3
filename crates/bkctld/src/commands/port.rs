//! `port`: shows or sets a jail's port.

use bkctld_core::jail::SshdConfig;
use bkctld_core::lifecycle::access::{self, PortChoice};
use bkctld_core::{Error, JailName};
use clap::Args;

use crate::completers;
use crate::context::{Context, Ended, Outcome};
use crate::exit::{Exit, Failure};
use crate::shape::port::{JailPort, NewPort};

/// Show or set a jail's port
#[derive(Args)]
pub struct Arguments {
    /// The jail
    #[arg(value_name = "JAIL", add = completers::jail_name())]
    jail: JailName,
    /// The new port, from 1 to 65535, or 'auto' for the next free one
    #[arg(value_name = "N|auto", add = completers::word("auto"), allow_hyphen_values = true, value_parser = choice)]
    port: Option<PortChoice>,
}

/// What is typed for it.
fn choice(text: &str) -> Result<PortChoice, Error> {
    if text == "auto" { Ok(PortChoice::NextFree) } else { text.parse().map(PortChoice::This) }
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

fn set(context: &Context, name: &JailName, choice: PortChoice) -> Result<Outcome<NewPort>, Failure> {
    let settings = &context.settings;
    let (port, outcome) = if context.options.dry_run {
        let port = access::plan_port(settings, name, choice)?;
        (port, Outcome::new(Ended::Would, format_args!("would give jail '{name}' port {port}")))
    } else {
        let port = access::set_port(settings, name, choice, context)?;
        (port, Outcome::new(Ended::Done, format_args!("jail '{name}' has port {port}")))
    };
    Ok(outcome.with(NewPort { port }))
}
