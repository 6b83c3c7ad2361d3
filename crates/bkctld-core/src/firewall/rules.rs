//! Which addresses may reach which jail's port: the value that both back ends are written from.

use std::collections::BTreeMap;

use crate::config::Settings;
use crate::error::{Error, JailContext, Result};
use crate::jail::{self, AllowedAddresses, Jail, JailName, Port, SshdConfig};

/// What one jail's port admits.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct JailRules {
    /// The jail.
    pub jail: JailName,
    /// Its port.
    pub port: Port,
    /// The addresses that may connect to it.
    pub addresses: AllowedAddresses,
}

impl JailRules {
    /// As the jail's `sshd_config` says.
    pub fn read(jail: &Jail) -> Result<JailRules> {
        let read = || {
            let config = SshdConfig::read(jail)?;
            Ok(JailRules {
                jail: jail.name().clone(),
                port: config.port()?,
                addresses: config.allowed_addresses()?,
            })
        };
        read().for_jail(jail.name())
    }
}

/// The rules of all jails.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules(BTreeMap<JailName, JailRules>);

impl Rules {
    /// Of every jail in `JAILDIR`; and for each whose port or addresses cannot be read, why.
    pub fn read(settings: &Settings) -> Result<(Rules, Vec<Error>)> {
        let mut rules = Rules::default();
        let mut unreadable = Vec::new();
        for name in jail::list(settings)? {
            match JailRules::read(&Jail::new(settings, name)) {
                Ok(of_jail) => rules.set(of_jail),
                Err(error) => unreadable.push(error),
            }
        }
        Ok((rules, unreadable))
    }

    /// Puts these in place of the jail's.
    pub fn set(&mut self, rules: JailRules) {
        self.0.insert(rules.jail.clone(), rules);
    }

    /// Takes the jail's away.
    pub fn remove(&mut self, jail: &JailName) {
        self.0.remove(jail);
    }

    /// Each jail's, by name.
    pub fn iter(&self) -> impl Iterator<Item = &JailRules> {
        self.0.values()
    }

    /// Those of this jail.
    pub fn get(&self, jail: &JailName) -> Option<&JailRules> {
        self.0.get(jail)
    }
}
