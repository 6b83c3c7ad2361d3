//! `/etc/default/bkctld` -> [`Configuration`].

use std::num::NonZeroU32;
use std::path::Path;

use super::shell::Env;
use super::switches::Switches;
use super::values::{self, Values, Warning};
use super::{CheckThresholds, Firewall, ServiceManager, SessionLimits, Settings};
use crate::error::{Error, IoContext, Result};
use crate::{file, lock_dir, text};

/// The path of the configuration, unless the administrator names another file.
pub const DEFAULT_FILE: &str = "/etc/default/bkctld";

/// All that a configuration says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Configuration {
    /// Of the server.
    pub settings: Settings,
    /// Of the runs of commands.
    pub switches: Switches,
    /// What in it has no effect.
    pub warnings: Vec<Warning>,
}

/// The configuration of this server. `named` is the file that the administrator named
/// (`--config`, `BKCTLD_CONFIG`), which must exist; [`DEFAULT_FILE`] need not. The environment
/// (`env`) answers for variables that the file refers to and does not set, and overrides
/// `FORCE`, `HEADER`, `DRY_RUN` and `LOGLEVEL`; no other variable is taken from it.
pub fn read(named: Option<&Path>, env: &Env<'_>) -> Result<Configuration> {
    let path = named.unwrap_or(Path::new(DEFAULT_FILE));
    let mut configuration = match file::read_if_there(path)? {
        Some(content) => {
            let mut configuration = Configuration::parse(path, &content, env)?;
            configuration.settings.file = Some(path.to_path_buf());
            configuration
        }
        None if named.is_some() => {
            let none = std::io::Error::from(std::io::ErrorKind::NotFound);
            return Err(none).context("cannot read the configuration", path);
        }
        None => Configuration::default(),
    };
    let settings = &mut configuration.settings;
    // Also if the file sets it: running listeners may have their locks in the old directory.
    if settings.lock_dir == Path::new(lock_dir::PLACE) {
        settings.lock_dir = lock_dir::usual();
        settings.lock_dir_of_before = settings.lock_dir != Path::new(lock_dir::PLACE);
    }
    configuration.override_from(env)?;
    Ok(configuration)
}

impl Configuration {
    fn parse(path: &Path, content: &[u8], env: &Env<'_>) -> Result<Configuration> {
        let mut values = Values::parse(path, content, env)?;
        let mut settings = match values.get("BACKUP_PARTITION", values::absolute_path)? {
            Some(partition) => Settings::on_partition(&partition),
            None => Settings::default(),
        };
        settings.take_paths(&mut values)?;
        settings.check_thresholds.take(&mut values)?;
        values.set("LOGLEVEL", &mut settings.log_level, values::log_level)?;
        values.set("NODE", &mut settings.nodes, values::nodes)?;
        let mut switches = Switches::default();
        switches.take(&mut values)?;
        values.set("SERVICE", &mut settings.service, service_manager)?;
        settings.session_limits = SessionLimits::default().with(&mut values)?;
        let warnings = values.unknown().collect();
        Ok(Configuration { settings, switches, warnings })
    }

    fn override_from(&mut self, env: &Env<'_>) -> Result<()> {
        fn set<T>(
            env: &Env<'_>,
            name: &str,
            slot: &mut T,
            check: fn(&str) -> Result<T, String>,
        ) -> Result<()> {
            if let Some(value) = env(name).filter(|value| !value.is_empty()) {
                *slot = check(&text::printable(value.as_bytes()))
                    .map_err(|reason| Error::invalid(format!("{name} in the environment: {reason}")))?;
            }
            Ok(())
        }
        set(env, "FORCE", &mut self.switches.force, values::switch)?;
        set(env, "HEADER", &mut self.switches.header, values::switch)?;
        set(env, "DRY_RUN", &mut self.switches.dry_run, values::switch)?;
        set(env, "LOGLEVEL", &mut self.settings.log_level, values::log_level)
    }
}

impl CheckThresholds {
    fn take(&mut self, values: &mut Values<'_>) -> Result<()> {
        use values::{number, percent};
        values.set("WARNING", &mut self.warning, number)?;
        values.set("CRITICAL", &mut self.critical, number)?;
        values.set("INCTIME_WARNING", &mut self.inctime_warning, number)?;
        values.set("INCTIME_CRITICAL", &mut self.inctime_critical, number)?;
        values.set("DISK_WARNING", &mut self.disk_warning, percent)?;
        values.set("DISK_CRITICAL", &mut self.disk_critical, percent)
    }
}

impl Settings {
    fn take_paths(&mut self, values: &mut Values<'_>) -> Result<()> {
        use values::{absolute_path, absolute_paths, path_inside, text};
        values.set("BACKUP_DISK", &mut self.backup_disk, text)?;
        values.set("CONFDIR", &mut self.conf_dir, absolute_path)?;
        values.set("DATADIR", &mut self.data_dir, absolute_path)?;
        values.set("JAILDIR", &mut self.jail_dir, absolute_path)?;
        values.set("INCDIR", &mut self.inc_dir, absolute_path)?;
        values.set("ARCHIVESDIR", &mut self.archives_dir, absolute_path)?;
        // Of the original's database of sizes, which nothing reads: known, so that nobody is warned of them.
        values.get("INDEX_DIR", absolute_path)?;
        values.get("IDX_FILE", absolute_path)?;
        values.set("TPLDIR", &mut self.tpl_dir, absolute_path)?;
        values.set("LOCALTPLDIR", &mut self.local_tpl_dir, absolute_path)?;
        values.set("LOCKDIR", &mut self.lock_dir, absolute_path)?;
        if let Some(canary) = values.get("CANARY_RELATIVE_FILE", path_inside)? {
            self.canary_relative_file = canary.to_string_lossy().into_owned();
        }
        values.set("SSHD_CONFIG", &mut self.sshd_config, path_inside)?;
        values.set("AUTHORIZED_KEYS", &mut self.authorized_keys, path_inside)?;
        self.firewall = firewall(values)?;
        values.set("JAIL_PROGRAMS", &mut self.jail_programs, absolute_paths)
    }

    /// Checks the directories before a jail is made: none may be a file, and `JAILDIR` must exist. If a
    /// freshly mounted backup partition lacks `JAILDIR` or `INCDIR`, they are returned, to be created. If
    /// nothing is mounted at `BACKUP_PARTITION`, a missing `JAILDIR` is an error: the disk may be missing,
    /// and a jail made now would be below its mount point.
    pub fn check_dirs(&self) -> Result<Vec<&Path>> {
        let jail_dir = &self.jail_dir;
        if !jail_dir.exists() && !self.can_make(jail_dir)? {
            let message = format!("JAILDIR {} does not exist", text::path(jail_dir));
            let file = self.file.as_deref().unwrap_or(Path::new(DEFAULT_FILE));
            return Err(Error::refused(message).at(jail_dir).with_hint(format!(
                "mount the backup partition, create the directory, or set JAILDIR in {}",
                text::path(file)
            )));
        }
        for (name, dir) in [
            ("JAILDIR", jail_dir),
            ("INCDIR", &self.inc_dir),
            ("ARCHIVESDIR", &self.archives_dir),
            ("CONFDIR", &self.conf_dir),
            ("DATADIR", &self.data_dir),
            ("LOCKDIR", &self.lock_dir),
        ] {
            if dir.exists() && !dir.is_dir() {
                return Err(Error::refused(format!("{name} {} is not a directory", text::path(dir))).at(dir));
            }
        }
        let mut missing = Vec::new();
        for dir in [jail_dir, &self.inc_dir] {
            if !dir.exists() && self.can_make(dir)? {
                missing.push(dir.as_path());
            }
        }
        Ok(missing)
    }

    /// Whether nothing has this name, not even a link, and the path is on the mounted backup partition.
    fn can_make(&self, dir: &Path) -> Result<bool> {
        Ok(dir.starts_with(&self.backup_partition)
            && !file::exists(dir)?
            && file::is_mount_point(&self.backup_partition).unwrap_or(false))
    }
}

impl SessionLimits {
    /// These limits, overridden by the file. If a file lowers only the limit of the jail, the limit of a
    /// single address becomes half of it, so that one address still cannot take all sessions.
    pub(crate) fn with(self, values: &mut Values<'_>) -> Result<SessionLimits> {
        let per_jail = values.get("MAX_SESSIONS", values::positive)?.unwrap_or(self.per_jail);
        let per_source = match values.get("MAX_SESSIONS_PER_SOURCE", values::positive)? {
            Some(given) if given > per_jail => {
                let reason =
                    format!("{given} is more than the {per_jail} sessions of the jail (MAX_SESSIONS)");
                return Err(values.conflict("MAX_SESSIONS_PER_SOURCE", &reason));
            }
            Some(given) => given,
            None => self.per_source.min(half(per_jail)),
        };
        let max_penalty = values.get("MAX_PENALTY", values::number)?.unwrap_or(self.max_penalty);
        let penalty_exempt = values.get("PENALTY_EXEMPT", values::networks)?.unwrap_or(self.penalty_exempt);
        Ok(SessionLimits { per_jail, per_source, max_penalty, penalty_exempt })
    }
}

/// Half of the number, rounded up.
fn half(number: NonZeroU32) -> NonZeroU32 {
    NonZeroU32::new(number.get().div_ceil(2)).unwrap_or(NonZeroU32::MIN)
}

/// Without `FIREWALL`, a rules file is written if one is named, as by the original.
fn firewall(values: &mut Values<'_>) -> Result<Firewall> {
    let rules = values.get("FIREWALL_RULES", values::absolute_path)?;
    match (values.get("FIREWALL", firewall_kind)?, rules) {
        (None | Some(FirewallKind::Minifirewall), Some(path)) => Ok(Firewall::RulesFile(path)),
        (None, None) | (Some(FirewallKind::None), _) => Ok(Firewall::None),
        (Some(FirewallKind::Nftables), _) => Ok(Firewall::Nftables),
        (Some(FirewallKind::Minifirewall), None) => {
            Err(values.conflict("FIREWALL", "minifirewall needs FIREWALL_RULES, the file that it sources"))
        }
    }
}

enum FirewallKind {
    None,
    Minifirewall,
    Nftables,
}

fn firewall_kind(value: &str) -> Result<FirewallKind, String> {
    match value {
        "none" => Ok(FirewallKind::None),
        "minifirewall" => Ok(FirewallKind::Minifirewall),
        "nftables" => Ok(FirewallKind::Nftables),
        _ => Err(format!("'{value}' is not one of none, minifirewall, nftables")),
    }
}

fn service_manager(value: &str) -> Result<ServiceManager, String> {
    match value {
        "auto" => Ok(ServiceManager::Auto),
        "systemd" => Ok(ServiceManager::Systemd),
        "background" => Ok(ServiceManager::Background),
        _ => Err(format!("'{value}' is not one of auto, systemd, background")),
    }
}

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod properties;

#[cfg(test)]
mod tests;
