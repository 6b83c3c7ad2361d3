//! The addresses that may reach each jail's port: both back ends are written from this value.

use std::collections::BTreeMap;

use crate::config::Settings;
use crate::error::{Error, ErrorKind, JailContext, Result};
use crate::jail::{self, AllowedAddresses, Jail, JailName, Port, SshdConfig};

/// The rule for one jail's port.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct JailRules {
    /// The jail that the rules are about.
    pub jail: JailName,
    /// The port that `sshd_config` gives it.
    pub port: Port,
    /// The addresses that may connect to it.
    pub addresses: AllowedAddresses,
}

impl JailRules {
    /// Reads the rule from the jail's `sshd_config`.
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

/// Lower ports can only be opened by root: they belong to the server's own services.
const FIRST_PORT_OF_JAILS: u16 = 1024;

/// The rules of all jails.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules(BTreeMap<JailName, JailRules>);

impl Rules {
    /// Reads the rules of every jail in `JAILDIR`, and the errors for jails whose port or addresses cannot be
    /// read.
    pub fn read(settings: &Settings) -> Result<(Rules, Vec<Error>)> {
        let mut rules = Rules::default();
        let mut unreadable = Vec::new();
        let mut doubtful = Vec::new();
        for name in jail::list(settings)? {
            let jail = Jail::new(settings, name);
            match JailRules::read(&jail) {
                Ok(of_jail) if jail.has_old_layout() => doubtful.push(of_jail),
                Ok(of_jail) => rules.set(of_jail),
                Err(error) => unreadable.push(error),
            }
        }
        for of_jail in doubtful {
            match rules.stranger(&of_jail) {
                None => rules.set(of_jail),
                Some(why) => unreadable.push(Error::new(ErrorKind::Untrusted, why).in_jail(&of_jail.jail)),
            }
        }
        Ok((rules, unreadable))
    }

    /// The reason why the rules of a jail of the first format are not trusted: its client can write its own
    /// `sshd_config`, and would control a port of the server or of another jail.
    fn stranger(&self, of_jail: &JailRules) -> Option<String> {
        if of_jail.port.get() < FIRST_PORT_OF_JAILS {
            return Some(format!("port {} is one of the server's own services", of_jail.port));
        }
        let other = self.iter().find(|known| known.port == of_jail.port)?;
        Some(format!("port {} is already used by jail '{}'", of_jail.port, other.jail))
    }

    /// Replaces the rule of the jail.
    pub fn set(&mut self, rules: JailRules) {
        self.0.insert(rules.jail.clone(), rules);
    }

    /// Removes the rule of the jail.
    pub fn remove(&mut self, jail: &JailName) {
        self.0.remove(jail);
    }

    /// The rule of each jail, by name.
    pub fn iter(&self) -> impl Iterator<Item = &JailRules> {
        self.0.values()
    }

    /// The rule of this jail.
    pub fn get(&self, jail: &JailName) -> Option<&JailRules> {
        self.0.get(jail)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_client_of_the_first_format_wrote_opens_no_port_of_another() {
        let dir = tempfile::tempdir().unwrap();
        let settings = Settings::on_partition(dir.path());
        let jail = |place: &str, port: u16| {
            let config = settings.jail_dir.join(place).join("etc/ssh/sshd_config");
            std::fs::create_dir_all(config.parent().unwrap()).unwrap();
            std::fs::write(config, format!("Port {port}\nAllowUsers root@192.0.2.1\n")).unwrap();
        };
        jail("new/rootfs", 2300);
        std::fs::write(settings.jail_dir.join("new/version"), "2\n").unwrap();
        jail("evil", 22);
        jail("greedy", 2300);
        jail("old", 2301);
        let (rules, refused) = Rules::read(&settings).unwrap();
        assert_eq!(rules.iter().map(|of| of.jail.as_str()).collect::<Vec<_>>(), ["new", "old"]);
        let refused: Vec<String> = refused.iter().map(ToString::to_string).collect();
        assert!(refused[0].contains("evil") && refused[0].contains("port 22 "), "{refused:?}");
        assert!(refused[1].contains("greedy") && refused[1].contains("jail 'new'"), "{refused:?}");
    }
}
