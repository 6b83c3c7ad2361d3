//! What a client has stored may be a program with the set-uid bit, and owned by anyone. Nothing runs it as
//! long as no other user of the server reaches it: the directories above it are root's alone. The original
//! made them for everybody.

use std::fs;
use std::path::PathBuf;

use super::{Jail, JailName};
use crate::config::Settings;
use crate::error::{IoContext, Result};
use crate::file;

/// What others than the owner may do.
const OTHERS: u32 = 0o077;
/// Likewise, without which nothing below a directory is reached.
const OTHERS_ENTER: u32 = 0o011;

impl Jail {
    /// Takes `JAILDIR/J` and `INCDIR/J` from everybody but root, where they are there. A link in the place
    /// of one is the administrator's affair, and left alone.
    pub fn close_to_others(&self) -> Result<()> {
        [self.dir(), self.inc_dir()].into_iter().try_for_each(file::close_to_others)
    }
}

/// The directories of jails, of their incs and of archived jails that other users of the server can enter,
/// sorted.
pub fn open_to_others(settings: &Settings) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for top in [&settings.jail_dir, &settings.inc_dir, &settings.archives_dir] {
        // Nobody gets past it; or there is none, which is said elsewhere.
        if !top.metadata().is_ok_and(|meta| mode(&meta) & OTHERS_ENTER != 0) {
            continue;
        }
        for entry in fs::read_dir(top).context("cannot read", top)? {
            let entry = entry.context("cannot read", top)?;
            let of_a_jail = entry.file_name().to_str().is_some_and(|name| name.parse::<JailName>().is_ok());
            // Of a link this is the link's own, which is no directory. One may just have been deleted.
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
