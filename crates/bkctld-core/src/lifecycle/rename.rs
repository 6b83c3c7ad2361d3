//! Another name for a jail and all that belongs to it.
//!
//! Several directories, perhaps on several file systems, cannot be renamed at once. So what is meant is
//! written down first, beside the jails, and the jail itself is renamed first of all: as long as
//! `JAILDIR/OLD` is there, nothing has happened yet; from then on only the rest can be done, by asking
//! for the same rename again. In between, the jail has no policy under its new name, and its incs none
//! under the old one: `inc` makes none of it, and `rm` deletes none.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, symlink};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Unfinished, hidden, is_configuration, is_policy};
use crate::config::Settings;
use crate::error::{Error, IoContext, Result};
use crate::file;
use crate::firewall::{self, Change, JailRules};
use crate::jail::{Jail, JailName};
use crate::service::SavedService;
use crate::{text, tree};

/// What the file in `JAILDIR` that says what is meant begins with; the old name follows. No jail has
/// such a name.
const INTENT: &str = ".rename-";

/// A rename as it will be done: the value that `--dry-run` and JSON show.
#[derive(Debug)]
pub struct Rename {
    from: Jail,
    to: Jail,
    /// What is still to be renamed, in this order.
    pub steps: Vec<Step>,
    /// How the service was before an earlier run was interrupted.
    pub interrupted: Option<SavedService>,
}

/// One thing that gets another name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    /// What it is.
    pub what: What,
    /// Where it is.
    pub from: PathBuf,
    /// Where it will be.
    pub to: PathBuf,
}

/// What belongs to a jail and bears its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum What {
    /// `JAILDIR/J`.
    Jail,
    /// `INCDIR/J`: as a whole, since btrfs moves no read-only snapshot to another directory.
    Incs,
    /// `DATADIR/sessions/J`.
    Records,
    /// `CONFDIR/J.d`.
    Configuration,
    /// `CONFDIR/J`: the policy's old place, a file or a link into `CONFDIR/J.d`.
    Policy,
}

impl Step {
    /// Whether there is such a thing under that name, and not something of another jail's.
    fn finds(&self, path: &Path) -> Result<bool> {
        match self.what {
            What::Configuration => Ok(is_configuration(path)),
            What::Policy => is_policy(path),
            What::Jail | What::Incs | What::Records => file::exists(path),
        }
    }
}

/// The file's content.
#[derive(Debug, Serialize, Deserialize)]
struct Intent {
    to: String,
    service: SavedService,
}

/// What interrupted renames have left half way.
pub(super) fn unfinished(settings: &Settings) -> Result<Vec<Unfinished>> {
    let mut found = Vec::new();
    for from in hidden(settings, INTENT)? {
        if let Some(intent) = Intent::read(&Jail::new(settings, from.clone()))? {
            let command = format!("bkctld rename {from} {}", text::printable(intent.to.as_bytes()));
            found.push(Unfinished { jail: from, command });
        }
    }
    Ok(found)
}

impl Intent {
    fn path(from: &Jail) -> PathBuf {
        from.dir().with_file_name(format!("{INTENT}{}", from.name()))
    }

    fn read(from: &Jail) -> Result<Option<Intent>> {
        let path = Intent::path(from);
        let Some(content) = file::read_if_there(&path)? else { return Ok(None) };
        match serde_json::from_slice(&content) {
            Ok(intent) => Ok(Some(intent)),
            // The run was interrupted while it wrote this, before anything else.
            Err(_) if from.exists() => Ok(None),
            Err(error) => Err(Error::bad_file(&path, "does not say what was to be renamed")
                .because(error)
                .with_hint("look at the jails and delete it")),
        }
    }

    /// In place, not beside it and renamed: what an interruption leaves is overwritten by the next run
    /// under the same name, and one that is not whole says that nothing has happened yet.
    fn write(&self, from: &Jail) -> Result<()> {
        let path = Intent::path(from);
        let write = || -> io::Result<()> {
            let mut file =
                OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path)?;
            file.write_all(&serde_json::to_vec(self)?)?;
            file.write_all(b"\n")?;
            file.sync_all()
        };
        write().context("cannot write", &path).inspect_err(|_| {
            // Not to be found by the next run, which would begin anew all the same.
            let _ = fs::remove_file(&path);
        })?;
        file::sync_dir_of(&path)
    }
}

impl Rename {
    /// What a rename comes to. Nothing is done yet. The caller holds the locks of both names.
    ///
    /// # Errors
    /// [`NoSuchJail`](crate::ErrorKind::NoSuchJail); [`TargetExists`](crate::ErrorKind::TargetExists) for a jail, incs or configuration of the new
    /// name; an earlier rename of the jail that went half way to another name.
    pub fn plan(settings: &Settings, from: &JailName, to: &JailName) -> Result<Rename> {
        if from == to {
            return Err(Error::invalid(format!("jail '{from}' has that name already")));
        }
        let (from, to) = (Jail::new(settings, from.clone()), Jail::new(settings, to.clone()));
        let intent = Intent::read(&from)?;
        let mut rename = Rename { steps: Vec::new(), interrupted: None, from, to };
        match intent {
            Some(intent) if !rename.from.exists() => {
                if intent.to != rename.to.name().as_str() {
                    let (from, to) = (rename.from.name(), text::printable(intent.to.as_bytes()));
                    let message =
                        format!("an interrupted rename of '{from}' to '{to}' must be finished first");
                    return Err(Error::refused(message).with_hint(format!("run 'bkctld rename {from} {to}'")));
                }
                rename.interrupted = Some(intent.service);
                rename.steps = rename.rest()?;
            }
            intent => {
                if !rename.from.exists() {
                    return Err(Error::no_such_jail(rename.from.name()));
                }
                rename.from.require_current_format()?;
                rename.interrupted = intent.map(|intent| intent.service);
                rename.steps = rename.all()?;
            }
        }
        Ok(rename)
    }

    /// The jail under its old name.
    pub fn from(&self) -> &Jail {
        &self.from
    }

    /// The jail under its new name.
    pub fn to(&self) -> &Jail {
        &self.to
    }

    fn candidates(&self) -> [Step; 5] {
        let step = |what, of: fn(&Jail) -> &Path| Step {
            what,
            from: of(&self.from).to_path_buf(),
            to: of(&self.to).to_path_buf(),
        };
        [
            step(What::Jail, Jail::dir),
            step(What::Incs, Jail::inc_dir),
            step(What::Records, Jail::state_dir),
            step(What::Configuration, Jail::conf_dir),
            step(What::Policy, Jail::legacy_policy),
        ]
    }

    /// The steps from the beginning.
    fn all(&self) -> Result<Vec<Step>> {
        let mut steps = Vec::new();
        for step in self.candidates() {
            let moves = step.finds(&step.from)?;
            // Whatever is in the way of something; else only what would become the jail's.
            let taken = if moves { file::exists(&step.to)? } else { step.finds(&step.to)? };
            // Records of a name that no jail has are of one that was archived or taken away by hand.
            if step.what != What::Records && taken {
                let what = match step.what {
                    What::Jail => "jail",
                    What::Incs => "incs",
                    _ => "configuration",
                };
                return Err(Error::target_exists(what, &step.to));
            }
            if moves {
                steps.push(step);
            }
        }
        Ok(steps)
    }

    /// The steps that an interrupted run has left.
    fn rest(&self) -> Result<Vec<Step>> {
        let mut steps = Vec::new();
        for step in self.candidates() {
            if !step.finds(&step.from)? {
                continue;
            }
            // A policy's link is made anew before the old one goes; records may be new ones.
            let may_be_there = matches!(step.what, What::Policy | What::Records) && step.finds(&step.to)?;
            if file::exists(&step.to)? && !may_be_there {
                let message = format!(
                    "the interrupted rename of '{}' to '{}' cannot be finished, as both {} and {} exist",
                    self.from.name(),
                    self.to.name(),
                    text::path(&step.from),
                    text::path(&step.to)
                );
                return Err(Error::refused(message).with_hint("move one of them away, then run it again"));
            }
            steps.push(step);
        }
        Ok(steps)
    }

    /// Writes down what is meant, before the service is stopped.
    pub fn begin(&self, service: SavedService) -> Result<()> {
        Intent { to: self.to.name().to_string(), service }.write(&self.from)
    }

    /// Renames, each step on disk before the next. The service is stopped.
    pub fn carry_out(&self, settings: &Settings) -> Result<()> {
        self.from.close_to_others()?;
        for step in &self.steps {
            match step.what {
                What::Jail => self.rename_jail(settings, step)?,
                What::Records => {
                    tree::delete(&step.to)?;
                    moved(step)?;
                }
                What::Policy => self.rename_policy(step)?,
                What::Incs | What::Configuration => moved(step)?,
            }
        }
        Ok(())
    }

    /// With the firewall's rules, which are told by the jail's name.
    fn rename_jail(&self, settings: &Settings, step: &Step) -> Result<()> {
        let mut change = Change::forget(self.from.name());
        // One whose port cannot be read has no rules.
        if let Ok(rules) = JailRules::read(&self.from) {
            change.admit.push(JailRules { jail: self.to.name().clone(), ..rules });
        }
        firewall::change(settings, &change, |_| moved(step))
    }

    fn rename_policy(&self, step: &Step) -> Result<()> {
        let target = match fs::read_link(&step.from) {
            Ok(target) => target,
            // A file, or a directory that is none of ours.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => return moved(step),
            Err(error) => return Err(error).context("cannot read", &step.from),
        };
        // A link to the policy in the directory, which has its new name by now.
        let of = |jail: &Jail| jail.conf_dir().file_name().map(PathBuf::from).unwrap_or_default();
        let (old, new) = (of(&self.from), of(&self.to));
        let renamed: PathBuf = target
            .components()
            .map(|part| if part.as_os_str() == old { new.as_os_str() } else { part.as_os_str() })
            .collect();
        match symlink(&renamed, &step.to) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => made.context("cannot make link", &step.to)?,
        }
        fs::remove_file(&step.from).context("cannot delete", &step.from)?;
        file::sync_dir_of(&step.to)
    }

    /// All is done, the service included: the rename is forgotten.
    pub fn finish(&self) -> Result<()> {
        forget(&self.from)
    }
}

/// Forgets a rename of the jail that was interrupted. What takes the jail away does so first: without
/// the jail, the rename would seem to be half done.
pub(super) fn forget(from: &Jail) -> Result<()> {
    let path = Intent::path(from);
    match fs::remove_file(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed.context("cannot delete", &path),
    }
}

fn moved(step: &Step) -> Result<()> {
    file::rename(&step.from, &step.to)
}

#[cfg(test)]
mod tests;
