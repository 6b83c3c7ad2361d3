//! What becomes of jails: made, removed, renamed, archived, brought up from the first format.
//!
//! Each of these is done so that an interruption leaves the old state, the new one, or something that
//! the same command recognises and finishes.

mod archive;
mod convert;
mod create;
mod remove;
mod rename;
mod upgrade;

pub use archive::{Archive, Way};
pub use convert::{Conversion, ConversionStep, WasOn};
pub use create::create;
pub use remove::{clear_leftovers, remove};
pub use rename::{Rename, Step, What};
pub use upgrade::{PolicyUpgrade, TemplateUpgrade, Upgrade};

use std::path::Path;

use crate::config::Settings;
use crate::error::{IoContext, Result};
use crate::file;
use crate::jail::JailName;

/// What the name of a jail on its way out begins with.
const REMOVING: &str = ".remove-";

/// Something that was interrupted half way and waits for being asked for again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unfinished {
    /// The jail's name before.
    pub jail: JailName,
    /// What finishes it.
    pub command: String,
}

/// What interrupted commands have left half way.
pub fn unfinished(settings: &Settings) -> Result<Vec<Unfinished>> {
    let mut found = rename::unfinished(settings)?;
    found.extend(archive::unfinished(settings)?.into_iter().map(|jail| {
        let command = format!("bkctld archive {jail}");
        Unfinished { jail, command }
    }));
    Ok(found)
}

/// Whether what is at the old place of a jail's policy is one. `CONFDIR/x.d` is the directory of jail `x`,
/// and the old place of a jail named `x.d`: what is there tells whose it is.
fn is_policy(path: &Path) -> Result<bool> {
    Ok(file::exists(path)? && !is_configuration(path))
}

/// Whether what is at `CONFDIR/J.d` is the directory of jail `J`, perhaps by a link of the administrator's.
fn is_configuration(path: &Path) -> bool {
    path.is_dir()
}

/// The jails for which there is a hidden name in `JAILDIR` with this prefix, sorted.
fn hidden(settings: &Settings, prefix: &str) -> Result<Vec<JailName>> {
    let dir = &settings.jail_dir;
    let mut names: Vec<JailName> = Vec::new();
    for entry in std::fs::read_dir(dir).context("cannot read JAILDIR", dir)? {
        let name = entry.context("cannot read JAILDIR", dir)?.file_name();
        names.extend(name.to_str().and_then(|name| name.strip_prefix(prefix)?.parse().ok()));
    }
    names.sort();
    Ok(names)
}
