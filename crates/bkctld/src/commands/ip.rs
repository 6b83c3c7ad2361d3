//! `ip`: shows or changes the addresses that may connect to a jail.

use bkctld_core::JailName;
use bkctld_core::jail::{AddressChange, AllowedAddresses, SshdConfig};
use bkctld_core::lifecycle::access;
use clap::Args;

use crate::completers;
use crate::context::{Context, Ended, Outcome};
use crate::exit::{Exit, Failure};
use crate::shape::ip::{Addresses, NewAddresses};

/// Show the addresses that may connect; add or remove one
#[derive(Args)]
pub struct Arguments {
    /// The jail
    #[arg(value_name = "JAIL", add = completers::jail_name())]
    jail: JailName,
    /// An address or network to add, 'all' to allow everyone, -ADDR to remove one
    #[arg(value_name = "ADDR|all|-ADDR", add = completers::word("all"), allow_hyphen_values = true)]
    address: Option<AddressChange>,
}

pub fn run(context: &Context, arguments: Arguments) -> Result<Exit, Failure> {
    match arguments.address {
        None => show(context, &arguments.jail),
        Some(change) => Ok(context.for_each(&[arguments.jail], |name| set(context, name, change))),
    }
}

fn show(context: &Context, name: &JailName) -> Result<Exit, Failure> {
    let jail = context.jail(name)?;
    let addresses = shown(&SshdConfig::read(&jail)?.allowed_addresses()?);
    context.answer(&Addresses { jail: name.clone(), addresses });
    Ok(Exit::Done)
}

fn set(context: &Context, name: &JailName, change: AddressChange) -> Result<Outcome<NewAddresses>, Failure> {
    let settings = &context.settings;
    let (addresses, outcome) = if context.options.dry_run {
        let addresses = shown(&access::plan_addresses(settings, name, change)?);
        let list = addresses.join(", ");
        let message = format_args!("would allow {list} to connect to jail '{name}'");
        (addresses, Outcome::new(Ended::Would, message))
    } else {
        let addresses = shown(&access::change_addresses(settings, name, change, context)?);
        let list = addresses.join(", ");
        (addresses, Outcome::new(Ended::Done, format_args!("jail '{name}' allows {list}")))
    };
    Ok(outcome.with(NewAddresses { addresses }))
}

fn shown(addresses: &AllowedAddresses) -> Vec<String> {
    addresses.iter().map(|address| address.to_string()).collect()
}
