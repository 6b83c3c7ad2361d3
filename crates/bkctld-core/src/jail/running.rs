//! Finds the jails that run, by their locks alone, including jails whose data is out of reach because the
//! backup partition is missing.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{Dir, Mode, OFlags, openat};

use super::{Jail, JailName};
use crate::config::Settings;
use crate::error::{IoContext, Result};
use crate::lock::Lock;
use crate::lock_dir;

impl Jail {
    /// Whether some process of the jail runs: what starts its listener again, the listener, or a session's.
    pub fn has_processes(&self) -> Result<bool> {
        // In this order, in which each is started by the one before. The sessions' lock is shared by their
        // processes, so only who could have it alone knows.
        Ok(Lock::is_held(&self.supervisor_lock())?
            || Lock::is_held(&self.listener_lock())?
            || Lock::is_shared(&self.sessions_lock())?)
    }
}

/// The jails of which a process runs and that are not among these, sorted: their directories are missing.
pub fn running_without_data(settings: &Settings, listed: &[JailName]) -> Result<Vec<JailName>> {
    let path = &settings.lock_dir;
    let Some(dir) = lock_dir::open(path)? else { return Ok(Vec::new()) };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let dir = openat(&dir, ".", flags, Mode::empty()).context("cannot open", path)?;
    let mut names = Vec::new();
    for entry in Dir::read_from(&dir).context("cannot read", path)? {
        let entry = entry.context("cannot read", path)?;
        if let Some(name) = jail_of_lock(OsStr::from_bytes(entry.file_name().to_bytes()))
            && !listed.contains(&name)
            && !names.contains(&name)
            && Jail::new(settings, name.clone()).has_processes()?
        {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

fn jail_of_lock(file: &OsStr) -> Option<JailName> {
    let (name, what) = file.to_str()?.rsplit_once('.')?;
    ["listener", "supervisor", "sessions"].contains(&what).then(|| name.parse().ok()).flatten()
}
