//! What holds of every transaction.

use std::fs;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Mutex;

use super::{access, archive, remove, rename, unfinished};
use crate::Turns;
use crate::config::{Firewall, ServiceManager, Settings};
use crate::error::{ErrorKind, Result};
use crate::jail::{Jail, JailName};
use crate::lock::Lock;
use crate::progress::Progress;
use crate::watch::Watch;

/// A server with nothing on it yet.
pub(super) struct Server {
    dir: tempfile::TempDir,
    pub(super) settings: Settings,
}

impl Server {
    pub(super) fn new() -> Server {
        let dir = tempfile::tempdir().unwrap();
        let mut settings = Settings::on_partition(&dir.path().join("backup"));
        settings.conf_dir = dir.path().join("conf");
        settings.data_dir = dir.path().join("data");
        settings.lock_dir = dir.path().join("lock");
        settings.service = ServiceManager::Background;
        for made in [&settings.conf_dir, &settings.data_dir, &settings.inc_dir] {
            fs::create_dir_all(made).unwrap();
        }
        Server { dir, settings }
    }

    pub(super) fn jail(&self, name: &str) -> Jail {
        let jail = Jail::new(&self.settings, name.parse().unwrap());
        fs::create_dir_all(jail.sshd_config().parent().unwrap()).unwrap();
        fs::write(jail.version_file(), "2\n").unwrap();
        fs::write(jail.sshd_config(), "Port 2222\nAllowUsers root\n").unwrap();
        jail
    }
}

/// Another command, which holds a lock until it hears that somebody waits for it.
struct Other {
    lock: Mutex<Option<Lock>>,
    heard: Mutex<Vec<JailName>>,
}

impl Other {
    fn with(lock: PathBuf) -> Other {
        Other { lock: Mutex::new(Lock::try_take(&lock).unwrap()), heard: Mutex::default() }
    }
}

impl Watch for Other {
    fn waiting_for(&self, jail: &JailName) {
        self.heard.lock().unwrap().push(jail.clone());
        self.lock.lock().unwrap().take();
    }
}

type Transaction = fn(&Settings, &JailName, &dyn Watch) -> Result<()>;

fn turns() -> Turns {
    Turns::new(NonZeroUsize::MIN)
}

const RENAME: Transaction =
    |settings, name, watch| rename::run(settings, name, &"new".parse().unwrap(), watch).map(drop);
const ARCHIVE: Transaction =
    |settings, name, watch| archive::run(settings, name, &turns(), &Progress::default(), watch).map(drop);
const REMOVE: Transaction = |settings, name, watch| remove::run(settings, name, &turns(), watch);
const ADMIT_ALL: Transaction = |settings, name, watch| {
    access::change_addresses(settings, name, "192.0.2.1".parse().unwrap(), watch).map(drop)
};

#[test]
fn a_transaction_waits_for_another_command_on_the_jail_and_says_so_once() {
    type Place = fn(&Jail) -> PathBuf;
    let (config, incs): (Place, Place) = (Jail::config_lock, Jail::incs_lock);
    let cases = [
        (RENAME, config),
        (RENAME, incs),
        (ARCHIVE, config),
        (ARCHIVE, incs),
        (REMOVE, config),
        (REMOVE, incs),
        (ADMIT_ALL, config),
    ];
    for (transaction, place) in cases {
        let server = Server::new();
        let jail = server.jail("old");
        let other = Other::with(place(&jail));
        transaction(&server.settings, jail.name(), &other).unwrap();
        assert_eq!(*other.heard.lock().unwrap(), [jail.name().clone()]);
    }
}

#[test]
fn a_rename_waits_for_whoever_makes_a_jail_of_the_new_name() {
    let server = Server::new();
    let old = server.jail("old");
    let new = Jail::new(&server.settings, "new".parse().unwrap());
    let other = Other::with(new.config_lock());
    RENAME(&server.settings, old.name(), &other).unwrap();
    assert_eq!(*other.heard.lock().unwrap(), [new.name().clone()]);
    assert!(new.exists() && !old.exists());
}

#[test]
fn what_cannot_be_done_is_said_without_waiting() {
    let server = Server::new();
    let jail = server.jail("old");
    server.jail("new");
    fs::create_dir_all(jail.archive()).unwrap();
    for transaction in [RENAME, ARCHIVE] {
        let other = Other::with(jail.config_lock());
        let error = transaction(&server.settings, jail.name(), &other).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TargetExists, "{error}");
        assert!(other.heard.lock().unwrap().is_empty());
    }
}

#[test]
fn a_transaction_that_the_firewall_refuses_leaves_the_jail_as_it_was() {
    for transaction in [RENAME, ARCHIVE, ADMIT_ALL] {
        let mut server = Server::new();
        let jail = server.jail("old");
        let config = fs::read(jail.sshd_config()).unwrap();
        // A rules file that cannot be read is one that cannot be changed.
        let rules = server.dir.path().join("rules");
        fs::create_dir(&rules).unwrap();
        server.settings.firewall = Firewall::RulesFile(rules);
        let error = transaction(&server.settings, jail.name(), &()).unwrap_err();
        assert!(error.to_string().contains("rules"), "{error}");
        assert_eq!(fs::read(jail.sshd_config()).unwrap(), config);
        assert!(jail.exists() && !jail.archive().exists());
        assert_eq!(unfinished(&server.settings).unwrap(), []);
    }
}

#[test]
fn nothing_of_a_renamed_jail_keeps_its_old_name() {
    let server = Server::new();
    let (old, new) = (server.jail("old"), Jail::new(&server.settings, "new".parse().unwrap()));
    let places: [fn(&Jail) -> &std::path::Path; 4] =
        [Jail::dir, Jail::inc_dir, Jail::conf_dir, Jail::state_dir];
    for place in places {
        fs::create_dir_all(place(&old)).unwrap();
    }
    let renamed = rename::run(&server.settings, old.name(), new.name(), &()).unwrap();
    assert_eq!((renamed.sessions_ended, renamed.rename.steps.len()), (0, places.len()));
    for place in places {
        assert!(place(&new).is_dir() && !place(&old).exists(), "{}", place(&new).display());
    }
    assert_eq!(unfinished(&server.settings).unwrap(), []);
}
