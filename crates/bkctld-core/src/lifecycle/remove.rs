//! Removing a jail with everything that belongs to it.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::Path;

use super::rename::intent::forget as forget_rename;
use super::{is_configuration, is_policy};
use crate::config::Settings;
use crate::error::{Error, IoContext, Result};
use crate::firewall::{self, Change};
use crate::jail::{Jail, JailName, MAKING};
use crate::lock::Lock;
use crate::service;
use crate::watch::{Watch, lock_config, lock_incs};
use crate::{Turns, tree};

/// What the name of a jail on its way out begins with.
const REMOVING: &str = ".remove-";

/// Stops the jail's service and deletes the jail with all that belongs to it.
///
/// # Errors
/// [`NoSuchJail`](crate::ErrorKind::NoSuchJail), also where another command has archived or renamed it while this one waited for its locks:
/// the incs of an archived jail stay.
pub fn run(settings: &Settings, name: &JailName, turns: &Turns, watch: &dyn Watch) -> Result<()> {
    let jail = Jail::open(settings, name.clone())?;
    let _config = lock_config(&jail, watch)?;
    service::stop_for_good(settings, &jail)?;
    let _incs = lock_incs(&jail, watch)?;
    turns.take_part(|| delete(settings, &jail))
}

/// Deletes the jail's incs, configuration, records and firewall rules, and last the jail itself:
/// a run that is interrupted leaves a jail that is still listed, so that it can be run again.
pub(super) fn delete(settings: &Settings, jail: &Jail) -> Result<()> {
    if !jail.exists() {
        return Err(Error::no_such_jail(jail.name()));
    }
    // Deleting takes time; the list shows the remaining jails.
    jail.close_to_others()?;
    renamed_away(jail.inc_dir(), rename_if_there)?;
    if is_configuration(jail.conf_dir()) {
        tree::delete(jail.conf_dir())?;
    }
    let legacy = jail.legacy_policy();
    if is_policy(legacy)? {
        fs::remove_file(legacy).context("cannot delete", legacy)?;
    }
    tree::delete(jail.state_dir())?;
    forget_rename(jail)?;
    renamed_away(jail.dir(), |from, to| {
        firewall::change(settings, &Change::forget(jail.name()), |_| rename_if_there(from, to))
    })
}

/// Deletes the remains of interrupted runs of `init` and `remove`, unless another command is working on that
/// jail.
pub fn clear_leftovers(settings: &Settings) -> Result<()> {
    let mut cleared = Ok(());
    for dir in [&settings.jail_dir, &settings.inc_dir] {
        for entry in fs::read_dir(dir).context("cannot read", dir)? {
            let entry = entry.context("cannot read", dir)?;
            let Some(name) = entry.file_name().to_str().and_then(owner_of_leftover) else { continue };
            let jail = Jail::new(settings, name);
            if let Some(_lock) = Lock::try_take(&jail.config_lock())? {
                // A failure does not stop the deletion of the others.
                cleared = cleared.and(tree::delete(&entry.path()));
            }
        }
    }
    cleared
}

fn owner_of_leftover(name: &str) -> Option<JailName> {
    [REMOVING, MAKING].iter().find_map(|prefix| name.strip_prefix(prefix)?.parse().ok())
}

/// Deletes the directory of a jail, or of its incs: under a hidden name, so that what is left after
/// an interruption is never taken for a jail or an inc. Hidden names are no jail's, since those begin
/// with a letter or digit.
fn renamed_away(dir: &Path, rename: impl FnOnce(&Path, &Path) -> Result<()>) -> Result<()> {
    let Some(name) = dir.file_name() else {
        return Ok(());
    };
    let mut hidden = OsString::from(REMOVING);
    hidden.push(name);
    let aside = dir.with_file_name(hidden);
    tree::delete(&aside)?;
    rename(dir, &aside)?;
    tree::delete(&aside)
}

fn rename_if_there(from: &Path, to: &Path) -> Result<()> {
    match fs::rename(from, to) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        renamed => renamed.context("cannot rename", from),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jail_goes_without_what_the_place_of_its_configuration_holds_of_another() {
        let dir = tempfile::tempdir().unwrap();
        let mut settings = Settings::on_partition(&dir.path().join("backup"));
        settings.conf_dir = dir.path().join("conf");
        settings.data_dir = dir.path().join("data");
        settings.lock_dir = dir.path().join("lock");
        let jail = |name: &str| Jail::new(&settings, name.parse().unwrap());
        let (short, long) = (jail("x"), jail("x.d"));
        let make = |jail: &Jail| fs::create_dir_all(jail.dir()).unwrap();
        // The old policy of `x.d` has the path of the directory of `x`.
        make(&short);
        fs::create_dir_all(&settings.conf_dir).unwrap();
        fs::write(long.legacy_policy(), "+%Y-%m-%d.-0day\n").unwrap();
        delete(&settings, &short).unwrap();
        assert!(long.legacy_policy().is_file());
        fs::remove_file(long.legacy_policy()).unwrap();
        // The reverse, through a link.
        make(&long);
        fs::create_dir_all(dir.path().join("elsewhere")).unwrap();
        std::os::unix::fs::symlink("../elsewhere", short.conf_dir()).unwrap();
        delete(&settings, &long).unwrap();
        assert!(short.conf_dir().is_dir());
    }
}
