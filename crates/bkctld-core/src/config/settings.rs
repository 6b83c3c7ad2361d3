//! The settings of one server, with the defaults of the original.

use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use ipnet::IpNet;

use crate::lock_dir;

/// What the configuration says of the server: where everything is, who may use how much, who is told. Each value
/// has the type that the program works with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The file that was read; `None` if only the defaults apply.
    pub file: Option<PathBuf>,
    /// `CONFDIR`: policies, one directory `J.d` for each jail.
    pub conf_dir: PathBuf,
    /// `DATADIR`: the runtime, session records, times of `inc`.
    pub data_dir: PathBuf,
    /// `BACKUP_DISK`: the device of the backup partition, if the administrator names it.
    pub backup_disk: String,
    /// `BACKUP_PARTITION`: the mount point of the backup disk.
    pub backup_partition: PathBuf,
    /// `JAILDIR`: the directory of the jails.
    pub jail_dir: PathBuf,
    /// `INCDIR`: the directory of the incs.
    pub inc_dir: PathBuf,
    /// `ARCHIVESDIR`: the directory of archived jails.
    pub archives_dir: PathBuf,
    /// `TPLDIR`: templates of the package.
    pub tpl_dir: PathBuf,
    /// `LOCALTPLDIR`: templates of the administrator, which take precedence.
    pub local_tpl_dir: PathBuf,
    /// `LOCKDIR`: the directory of the locks.
    pub lock_dir: PathBuf,
    /// `LOCKDIR` is, until the next boot, the directory of earlier versions and not the configured one.
    pub lock_dir_of_before: bool,
    /// `CANARY_RELATIVE_FILE`, below a jail's `data`.
    pub canary_relative_file: String,
    /// `SSHD_CONFIG`: a path inside the jail.
    pub sshd_config: PathBuf,
    /// `AUTHORIZED_KEYS`: a path inside the jail.
    pub authorized_keys: PathBuf,
    /// `FIREWALL` (new) and `FIREWALL_RULES`: the firewall that keeps strangers from the jails' ports.
    pub firewall: Firewall,
    /// `LOGLEVEL`: syslog's scale, 3 (errors) to 7 (debug).
    pub log_level: u8,
    /// When the checks warn; a jail's `check_policy` may say otherwise.
    pub check_thresholds: CheckThresholds,
    /// `NODE`: the servers to which `sync` mirrors.
    pub nodes: Vec<String>,
    /// `SERVICE` (new): the program that keeps the listeners running.
    pub service: ServiceManager,
    /// `MAX_SESSIONS`, `MAX_SESSIONS_PER_SOURCE`, `MAX_PENALTY`, `PENALTY_EXEMPT` (new); a jail's
    /// `session_policy` can override them.
    pub session_limits: SessionLimits,
    /// `JAIL_PROGRAMS` (new): additional programs for the runtime.
    pub jail_programs: Vec<PathBuf>,
}

/// When the checks warn, and when they call it critical.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckThresholds {
    /// `WARNING`, in hours; 0 turns it off.
    pub warning: u32,
    /// `CRITICAL`, in hours; 0 turns it off.
    pub critical: u32,
    /// `INCTIME_WARNING`, in hours.
    pub inctime_warning: u32,
    /// `INCTIME_CRITICAL`, in hours.
    pub inctime_critical: u32,
    /// `DISK_WARNING` (new): percent of the backup disk in use; 0 turns it off.
    pub disk_warning: u64,
    /// `DISK_CRITICAL` (new), likewise.
    pub disk_critical: u64,
}

/// The firewall that enforces the allowed addresses of a jail, in addition to its listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Firewall {
    /// No firewall.
    None,
    /// The administrator's minifirewall, which sources this file (`FIREWALL_RULES`).
    RulesFile(PathBuf),
    /// A separate table in nftables.
    Nftables,
}

impl Firewall {
    /// The rules file, if there is one.
    pub fn rules_file(&self) -> Option<&Path> {
        match self {
            Firewall::RulesFile(path) => Some(path),
            Firewall::None | Firewall::Nftables => None,
        }
    }
}

/// The program that keeps the listeners running.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServiceManager {
    /// systemd if it is the init system, otherwise our own supervisor.
    Auto,
    /// systemd, with the unit `bkctld@J.service`.
    Systemd,
    /// Our own supervisor process for each jail.
    Background,
}

/// Limits on the sessions of a jail and on its sources.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionLimits {
    /// The maximum number of sessions of one jail.
    pub per_jail: NonZeroU32,
    /// The maximum number of sessions of one jail from one address. Lower than `per_jail`, so that a
    /// stranger's connections without a login cannot use up the sessions that the client needs.
    pub per_source: NonZeroU32,
    /// The maximum time in seconds for which a source is refused because it connects and never logs in; 0
    /// means never.
    pub max_penalty: u32,
    /// Sources that are never refused for this reason.
    pub penalty_exempt: Vec<IpNet>,
}

/// The isolation of a session from the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Isolation {
    /// Every namespace, including a user namespace: the jail's root is an unprivileged user on the server.
    Full,
    /// Every namespace except the user namespace: for jails that store device nodes or `trusted.*`
    /// attributes, which it does not allow, and for file systems without idmapped mounts.
    Compat,
}

const DEFAULT_PER_JAIL: NonZeroU32 = NonZeroU32::new(40).unwrap();
const DEFAULT_PER_SOURCE: NonZeroU32 = NonZeroU32::new(20).unwrap();
/// OpenSSH's.
const DEFAULT_MAX_PENALTY: u32 = 600;

impl Default for SessionLimits {
    fn default() -> SessionLimits {
        SessionLimits {
            per_jail: DEFAULT_PER_JAIL,
            per_source: DEFAULT_PER_SOURCE,
            max_penalty: DEFAULT_MAX_PENALTY,
            penalty_exempt: Vec::new(),
        }
    }
}

impl Default for CheckThresholds {
    fn default() -> CheckThresholds {
        CheckThresholds {
            warning: 24,
            critical: 48,
            inctime_warning: 12,
            inctime_critical: 18,
            disk_warning: 97,
            disk_critical: 99,
        }
    }
}

impl Default for Settings {
    fn default() -> Settings {
        Settings::on_partition(Path::new("/backup"))
    }
}

impl Settings {
    /// The defaults, with the backup partition at this path.
    pub fn on_partition(partition: &Path) -> Settings {
        Settings {
            file: None,
            conf_dir: "/etc/evobackup".into(),
            data_dir: "/var/lib/bkctld".into(),
            backup_disk: String::new(),
            jail_dir: partition.join("jails"),
            inc_dir: partition.join("incs"),
            archives_dir: partition.join("archives"),
            backup_partition: partition.to_path_buf(),
            tpl_dir: "/usr/share/bkctld".into(),
            local_tpl_dir: "/usr/local/share/bkctld".into(),
            lock_dir: lock_dir::PLACE.into(),
            lock_dir_of_before: false,
            canary_relative_file: "/zzz_evobackup/canary".into(),
            sshd_config: "/etc/ssh/sshd_config".into(),
            authorized_keys: "/root/.ssh/authorized_keys".into(),
            firewall: Firewall::None,
            log_level: 6,
            check_thresholds: CheckThresholds::default(),
            nodes: Vec::new(),
            service: ServiceManager::Auto,
            session_limits: SessionLimits::default(),
            jail_programs: Vec::new(),
        }
    }
}
