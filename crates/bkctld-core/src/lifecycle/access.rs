//! Who reaches a jail: its port, the addresses that may connect, the keys that may log in. A jail that is on goes on
//! with the change; its sessions are left alone.

use crate::config::Settings;
use crate::error::{Error, Result};
use crate::file;
use crate::firewall::{self, Change, JailRules};
use crate::jail::{AddressChange, AllowedAddresses, Jail, JailName, Keys, Port, Ports, SshdConfig};
use crate::service;
use crate::watch::{Watch, lock_config};

/// Which port a jail is to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PortChoice {
    /// The next free one.
    NextFree,
    /// The one that the administrator has named.
    This(Port),
}

/// Looks which port the jail would get. Nothing is done yet.
///
/// # Errors
/// The port is another jail's, or none is free.
pub fn plan_port(settings: &Settings, name: &JailName, choice: PortChoice) -> Result<Port> {
    let jail = Jail::open_current(settings, name)?;
    choose(&Ports::lock(settings)?, &jail, choice)
}

/// Gives the jail a port, and returns it.
///
/// # Errors
/// As [`plan_port`]; a firewall or a listener that does not change to it.
pub fn set_port(settings: &Settings, name: &JailName, choice: PortChoice, watch: &dyn Watch) -> Result<Port> {
    let jail = Jail::open_current(settings, name)?;
    let _lock = lock_config(&jail, watch)?;
    let ports = Ports::lock(settings)?;
    let port = choose(&ports, &jail, choice)?;
    let mut config = SshdConfig::read(&jail)?;
    config.set_port(port)?;
    admit_and_save(settings, &jail, &config)?;
    drop(ports);
    service::reload_if_on(&jail)?;
    Ok(port)
}

fn choose(ports: &Ports, jail: &Jail, choice: PortChoice) -> Result<Port> {
    let port = match choice {
        PortChoice::NextFree => ports.next_free()?,
        PortChoice::This(port) => port,
    };
    match ports.owner(port).filter(|owner| *owner != jail.name()) {
        Some(owner) => {
            Err(Error::refused(format!("port {port} belongs to jail '{owner}'")).in_jail(jail.name()))
        }
        None => Ok(port),
    }
}

/// Looks which addresses could connect after this change. Nothing is done yet.
pub fn plan_addresses(
    settings: &Settings,
    name: &JailName,
    change: AddressChange,
) -> Result<AllowedAddresses> {
    SshdConfig::read(&Jail::open_current(settings, name)?)?.allowed_addresses()?.changed(change)
}

/// Changes which addresses may connect, and returns all of them.
///
/// # Errors
/// A change that would leave nobody; a firewall or a listener that does not change to it.
pub fn change_addresses(
    settings: &Settings,
    name: &JailName,
    change: AddressChange,
    watch: &dyn Watch,
) -> Result<AllowedAddresses> {
    let jail = Jail::open_current(settings, name)?;
    let _lock = lock_config(&jail, watch)?;
    let mut config = SshdConfig::read(&jail)?;
    let allowed = config.allowed_addresses()?.changed(change)?;
    config.set_allowed_addresses(&allowed)?;
    admit_and_save(settings, &jail, &config)?;
    service::reload_if_on(&jail)?;
    Ok(allowed)
}

/// The firewall first: where it refuses, the jail stays as it is.
fn admit_and_save(settings: &Settings, jail: &Jail, config: &SshdConfig) -> Result<()> {
    let (port, addresses) = (config.port()?, config.allowed_addresses()?);
    let rules = JailRules { jail: jail.name().clone(), port, addresses };
    firewall::change(settings, &Change::admit(rules), |_| config.save())
}

/// Replaces the keys that may log in. sshd reads them at each login, so nothing is reloaded.
pub fn replace_keys(settings: &Settings, name: &JailName, keys: &Keys, watch: &dyn Watch) -> Result<()> {
    let jail = Jail::open_current(settings, name)?;
    let _lock = lock_config(&jail, watch)?;
    file::replace(&jail.authorized_keys(), 0o600, keys.content())
}
