//! From the first format to the second, in place: the root file system moves into `rootfs`, the data
//! out of `var/backup`, both by renaming.
//!
//! Each step is whole or not done, and what is left to do is told by what lies where, so an
//! interrupted conversion is finished by another one. The `version` file comes last.

use std::fmt;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::create;
use crate::config::Settings;
use crate::error::{Error, IoContext, JailContext, Result};
use crate::file::{self, Sync};
use crate::jail::{ClientFile, DATA, FORMAT_VERSION, Jail, Lookup, OLD_DATA, ROOTFS, layout};
use crate::runtime::RuntimeStore;
use crate::service::original::chroot;
use crate::{text, tree};

/// What moves, and where to. All else at the jail's top stays, as the original left it there.
const MOVES: [(&str, &str); 3] = [("etc", "rootfs/etc"), ("root", "rootfs/root"), (OLD_DATA, DATA)];

/// What the original put into the jail, and made anew where it was needed.
const DELETIONS: [&str; 8] = ["bin", "lib", "lib64", "usr", "run", "dev", "proc", "var/run"];

/// Directories that must not be links, or what is written there would go elsewhere. Those that are
/// not there are made.
const DIRECTORIES: [&str; 8] =
    [ROOTFS, "etc", "etc/ssh", "root", "root/.ssh", "rootfs/etc/ssh", "rootfs/root/.ssh", "var"];

/// One step of a conversion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConversionStep {
    /// The directory of the root file system.
    MakeRoot,
    /// A directory gets its new place.
    Move {
        /// Below the jail's directory.
        from: &'static str,
        /// Likewise.
        to: &'static str,
    },
    /// Something that the original made goes.
    Delete(&'static str),
    /// What else a jail of the second format has.
    Complete,
    /// The `version` file: the jail has the second format.
    SetVersion,
}

impl fmt::Display for ConversionStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConversionStep::MakeRoot => write!(f, "make {ROOTFS}"),
            ConversionStep::Move { from, to } => write!(f, "rename {from} to {to}"),
            ConversionStep::Delete(name) => write!(f, "delete {name}"),
            ConversionStep::Complete => f.write_str("make what is missing"),
            ConversionStep::SetVersion => write!(f, "write version {FORMAT_VERSION}"),
        }
    }
}

/// What is left to do to convert a jail.
#[derive(Clone, Debug)]
pub struct Conversion {
    jail: Jail,
    steps: Vec<ConversionStep>,
}

impl Conversion {
    /// Looks at what lies where.
    ///
    /// # Errors
    /// [`WrongFormat`](crate::ErrorKind::WrongFormat) where the jail has another format than the first; else what must not
    /// be there, or must not be a link, named before anything is touched.
    pub fn plan(jail: &Jail) -> Result<Conversion> {
        if !jail.has_old_layout() {
            let found = jail.format_version()?;
            return Err(Error::wrong_format(jail.name(), &found, 1));
        }
        let steps = check(jail).and_then(|()| steps(jail.dir())).for_jail(jail.name())?;
        Ok(Conversion { jail: jail.clone(), steps })
    }

    /// The steps, in their order.
    pub fn steps(&self) -> &[ConversionStep] {
        &self.steps
    }

    /// Converts the jail. The caller holds its locks and has stopped it.
    pub fn carry_out(&self, settings: &Settings) -> Result<()> {
        self.steps.iter().try_for_each(|step| self.take(step, settings)).for_jail(self.jail.name())
    }

    fn take(&self, step: &ConversionStep, settings: &Settings) -> Result<()> {
        let dir = self.jail.dir();
        let jail = self.jail.converted();
        match step {
            ConversionStep::MakeRoot => file::make_private_dir(&dir.join(ROOTFS), 0o755),
            // Onto an empty directory at most: rename(2).
            ConversionStep::Move { from, to } => file::rename(&dir.join(from), &dir.join(to)),
            ConversionStep::Delete(name) => tree::delete(&dir.join(name)),
            ConversionStep::Complete => {
                layout::lay_out(&jail, &RuntimeStore::ready(settings)?)?;
                create::write_accounts(settings, &jail)
            }
            ConversionStep::SetVersion => {
                // Before the file that says so, all of it is on disk.
                let top = File::open(dir).context("cannot open", dir)?;
                rustix::fs::syncfs(&top).context("cannot sync", dir)?;
                let version = format!("{FORMAT_VERSION}\n");
                file::replace_with(&jail.version_file(), 0o644, version.as_bytes(), Sync::Now)
            }
        }
    }
}

fn steps(dir: &Path) -> Result<Vec<ConversionStep>> {
    let mut steps = Vec::new();
    if !file::exists(&dir.join(ROOTFS))? {
        steps.push(ConversionStep::MakeRoot);
    }
    for (from, to) in MOVES {
        if must_move(&dir.join(from), &dir.join(to))? {
            steps.push(ConversionStep::Move { from, to });
        }
    }
    for name in DELETIONS {
        if file::exists(&dir.join(name))? {
            steps.push(ConversionStep::Delete(name));
        }
    }
    steps.extend([ConversionStep::Complete, ConversionStep::SetVersion]);
    Ok(steps)
}

/// Whether the directory is not at its new place yet.
fn must_move(from: &Path, to: &Path) -> Result<bool> {
    match (content(from)?, content(to)?) {
        (None, _) => Ok(false),
        (Some(_), None | Some(Content::Nothing)) => Ok(true),
        // Made anew by some program after the move.
        (Some(Content::Nothing), Some(Content::Something)) => Ok(false),
        (Some(Content::Something), Some(Content::Something)) => {
            let message = format!("{} and {} are both there", text::path(from), text::path(to));
            Err(Error::refused(message).with_hint("move one of them away"))
        }
    }
}

enum Content {
    Nothing,
    Something,
}

/// What is in a directory; none where there is no such name.
fn content(path: &Path) -> Result<Option<Content>> {
    if !file::exists(path)? {
        return Ok(None);
    }
    if !path.symlink_metadata().is_ok_and(|meta| meta.is_dir()) {
        return Err(layout::not_a_directory(path));
    }
    let mut names = fs::read_dir(path).context("cannot read", path)?;
    Ok(Some(if names.next().is_some() { Content::Something } else { Content::Nothing }))
}

/// Refuses what the steps could not do, or should not do with links that the client may have made.
fn check(jail: &Jail) -> Result<()> {
    let dir = jail.dir();
    for name in DIRECTORIES.into_iter().chain(MOVES.map(|(_, to)| to)) {
        layout::check_dir(&dir.join(name))?;
    }
    layout::check_root(&jail.converted())?;
    for path in files(jail)? {
        match ClientFile::find(jail, path.strip_prefix(dir).unwrap_or(&path))? {
            Lookup::File(_) | Lookup::Missing => {}
            Lookup::NotAFile(other) => return Err(Error::untrusted(&path, format_args!("is {other}"))),
        }
    }
    jail.sshd_config().symlink_metadata().context("cannot read", jail.sshd_config())?;
    match chroot::mounts(jail)?.into_iter().find(|mount| !mount.is_the_originals()) {
        Some(mount) => {
            let message = format!("{} is mounted in the jail, and cannot be moved", text::path(&mount.place));
            Err(Error::refused(message).at(&mount.place).with_hint("unmount it first"))
        }
        None => Ok(()),
    }
}

/// The files that sshd and root read in the jail.
fn files(jail: &Jail) -> Result<Vec<PathBuf>> {
    let mut files = vec![jail.sshd_config(), jail.authorized_keys()];
    let config = jail.sshd_config();
    let ssh = config.parent().unwrap_or(jail.dir());
    for entry in fs::read_dir(ssh).context("cannot read", ssh)? {
        let entry = entry.context("cannot read", ssh)?;
        if entry.file_name().as_encoded_bytes().starts_with(b"ssh_host_") {
            files.push(entry.path());
        }
    }
    Ok(files)
}

/// That a jail was on when its conversion began: kept outside of the jail until it is on again, as
/// the one who remembers may be killed.
#[derive(Debug)]
pub struct WasOn(PathBuf);

impl WasOn {
    /// The note of the jail.
    pub fn of(jail: &Jail) -> WasOn {
        WasOn(jail.state_dir().join("on-before-conversion"))
    }

    /// Whether there is one.
    pub fn is_noted(&self) -> bool {
        self.0.exists()
    }

    /// Makes it.
    pub fn note(&self) -> Result<()> {
        if let Some(dir) = self.0.parent() {
            file::make_private_dir(dir, 0o700)?;
        }
        file::replace(&self.0, 0o600, b"")
    }

    /// Deletes it.
    pub fn forget(&self) -> Result<()> {
        match fs::remove_file(&self.0) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            deleted => deleted.context("cannot delete", &self.0),
        }
    }
}

#[cfg(test)]
mod tests;
