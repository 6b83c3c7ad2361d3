//! Lists the jails and their ports.

use std::collections::BTreeSet;
use std::fs;

use super::listening::listening_ports;
use super::sshd_config::SshdConfig;
use super::{Jail, JailName, Port};
use crate::config::Settings;
use crate::error::{Error, IoContext, Result};
use crate::lock::Lock;

/// The jails of `JAILDIR`, sorted by name. Links, and entries whose name is not valid for a jail, are
/// ignored. A freshly mounted backup partition, on which the first `init` makes `JAILDIR`, has no jails.
pub fn list(settings: &Settings) -> Result<Vec<JailName>> {
    match settings.check_dirs() {
        Ok(missing) if missing.contains(&settings.jail_dir.as_path()) => Ok(Vec::new()),
        _ => list_strictly(settings),
    }
}

/// Like [`list`], but a missing `JAILDIR` is an error: to monitoring, a server whose jails were all deleted
/// must not look like a new one.
pub fn list_strictly(settings: &Settings) -> Result<Vec<JailName>> {
    let dir = &settings.jail_dir;
    let mut names = Vec::new();
    for entry in fs::read_dir(dir).context("cannot read JAILDIR", dir)? {
        let entry = entry.context("cannot read JAILDIR", dir)?;
        let name = entry.file_name().to_str().and_then(|name| name.parse::<JailName>().ok());
        if let Some(name) = name
            && entry.file_type().is_ok_and(|kind| kind.is_dir())
        {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

/// The ports of all jails. While it lives, no other process can choose a port.
#[derive(Debug)]
pub struct Ports {
    taken: Vec<(Port, JailName)>,
    _lock: Lock,
}

impl Ports {
    /// Waits for the lock and reads the ports of the jails.
    pub fn lock(settings: &Settings) -> Result<Ports> {
        let lock = Lock::take(&settings.lock_dir.join("ports"), || ())?;
        let mut taken = Vec::new();
        for name in list(settings)? {
            let jail = Jail::new(settings, name.clone());
            // A jail without a readable sshd_config has no port that another could take from it.
            if let Ok(config) = SshdConfig::read(&jail)
                && let Ok(port) = config.port()
            {
                taken.push((port, name));
            }
        }
        Ok(Ports { taken, _lock: lock })
    }

    /// The lowest port above those of all jails on which no program of this server listens; if there is none,
    /// the lowest free one.
    ///
    /// If a program takes the port before the jail is started, `start` fails and says so. A jail that is off
    /// cannot reserve its port.
    pub fn next_free(&self) -> Result<Port> {
        let taken = self.taken.iter().map(|(port, _)| *port).collect();
        next_free(&taken, &listening_ports()?)
            .ok_or_else(|| Error::refused("no port is free: jails and other programs use all of them"))
    }

    /// The jail that has this port.
    pub fn owner(&self, port: Port) -> Option<&JailName> {
        self.taken.iter().find(|(taken, _)| *taken == port).map(|(_, name)| name)
    }
}

/// Implements [`Ports::next_free`] on the ports of the jails and the ports on which programs listen.
fn next_free(taken: &BTreeSet<Port>, listening: &BTreeSet<Port>) -> Option<Port> {
    let free = |port: &Port| !taken.contains(port) && !listening.contains(port);
    let above = match taken.last() {
        Some(highest) if *highest >= Port::FIRST => highest.next(),
        _ => Some(Port::FIRST),
    };
    let above = above.into_iter().flat_map(Port::and_above).find(free);
    above.or_else(|| Port::FIRST.and_above().find(free))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_port_is_above_all_of_the_jails_and_nobody_listens_on_it() {
        let ports = |numbers: &[u16]| numbers.iter().filter_map(|number| Port::new(*number)).collect();
        for (taken, listening, next) in [
            (&[][..], &[][..], Some(2222)),
            (&[22, 2000], &[22], Some(2222)),
            (&[], &[2222, 2223, 2225], Some(2224)),
            (&[2222, 2300], &[2222, 2300, 2301], Some(2302)),
            (&[2222, 65535], &[], Some(2223)),
            (&[2222, 65534], &[65535, 2223], Some(2224)),
        ] {
            let found = next_free(&ports(taken), &ports(listening));
            assert_eq!(found.map(Port::get), next, "{taken:?} {listening:?}");
        }
        let all = Port::FIRST.and_above().collect();
        assert_eq!(next_free(&all, &BTreeSet::new()), None);
        assert_eq!(next_free(&BTreeSet::new(), &all), None);
    }
}
