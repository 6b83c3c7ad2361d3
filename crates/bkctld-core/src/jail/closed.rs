//! A client may store a set-uid program, owned by anyone. Nobody can run it while no other user of the server
//! can reach it: the directories above it belong to root alone. The original made them accessible to
//! everybody.

use std::fs;
use std::path::PathBuf;

use super::{Jail, JailName};
use crate::config::Settings;
use crate::error::{IoContext, Result};
use crate::file;

/// The permission bits of users other than the owner.
const OTHERS: u32 = 0o077;
/// The permission bits that other users need to reach anything below a directory.
const OTHERS_ENTER: u32 = 0o011;

impl Jail {
    /// Restricts `JAILDIR/J` and `INCDIR/J` to root, if they exist. A link in their place was made by the
    /// administrator and is left alone.
    pub fn close_to_others(&self) -> Result<()> {
        [self.dir(), self.inc_dir()].into_iter().try_for_each(file::close_to_others)
    }
}

/// The directories of jails, of their incs and of archived jails that other users of the server can enter,
/// sorted.
pub fn open_to_others(settings: &Settings) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for top in [&settings.jail_dir, &settings.inc_dir, &settings.archives_dir] {
        // Nobody can pass this directory; or it does not exist, which another check reports.
        if !top.metadata().is_ok_and(|meta| mode(&meta) & OTHERS_ENTER != 0) {
            continue;
        }
        for entry in fs::read_dir(top).context("cannot read", top)? {
            let entry = entry.context("cannot read", top)?;
            let of_a_jail = entry.file_name().to_str().is_some_and(|name| name.parse::<JailName>().is_ok());
            // For a link, these are the attributes of the link itself, which is not a directory. The entry
            // may also have just been deleted.
            let Ok(meta) = entry.metadata() else { continue };
            if of_a_jail && meta.is_dir() && mode(&meta) & OTHERS != 0 {
                found.push(entry.path());
            }
        }
    }
    found.sort();
    Ok(found)
}

fn mode(meta: &fs::Metadata) -> u32 {
    std::os::unix::fs::PermissionsExt::mode(&meta.permissions())
}
