//! A jail: its name, its port, its place on disk.

pub(crate) mod address;
pub(crate) mod authorized_keys;
mod client_file;
mod closed;
pub mod layout;
mod list;
pub(crate) mod listening;
mod old_layout;
mod port;
mod running;
pub(crate) mod session_policy;
pub(crate) mod sshd_config;
mod version;

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::Errno;

pub use address::{AddressChange, AllowedAddress, AllowedAddresses};
pub use authorized_keys::{Key, Keys};
pub use client_file::{ClientFile, Lookup, NotAFile};
pub use closed::open_to_others;
pub use list::{Ports, list, list_strictly};
pub(crate) use old_layout::OLD_DATA;
pub use port::Port;
pub use running::running_without_data;
pub use session_policy::SessionPolicy;
pub use sshd_config::{ListenAddress, SshdConfig};

pub use crate::jail_name::JailName;

use crate::config::Settings;
use crate::error::{Error, IoContext, Result};
use crate::lock::Lock;

/// The on-disk format that this program makes and serves.
pub const FORMAT_VERSION: u32 = 2;

pub(crate) const ROOTFS: &str = "rootfs";
pub(crate) const DATA: &str = "data";
pub(crate) const VERSION: &str = "version";

/// The prefix of the directory of a jail that is being made.
pub(crate) const MAKING: &str = ".init-";

/// The paths of one jail. The value says nothing about whether the jail exists; its format is read once, when
/// the value is made.
#[derive(Clone, Debug)]
pub struct Jail {
    name: JailName,
    old_layout: bool,
    dir: PathBuf,
    inc_dir: PathBuf,
    archive: PathBuf,
    conf_dir: PathBuf,
    legacy_policy: PathBuf,
    state_dir: PathBuf,
    lock_dir: PathBuf,
    sshd_config: PathBuf,
    authorized_keys: PathBuf,
}

impl Jail {
    /// The paths of the jail with this name on a server with these settings.
    pub fn new(settings: &Settings, name: JailName) -> Jail {
        let below = |dir: &Path| dir.join(name.as_str());
        let in_root = |path: &Path| path.strip_prefix("/").unwrap_or(path).to_path_buf();
        Jail {
            old_layout: old_layout::found_in(&below(&settings.jail_dir)),
            sshd_config: in_root(&settings.sshd_config),
            authorized_keys: in_root(&settings.authorized_keys),
            dir: below(&settings.jail_dir),
            inc_dir: below(&settings.inc_dir),
            archive: below(&settings.archives_dir),
            conf_dir: settings.conf_dir.join(format!("{name}.d")),
            legacy_policy: below(&settings.conf_dir),
            state_dir: below(&settings.data_dir.join("sessions")),
            lock_dir: settings.lock_dir.clone(),
            name,
        }
    }

    /// The jail of this name, or [`NoSuchJail`](crate::ErrorKind::NoSuchJail).
    pub fn open(settings: &Settings, name: JailName) -> Result<Jail> {
        let jail = Jail::new(settings, name);
        if jail.exists() { Ok(jail) } else { Err(Error::no_such_jail(&jail.name)) }
    }

    /// The same, of the format that this program acts on.
    ///
    /// # Errors
    /// [`NoSuchJail`](crate::ErrorKind::NoSuchJail); [`WrongFormat`](crate::ErrorKind::WrongFormat).
    pub fn open_current(settings: &Settings, name: &JailName) -> Result<Jail> {
        let jail = Jail::open(settings, name.clone())?;
        jail.require_current_format()?;
        Ok(jail)
    }

    /// Whether the jail's directory exists.
    pub fn exists(&self) -> bool {
        // `symlink_metadata`, because a link in JAILDIR is not a jail.
        self.dir.symlink_metadata().is_ok_and(|meta| meta.is_dir())
    }

    /// Opens `JAILDIR/J` itself, for a walk by descriptor.
    ///
    /// # Errors
    /// [`NoSuchJail`](crate::ErrorKind::NoSuchJail) where there is no such directory; a link is none.
    pub fn open_dir(&self) -> Result<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match openat(CWD, &self.dir, flags, Mode::empty()) {
            Ok(fd) => Ok(fd),
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Err(Error::no_such_jail(&self.name)),
            Err(error) => Err(error).context("cannot open", &self.dir),
        }
    }

    /// The name that commands, messages and other servers know the jail by.
    pub fn name(&self) -> &JailName {
        &self.name
    }

    /// `JAILDIR/J`: everything that is in the jail, and its version.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// `JAILDIR/J/rootfs`: the root that sessions see, read-only to them.
    pub fn rootfs(&self) -> PathBuf {
        self.dir.join(ROOTFS)
    }

    /// `JAILDIR/J/var`: `/var` of the sessions; the client writes here.
    pub fn var(&self) -> PathBuf {
        self.dir.join("var")
    }

    /// `JAILDIR/J/data`, in the first format `JAILDIR/J/var/backup`: the data that the client pushed; the
    /// client writes here.
    pub fn data(&self) -> PathBuf {
        if self.old_layout { old_layout::data(&self.dir) } else { self.dir.join(DATA) }
    }

    /// `JAILDIR/J/version`: the number of its on-disk format.
    pub fn version_file(&self) -> PathBuf {
        self.dir.join(VERSION)
    }

    /// `INCDIR/J`: its incs, and what is known of each.
    pub fn inc_dir(&self) -> &Path {
        &self.inc_dir
    }

    /// `ARCHIVESDIR/J`: where `archive` puts the jail.
    pub fn archive(&self) -> &Path {
        &self.archive
    }

    /// `CONFDIR/J.d`: its policies, which the administrator writes.
    pub fn conf_dir(&self) -> &Path {
        &self.conf_dir
    }

    /// `CONFDIR/J.d/incs_policy`: which incs `rm` keeps.
    pub fn incs_policy(&self) -> PathBuf {
        self.conf_dir.join("incs_policy")
    }

    /// `CONFDIR/J`: the old path of the policy, from before each jail had its directory.
    pub fn legacy_policy(&self) -> &Path {
        &self.legacy_policy
    }

    /// `CONFDIR/J.d/check_policy`: when its silence alarms, and whether it should be on.
    pub fn check_policy(&self) -> PathBuf {
        self.conf_dir.join("check_policy")
    }

    /// `CONFDIR/J.d/session_policy`: isolation and limits of this jail's sessions.
    pub fn session_policy(&self) -> PathBuf {
        self.conf_dir.join("session_policy")
    }

    /// The path of `sshd_config` on the server.
    pub fn sshd_config(&self) -> PathBuf {
        self.in_root(&self.sshd_config)
    }

    /// The path of `authorized_keys` on the server.
    pub fn authorized_keys(&self) -> PathBuf {
        self.in_root(&self.authorized_keys)
    }

    fn in_root(&self, path: &Path) -> PathBuf {
        if self.old_layout { old_layout::in_root(&self.dir, path) } else { self.rootfs().join(path) }
    }

    /// Whether our listener holds the jail's port. Who else may serve it: [`service::served_by`](crate::service::served_by).
    pub fn is_listening(&self) -> Result<bool> {
        Lock::is_held(&self.listener_lock())
    }

    /// Whether the jail has the first format: its root file system right in its directory.
    pub fn has_old_layout(&self) -> bool {
        self.old_layout
    }

    /// The same jail in a temporary directory, in which it can be built. Names of jails begin with a letter
    /// or digit, so no jail has such a name.
    pub(crate) fn in_the_making(&self) -> Jail {
        let dir = self.dir.with_file_name(format!("{MAKING}{}", self.name));
        Jail { dir, old_layout: false, ..self.clone() }
    }

    /// The same jail with the paths of the current format.
    pub(crate) fn converted(&self) -> Jail {
        Jail { old_layout: false, ..self.clone() }
    }

    /// `DATADIR/sessions/J`: the SSH log and the records of sessions, outside the client's reach.
    pub fn state_dir(&self) -> &Path {
        &self.state_dir
    }

    /// The lock that is held while the jail or its configuration changes.
    pub fn config_lock(&self) -> PathBuf {
        self.lock("jail")
    }

    /// The lock that is held while incs of the jail are made or deleted.
    pub fn incs_lock(&self) -> PathBuf {
        self.lock("incs")
    }

    /// The lock of the jail's listener while it holds the port: it decides whether the jail is on.
    pub fn listener_lock(&self) -> PathBuf {
        self.lock("listener")
    }

    /// The lock of the supervisor, which keeps the listener alive without systemd.
    pub fn supervisor_lock(&self) -> PathBuf {
        self.lock("supervisor")
    }

    /// The lock that every process of every session of the jail shares: when it can be taken, none is left.
    pub fn sessions_lock(&self) -> PathBuf {
        self.lock("sessions")
    }

    fn lock(&self, what: &str) -> PathBuf {
        self.lock_dir.join(format!("{}.{what}", self.name))
    }
}
