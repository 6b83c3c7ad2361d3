//! From the first format to the second, in place: the root file system moves into `rootfs`, the data
//! out of `var/backup`, both by renaming.
//!
//! Each step is done completely or not at all, and the remaining steps follow from the positions of the
//! directories, so another run finishes an interrupted conversion. The `version` file comes last.

mod was_on;

use std::fmt;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use self::was_on::WasOn;
use super::create;
use crate::config::Settings;
use crate::error::{Error, IoContext, JailContext, Result};
use crate::file::{self, Sync};
use crate::jail::{ClientFile, DATA, FORMAT_VERSION, Jail, JailName, Lookup, OLD_DATA, ROOTFS, layout};
use crate::runtime::RuntimeStore;
use crate::service::{self, original::chroot};
use crate::watch::{Watch, lock_config, lock_incs};
use crate::{text, tree};

/// The directories that move, and their destinations. Everything else at the jail's top stays, like with the
/// original.
const MOVES: [(&str, &str); 3] = [("etc", "rootfs/etc"), ("root", "rootfs/root"), (OLD_DATA, DATA)];

/// Files that the original put into the jail and recreated when needed.
const DELETIONS: [&str; 8] = ["bin", "lib", "lib64", "usr", "run", "dev", "proc", "var/run"];

/// Directories that must not be links, because writes would go elsewhere. Missing ones are created.
const DIRECTORIES: [&str; 8] =
    [ROOTFS, "etc", "etc/ssh", "root", "root/.ssh", "rootfs/etc/ssh", "rootfs/root/.ssh", "var"];

/// What asking for a conversion comes to.
#[derive(Debug)]
pub enum ConversionPlan {
    /// The jail is converted; what is left is to start it, since it was on before.
    Start,
    /// The jail's files move, and the original's go.
    Convert {
        /// The steps that no earlier run has taken, in their order.
        steps: Vec<ConversionStep>,
        /// Whether the jail is on: its sessions are ended, and it is started again.
        is_on: bool,
    },
}

/// Looks what a conversion of the jail comes to. Nothing is done yet.
///
/// # Errors
/// [`WrongFormat`](crate::ErrorKind::WrongFormat) where the jail has another format than the first; else what must not
/// be there, or must not be a link, named before anything is touched.
pub fn plan(jail: &Jail) -> Result<ConversionPlan> {
    if !jail.has_old_layout() && WasOn::note_of(jail).is_noted() {
        return Ok(ConversionPlan::Start);
    }
    Ok(ConversionPlan::Convert { steps: Conversion::plan(jail)?.steps, is_on: service::is_on(jail)? })
}

/// Converts the jail in place, its service stopped meanwhile, and says whether it is on again.
///
/// # Errors
/// As [`plan`]. Where a step fails the jail is off, which the error says if it was on.
pub fn run(settings: &Settings, name: &JailName, watch: &dyn Watch) -> Result<bool> {
    let jail = Jail::open(settings, name.clone())?;
    let _config = lock_config(&jail, watch)?;
    let _incs = lock_incs(&jail, watch)?;
    // Again, as another conversion may just have ended.
    let jail = Jail::open(settings, name.clone())?;
    let was_on = WasOn::note_of(&jail);
    // One that was interrupted when only the start was left is finished, too.
    if jail.has_old_layout() || !was_on.is_noted() {
        stop_and_convert(settings, &jail, &was_on)?;
    }
    if !was_on.is_noted() {
        return Ok(false);
    }
    let started = start_again(settings, &Jail::open(settings, name.clone())?);
    was_on.forget()?;
    started.map_err(|error| {
        Error::service(format!("jail '{name}' has version 2 now, but does not start: {error}"))
    })?;
    Ok(true)
}

fn stop_and_convert(settings: &Settings, jail: &Jail, was_on: &WasOn) -> Result<()> {
    Conversion::plan(jail)?;
    // What may be missing on the server is missed before anything is stopped or moved.
    RuntimeStore::ready(settings)?;
    if service::is_on(jail)? {
        was_on.note()?;
    }
    service::stop(settings, jail)?;
    // Once more: until here the client could change what is looked at.
    let converted = Conversion::plan(jail).and_then(|plan| plan.carry_out(settings));
    converted.map_err(|error| {
        if !was_on.is_noted() {
            return error;
        }
        let next = "the jail is off now: correct this, then run convert-v2 again";
        error.also(next)
    })
}

/// A run that was killed may have left a supervisor that is about to start the listener: it is ended
/// first, so that this one hears what its own start says.
fn start_again(settings: &Settings, jail: &Jail) -> Result<()> {
    if jail.is_listening()? { Ok(()) } else { service::restart(settings, jail) }
}

/// One step of a conversion: whole, or not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConversionStep {
    /// The directory of the root file system.
    MakeRoot,
    /// A directory moves to its new path.
    Move {
        /// Its place in the first format, below the jail's directory.
        from: &'static str,
        /// Its place in the second, below the same.
        to: &'static str,
    },
    /// A file of the original is deleted.
    Delete(&'static str),
    /// The other files of a jail of the second format.
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
            ConversionStep::Complete => f.write_str("create missing files"),
            ConversionStep::SetVersion => write!(f, "write version {FORMAT_VERSION}"),
        }
    }
}

/// The remaining steps of a conversion.
#[derive(Clone, Debug)]
struct Conversion {
    jail: Jail,
    steps: Vec<ConversionStep>,
}

impl Conversion {
    /// Looks where the jail's files lie, and so which steps are left.
    fn plan(jail: &Jail) -> Result<Conversion> {
        if !jail.has_old_layout() {
            let found = jail.format_version()?;
            return Err(Error::wrong_format(jail.name(), &found, 1));
        }
        let steps = check(jail).and_then(|()| steps(jail.dir())).for_jail(jail.name())?;
        Ok(Conversion { jail: jail.clone(), steps })
    }

    /// Takes the steps, of a jail that is stopped.
    fn carry_out(&self, settings: &Settings) -> Result<()> {
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
                // Everything must be on disk before the file that says so.
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

/// Whether the directory has not moved yet.
fn must_move(from: &Path, to: &Path) -> Result<bool> {
    match (content(from)?, content(to)?) {
        (None, _) => Ok(false),
        (Some(_), None | Some(Content::Nothing)) => Ok(true),
        // A program has recreated it after the move.
        (Some(Content::Nothing), Some(Content::Something)) => Ok(false),
        (Some(Content::Something), Some(Content::Something)) => {
            let message = format!("{} and {} both exist", text::path(from), text::path(to));
            Err(Error::refused(message).with_hint("move one of them away"))
        }
    }
}

enum Content {
    Nothing,
    Something,
}

/// The entries of a directory; none if it does not exist.
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

/// Refuses steps that would fail, or that must not be done because of links that the client may have made.
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

#[cfg(test)]
mod tests;
