//! What a listener reads at its start and again at each reload.

use std::net::IpAddr;
use std::path::Path;

use bkctld_core::Port;
use bkctld_core::config::{Isolation, SessionLimits};
use bkctld_core::error::Result;
use bkctld_core::jail::{AllowedAddresses, ListenAddress, SessionPolicy, SshdConfig};

use crate::bounds::cgroup::Cgroup;
use crate::bounds::id_range::IdRange;
use crate::bounds::{self, Bounds};
use crate::sandbox::{Blueprint, sshd};
use crate::served::{ServedJail, StartedBy};

/// The jail's `sshd_config` and `session_policy`, as far as they are the listener's to follow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ListenerConfig {
    /// The port of every address.
    pub(crate) port: Port,
    /// The server's addresses to listen on; none means every one, of IPv4 and IPv6.
    pub(crate) listen: Vec<IpAddr>,
    /// Lines that name another port than `port`, which do not count.
    pub(crate) other_ports: Vec<ListenAddress>,
    /// The clients that may connect. Nobody but this type decides that.
    pub(crate) allowed: AllowedAddresses,
    /// The `LogLevel` of `sshd_config`, where it has one.
    pub(crate) log_level: Option<String>,
    /// How sessions are kept apart from the server.
    pub(crate) isolation: Isolation,
    /// How many sessions there may be at once, and who waits after connections without a login.
    pub(crate) limits: SessionLimits,
}

impl ListenerConfig {
    /// Reads both files. One that says something that is not understood is an error: the jail is not served
    /// under half of what its administrator has written.
    pub(crate) fn read(served: &ServedJail) -> Result<ListenerConfig> {
        let config = SshdConfig::read(&served.jail)?;
        let policy = SessionPolicy::read(&served.jail, &served.settings)?;
        Ok(ListenerConfig {
            port: config.port()?,
            listen: config.listen_addresses()?.into_iter().map(|listen| listen.address).collect(),
            other_ports: config.other_ports()?,
            allowed: config.allowed_addresses()?,
            log_level: config.log_level()?,
            isolation: policy.isolation,
            limits: policy.limits,
        })
    }

    /// Takes ids of the server for the jail's users, where they get some.
    pub(super) fn take_ids(&self, lock_dir: &Path) -> Result<Option<IdRange>> {
        match self.isolation {
            Isolation::Full => IdRange::take(lock_dir, self.port, bounds::processes(&self.limits)).map(Some),
            Isolation::Compat => Ok(None),
        }
    }

    /// What bounds the jail's sessions, and why nothing bounds their memory, if so. Where systemd is, the unit
    /// does.
    pub(super) fn take_bounds(&self, served: &ServedJail) -> (Bounds, Option<String>) {
        let make = || Cgroup::make(served.jail.name(), bounds::processes(&self.limits));
        let (cgroup, unbounded) = match served.started_by {
            StartedBy::Systemd => (None, None),
            StartedBy::Supervisor => make().map_or_else(|why| (None, Some(why)), |group| (Some(group), None)),
        };
        (Bounds::new(&self.limits, cgroup), unbounded)
    }

    /// What sandboxes are made by under this configuration.
    pub(super) fn blueprint<'a>(
        &self,
        served: &'a ServedJail,
        ids: Option<&'a IdRange>,
        bounds: &'a Bounds,
    ) -> Blueprint<'a> {
        let sshd_config = &served.settings.sshd_config;
        Blueprint {
            served,
            isolation: self.isolation,
            // Those of the jail may be there from before a reload to `compat`.
            ids: ids.filter(|_| self.isolation == Isolation::Full),
            bounds,
            sshd_arguments: sshd::arguments(sshd_config, &self.allowed, self.log_level.as_deref()),
        }
    }
}

#[cfg(test)]
mod tests {
    use bkctld_core::syslog::SystemLog;
    use bkctld_core::{Jail, Settings};

    use super::*;

    #[test]
    fn both_files_of_the_jail_are_read_and_none_is_half_understood() {
        let dir = tempfile::tempdir().unwrap();
        let settings = Settings { conf_dir: dir.path().join("conf"), ..Settings::on_partition(dir.path()) };
        let jail = Jail::new(&settings, "j".parse().unwrap());
        std::fs::create_dir_all(jail.sshd_config().parent().unwrap()).unwrap();
        std::fs::create_dir_all(jail.conf_dir()).unwrap();
        let log = SystemLog::new(0);
        let served = ServedJail { jail: jail.clone(), settings, log, started_by: StartedBy::Supervisor };
        let sshd_config = |text: &str| std::fs::write(jail.sshd_config(), text).unwrap();

        sshd_config(
            "Port 2300\nListenAddress 192.0.2.1\nListenAddress [::1]:99\nAllowUsers root@10.0.0.0/8\n",
        );
        std::fs::write(jail.session_policy(), "ISOLATION=compat\nMAX_SESSIONS=30\n").unwrap();
        let config = ListenerConfig::read(&served).unwrap();
        assert_eq!(config.port.get(), 2300);
        assert_eq!(config.listen, ["192.0.2.1".parse::<IpAddr>().unwrap(), "::1".parse().unwrap()]);
        assert_eq!(config.other_ports.iter().map(ListenAddress::to_string).collect::<Vec<_>>(), ["[::1]:99"]);
        assert!(config.allowed.contains("10.1.2.3".parse().unwrap()));
        assert!(!config.allowed.contains("192.0.2.7".parse().unwrap()));
        assert_eq!((config.isolation, config.limits.per_jail.get()), (Isolation::Compat, 30));

        for broken in ["AllowUsers root@10.0.0.0/8\n", "Port 2300\n", "Port 2300\nAllowUsers root@host\n"] {
            sshd_config(broken);
            assert!(ListenerConfig::read(&served).is_err(), "{broken}");
        }
        sshd_config("Port 2300\nAllowUsers root\n");
        assert!(ListenerConfig::read(&served).unwrap().allowed.is_everyone());
        std::fs::write(jail.session_policy(), "nonsense=1\n").unwrap();
        assert!(ListenerConfig::read(&served).is_err());
    }
}
