//! Which jails there are, and which ports they have.

use std::fs;

use super::sshd_config::SshdConfig;
use super::{Jail, JailName, Port};
use crate::config::Settings;
use crate::error::{Error, IoContext, Result};
use crate::lock::Lock;

/// The jails of `JAILDIR`, sorted by name. What bears no jail's name, and links, are no jails.
pub fn list(settings: &Settings) -> Result<Vec<JailName>> {
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

/// Holds back every other choice of a port as long as it lives.
#[derive(Debug)]
pub struct Ports {
    taken: Vec<(Port, JailName)>,
    _lock: Lock,
}

impl Ports {
    /// Waits for the lock and reads which ports the jails have.
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

    /// The highest port in use and one more; where there is none above, the lowest free one.
    pub fn next_free(&self) -> Result<Port> {
        let next = match self.taken.iter().map(|(port, _)| *port).max() {
            Some(highest) if highest >= Port::FIRST => highest.next(),
            _ => Some(Port::FIRST),
        };
        next.or_else(|| Port::FIRST.and_above().find(|port| self.owner(*port).is_none()))
            .ok_or_else(|| Error::Refused("no port is free: the jails have all of them".to_owned()))
    }

    /// The jail that has the port.
    pub fn owner(&self, port: Port) -> Option<&JailName> {
        self.taken.iter().find(|(taken, _)| *taken == port).map(|(_, name)| name)
    }
}
