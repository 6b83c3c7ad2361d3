//! Putting a jail into the archive: out of service, its data kept, its incs left to expire.
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
use serde::Serialize;

use super::{hidden, rename};
use crate::config::Settings;
use crate::error::{Error, IoContext, Result};
use crate::firewall::{self, Change};
use crate::jail::{self, Jail, JailName, layout};
use crate::progress::Progress;
use crate::{file, inc, text, tree};

/// What the name of an original begins with whose copy is whole.
const ARCHIVED: &str = ".archived-";
/// What the name of a copy begins with, in `ARCHIVESDIR`.
const COPY: &str = ".archive-";

/// How a jail gets into the archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Way {
    /// By a rename.
    Moved,
    /// By a copy, as `ARCHIVESDIR` is on another file system.
    Copied,
    /// A copy that an interrupted run made has got its name, and the original is deleted.
    Finished,
}

/// A jail on its way into the archive: the value that `--dry-run` and JSON show.
#[derive(Debug)]
pub struct Archive {
    jail: Jail,
    /// How it gets there.
    pub way: Way,
}

/// The jails that an interrupted run has left without a name.
pub(super) fn unfinished(settings: &Settings) -> Result<Vec<JailName>> {
    hidden(settings, ARCHIVED)
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

    /// What archiving the jail comes to. Nothing is done yet.
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

    /// The jail, under the name that it has as long as it is one.
    pub fn jail(&self) -> &Jail {
        &self.jail
    }

    /// Does it, and tells how. The caller holds the jail's locks and has stopped it. On an error before the jail is in
    /// the archive it is where it was, whole, and nothing of a copy is left.
    pub fn carry_out(&self, settings: &Settings, threads: NonZeroUsize, progress: &Progress) -> Result<Way> {
        file::make_private_dir(&settings.archives_dir, 0o700)?;
        self.jail.close_to_others()?;
        if self.way == Way::Moved {
            match self.leave(settings, self.jail.archive()) {
                // Between subvolumes, or projects with quotas, of one mount.
                Err(error) if error.io_kind() == Some(io::ErrorKind::CrossesDevices) => {}
                moved => return moved.map(|()| Way::Moved),
            }
        }
        if self.way != Way::Finished {
            self.copy(threads, progress)?;
            self.leave(settings, &aside(&self.jail))?;
        }
        self.finish()?;
        Ok(if self.way == Way::Finished { Way::Finished } else { Way::Copied })
    }

    /// Takes the jail out of `JAILDIR`, and its rules out of the firewall.
    fn leave(&self, settings: &Settings, to: &Path) -> Result<()> {
        firewall::change(settings, &Change::forget(self.jail.name()), |_| {
            rename::forget(&self.jail)?;
            file::rename(self.jail.dir(), to)
        })
    }

    fn copy(&self, threads: NonZeroUsize, progress: &Progress) -> Result<()> {
        let path = copy_of(&self.jail);
        tree::delete(&path)?;
        layout::make_top(&path)?;
        self.copy_to(&path, threads, progress).inspect_err(|_| {
            // The first error tells more than what clearing up might add to it.
            let _ = tree::delete(&path);
        })
    }

    fn copy_to(&self, path: &Path, threads: NonZeroUsize, progress: &Progress) -> Result<()> {
        let new = OwnedFd::from(File::open(path).context("cannot open", path)?);
        let lacks = inc::copy_whole(&self.jail, new, path, threads, progress)?;
        // An inc that lacks something is better than none. Here the original would be deleted.
        let Some(first) = lacks.first() else { return Ok(()) };
        let more = if lacks.len() > 1 { format!(" (and {} more)", lacks.len() - 1) } else { String::new() };
        Err(Error::refused(format!(
            "jail '{}' is not archived, since its copy in {} would lack something: {first}{more}",
            self.jail.name(),
            text::path(path.parent().unwrap_or(path))
        )))
    }

    /// The copy gets its name, and the original goes.
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

/// Whether something can be renamed from one directory to the other, which may not be there yet. The
/// number of the device does not tell: on btrfs each subvolume has one.
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
