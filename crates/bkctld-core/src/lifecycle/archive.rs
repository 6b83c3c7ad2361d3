//! Archiving a jail: it goes out of service and keeps its data, and its incs still expire.
//!
//! On one file system that is a rename. On two the jail is copied under a hidden name, and only when all
//! of the copy is on disk does the original lose its name, then the copy gets its own, then the original
//! goes. Whatever interrupts this, one of the two is whole, and the names tell which: `JAILDIR/.archived-J`
//! says that the copy is.

use std::fs::File;
use std::io;
use std::num::NonZeroUsize;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, StatxFlags, statx};
use schemars::JsonSchema;
use serde::Serialize;

use super::hidden::jails_with;
use super::rename::intent::forget as forget_rename;
use crate::config::Settings;
use crate::error::{Error, IoContext, Result};
use crate::firewall::{self, Change};
use crate::jail::{self, Jail, JailName, layout};
use crate::progress::Progress;
use crate::service::{self, SavedService};
use crate::watch::{Watch, lock_config, lock_incs};
use crate::{Turns, file, inc, session, text, tree};

/// The prefix of a jail whose copy is complete.
const ARCHIVED: &str = ".archived-";
/// The prefix of a copy in `ARCHIVESDIR`.
const COPY: &str = ".archive-";

/// The way in which a jail is moved into the archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Way {
    /// By a rename, as `ARCHIVESDIR` is on the same file system.
    Moved,
    /// The jail is copied, because `ARCHIVESDIR` is on another file system.
    Copied,
    /// A copy made by an interrupted run gets its name, and the jail is deleted.
    Finished,
}

/// A jail on its way into the archive: the value that `--dry-run` and JSON show.
#[derive(Debug)]
pub struct Archive {
    jail: Jail,
    /// By which of the ways it gets there, as far as can be known before it is tried.
    pub way: Way,
}

/// The jails that an interrupted run has left without a name.
pub(super) fn unfinished(settings: &Settings) -> Result<Vec<JailName>> {
    jails_with(settings, ARCHIVED)
}

/// What archiving a jail did.
#[derive(Debug)]
pub struct Archived {
    /// `ARCHIVESDIR/J`.
    pub place: PathBuf,
    /// By which of the ways it got there.
    pub way: Way,
    /// How many sessions of clients ended by it.
    pub sessions_ended: usize,
}

/// Stops the jail's service and moves the jail to the archive, or finishes what an interrupted run has left.
///
/// # Errors
/// As [`Archive::plan`]. Where something fails before the jail is in the archive, it is where it was, and on if it
/// was; else the error says that the same command finishes it.
pub fn run(
    settings: &Settings,
    name: &JailName,
    turns: &Turns,
    progress: &Progress,
    watch: &dyn Watch,
) -> Result<Archived> {
    // What cannot be done is said at once, and not after another command has finished.
    let jail = Archive::plan(settings, name)?.jail;
    let _config = lock_config(&jail, watch)?;
    // An inc of what is being moved would not be whole.
    let _incs = lock_incs(&jail, watch)?;
    let planned = Archive::plan(settings, name)?;
    let place = jail.archive().to_path_buf();
    if planned.way == Way::Finished {
        // A jail that has this name now is another one: its service is left as it is.
        planned.finish()?;
        return Ok(Archived { place, way: Way::Finished, sessions_ended: 0 });
    }
    let sessions_ended = session::active(&jail)?.len();
    let saved = service::save(settings, &jail)?;
    if planned.way == Way::Copied {
        watch.copying();
    }
    let way = service::stop_for_good(settings, &jail)
        .and_then(|()| turns.take_part(|| planned.move_out(settings, progress)))
        .map_err(|error| planned.undo(settings, saved, error))?;
    Ok(Archived { place, way, sessions_ended })
}

impl Archive {
    /// The jails that can be archived: those that there are, and those that an interrupted run has left
    /// half way, sorted.
    pub fn candidates(settings: &Settings) -> Result<Vec<JailName>> {
        let mut names = jail::list(settings)?;
        names.extend(unfinished(settings)?);
        names.sort();
        names.dedup();
        Ok(names)
    }

    /// Plans the archiving of the jail, without doing anything.
    ///
    /// # Errors
    /// [`NoSuchJail`](crate::ErrorKind::NoSuchJail); [`WrongFormat`](crate::ErrorKind::WrongFormat); [`TargetExists`](crate::ErrorKind::TargetExists) for an archive of this name.
    pub fn plan(settings: &Settings, name: &JailName) -> Result<Archive> {
        let jail = Jail::new(settings, name.clone());
        if file::exists(&aside(&jail))? {
            return Ok(Archive { jail, way: Way::Finished });
        }
        if !jail.exists() {
            return Err(Error::no_such_jail(name));
        }
        jail.require_current_format()?;
        if file::exists(jail.archive())? {
            return Err(Error::target_exists("archive", jail.archive()));
        }
        let way =
            if same_mount(&settings.jail_dir, &settings.archives_dir)? { Way::Moved } else { Way::Copied };
        Ok(Archive { jail, way })
    }

    /// The jail, under its name in `JAILDIR`.
    pub fn jail(&self) -> &Jail {
        &self.jail
    }

    /// Moves the jail, and says how. On an error before the jail is in the archive it is where it was, whole, and
    /// nothing of a copy is left.
    pub(super) fn move_out(&self, settings: &Settings, progress: &Progress) -> Result<Way> {
        file::make_private_dir(&settings.archives_dir, 0o700)?;
        self.jail.close_to_others()?;
        if self.way == Way::Moved {
            match self.leave(settings, self.jail.archive()) {
                // Between subvolumes, or projects with quotas, of one mount.
                Err(error) if error.io_kind() == Some(io::ErrorKind::CrossesDevices) => {}
                moved => return moved.map(|()| Way::Moved),
            }
        }
        self.copy(progress)?;
        self.leave(settings, &aside(&self.jail))?;
        self.finish()?;
        Ok(Way::Copied)
    }

    /// What to say of a jail that could not be archived, with its service as it was if the jail is where it was.
    fn undo(&self, settings: &Settings, saved: SavedService, error: Error) -> Error {
        let name = self.jail.name();
        if !self.jail.exists() {
            return error.also(format!("run 'bkctld archive {name}' again to finish"));
        }
        match service::restore(settings, &self.jail, saved) {
            Ok(()) => error,
            Err(second) => error.also(format!("and jail '{name}' is off: {second}")),
        }
    }

    /// Removes the jail from `JAILDIR` and its rules from the firewall.
    fn leave(&self, settings: &Settings, to: &Path) -> Result<()> {
        firewall::change(settings, &Change::forget(self.jail.name()), |_| {
            forget_rename(&self.jail)?;
            file::rename(self.jail.dir(), to)
        })
    }

    fn copy(&self, progress: &Progress) -> Result<()> {
        let path = copy_of(&self.jail);
        tree::delete(&path)?;
        layout::make_top(&path)?;
        self.copy_to(&path, progress).inspect_err(|_| {
            // The first error is more useful than errors of the clean-up.
            let _ = tree::delete(&path);
        })
    }

    fn copy_to(&self, path: &Path, progress: &Progress) -> Result<()> {
        let new = OwnedFd::from(File::open(path).context("cannot open", path)?);
        let threads = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        let lacks = inc::copy_whole(&self.jail, new, path, threads, progress)?;
        // An incomplete inc is better than none, but here the jail would be deleted.
        let Some(first) = lacks.first() else { return Ok(()) };
        let more = if lacks.len() > 1 { format!(" (and {} more)", lacks.len() - 1) } else { String::new() };
        Err(Error::refused(format!(
            "jail '{}' is not archived, because its copy in {} would be incomplete: {first}{more}",
            self.jail.name(),
            text::path(path.parent().unwrap_or(path))
        )))
    }

    /// The copy gets its name, and the jail is deleted.
    fn finish(&self) -> Result<()> {
        let (copy, archive, original) = (copy_of(&self.jail), self.jail.archive(), aside(&self.jail));
        match (file::exists(&copy)?, file::exists(archive)?) {
            (true, false) => file::rename(&copy, archive)?,
            (false, true) => {}
            (there, _) => {
                let what = if there { "exist both" } else { "are both missing" };
                let (copy, archive) = (text::path(&copy), text::path(archive));
                let message =
                    format!("its interrupted archiving cannot be finished: {copy} and {archive} {what}");
                return Err(Error::refused(message)
                    .also(format!("the jail itself is {}", text::path(&original)))
                    .in_jail(self.jail.name()));
            }
        }
        tree::delete(&original)
    }
}

fn aside(jail: &Jail) -> PathBuf {
    jail.dir().with_file_name(format!("{ARCHIVED}{}", jail.name()))
}

fn copy_of(jail: &Jail) -> PathBuf {
    jail.archive().with_file_name(format!("{COPY}{}", jail.name()))
}

/// Whether renaming from one directory to the other works; the latter may not exist yet. The device numbers
/// do not help: on btrfs each subvolume has its own.
fn same_mount(from: &Path, to: &Path) -> Result<bool> {
    let mount = |path: &Path| {
        statx(CWD, path, AtFlags::empty(), StatxFlags::MNT_ID)
            .map(|stat| stat.stx_mnt_id)
            .context("cannot look at", path)
    };
    let mut to = to;
    while !file::exists(to)? {
        to = to.parent().unwrap_or(Path::new("/"));
    }
    Ok(mount(from)? == mount(to)?)
}
