//! Renaming a jail and everything that belongs to it.
//!
//! Several directories, perhaps on several file systems, cannot be renamed atomically. So the intent is
//! written down first, beside the jails, and the jail itself is renamed first: while `JAILDIR/OLD` exists,
//! nothing has happened yet; afterwards, the rename can only be finished, by running the same command again.
//! In between, the jail has no policy under its new name, and its incs have none under the old one: `inc`
//! skips the jail, and `rm` deletes none of its incs.

pub(super) mod intent;

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Serialize;

use self::intent::{Intent, forget};
use super::{is_configuration, is_policy};
use crate::config::Settings;
use crate::error::{Error, IoContext, Result};
use crate::file;
use crate::firewall::{self, Change, JailRules};
use crate::jail::{Jail, JailName};
use crate::lock::Lock;
use crate::service::{self, SavedService};
use crate::watch::{Watch, lock_config, lock_incs};
use crate::{session, text, tree};

/// A rename as it will be done: the value that `--dry-run` and JSON show.
#[derive(Debug)]
pub struct Rename {
    from: Jail,
    to: Jail,
    /// The remaining renames, in this order.
    pub steps: Vec<Step>,
    /// The state of the service before an interrupted run.
    pub interrupted: Option<SavedService>,
}

/// One path that is renamed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Step {
    /// Which of the jail's belongings.
    pub what: Belonging,
    /// Its path as long as it has the old name.
    pub from: PathBuf,
    /// Its path under the new name.
    pub to: PathBuf,
}

/// The kinds of paths that contain a jail's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Belonging {
    /// `JAILDIR/J`.
    Jail,
    /// `INCDIR/J`: as a whole, because btrfs cannot move a read-only snapshot to another directory.
    Incs,
    /// `DATADIR/sessions/J`.
    Records,
    /// `CONFDIR/J.d`.
    Configuration,
    /// `CONFDIR/J`: the policy's old place, a file or a link into `CONFDIR/J.d`.
    Policy,
}

impl Step {
    /// Whether this path exists for that name and does not belong to another jail.
    fn finds(&self, path: &Path) -> Result<bool> {
        match self.what {
            Belonging::Configuration => Ok(is_configuration(path)),
            Belonging::Policy => is_policy(path),
            Belonging::Jail | Belonging::Incs | Belonging::Records => file::exists(path),
        }
    }
}

/// A rename that is done.
#[derive(Debug)]
pub struct Renamed {
    /// The steps that were taken.
    pub rename: Rename,
    /// How many sessions of clients ended by it.
    pub sessions_ended: usize,
}

/// Renames the jail with all that belongs to it. Its service is stopped, and is under the new name what it was.
///
/// # Errors
/// As [`Rename::plan`]. Where something fails before the jail has its new name, the service is what it was; later
/// on, the error says that the same rename finishes it.
pub fn run(settings: &Settings, from: &JailName, to: &JailName, watch: &dyn Watch) -> Result<Renamed> {
    // What cannot be done is said at once, and not after another command has finished.
    Rename::plan(settings, from, to)?;
    let _locks = lock_both(settings, [from, to], watch)?;
    let rename = Rename::plan(settings, from, to)?;
    let saved = service::save(settings, rename.from())?.or(rename.interrupted.unwrap_or_default());
    let sessions_ended = rename.sessions()?;
    rename.begin(saved)?;
    rename.stop_and_carry_out(settings).map_err(|error| rename.undo(settings, saved, error))?;
    let restored = service::restore(settings, rename.to(), saved);
    forget(rename.from())?;
    restored.map_err(|error| {
        Error::service(format!("jail '{from}' is renamed to '{to}', but is off: {error}"))
    })?;
    Ok(Renamed { rename, sessions_ended })
}

/// Both names' locks, in the same order whichever of the two is the new one; those of the incs before
/// the service stops, as an inc may take long.
fn lock_both(settings: &Settings, mut names: [&JailName; 2], watch: &dyn Watch) -> Result<[Lock; 4]> {
    names.sort();
    let [first, second] = names.map(|name| Jail::new(settings, name.clone()));
    Ok([
        lock_config(&first, watch)?,
        lock_config(&second, watch)?,
        lock_incs(&first, watch)?,
        lock_incs(&second, watch)?,
    ])
}

impl Rename {
    /// Plans a rename, without doing anything. The caller holds the locks of both names.
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

    /// How many sessions of clients the rename ends.
    pub fn sessions(&self) -> Result<usize> {
        Ok(session::active(&self.from)?.len())
    }

    fn candidates(&self) -> [Step; 5] {
        let step = |what, of: fn(&Jail) -> &Path| Step {
            what,
            from: of(&self.from).to_path_buf(),
            to: of(&self.to).to_path_buf(),
        };
        [
            step(Belonging::Jail, Jail::dir),
            step(Belonging::Incs, Jail::inc_dir),
            step(Belonging::Records, Jail::state_dir),
            step(Belonging::Configuration, Jail::conf_dir),
            step(Belonging::Policy, Jail::legacy_policy),
        ]
    }

    /// All steps, where no earlier run has taken any.
    fn all(&self) -> Result<Vec<Step>> {
        let mut steps = Vec::new();
        for step in self.candidates() {
            let moves = step.finds(&step.from)?;
            // Any path that is in the way; otherwise only paths that would become the jail's.
            let taken = if moves { file::exists(&step.to)? } else { step.finds(&step.to)? };
            // Records under a name without a jail belong to a jail that was archived or removed by hand.
            if step.what != Belonging::Records && taken {
                let what = match step.what {
                    Belonging::Jail => "jail",
                    Belonging::Incs => "incs",
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

    /// The remaining steps of an interrupted run.
    fn rest(&self) -> Result<Vec<Step>> {
        let mut steps = Vec::new();
        for step in self.candidates() {
            if !step.finds(&step.from)? {
                continue;
            }
            // A link to the policy is recreated before the old one is deleted; records may be new ones.
            let may_be_there =
                matches!(step.what, Belonging::Policy | Belonging::Records) && step.finds(&step.to)?;
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

    /// Writes the intent, before the service is stopped.
    fn begin(&self, service: SavedService) -> Result<()> {
        Intent { to: self.to.name().to_string(), service }.write(&self.from)
    }

    /// Renames the paths; each step is on disk before the next begins. The service is stopped.
    fn stop_and_carry_out(&self, settings: &Settings) -> Result<()> {
        service::stop_for_good(settings, &self.from)?;
        self.from.close_to_others()?;
        for step in &self.steps {
            match step.what {
                Belonging::Jail => self.rename_jail(settings, step)?,
                Belonging::Records => {
                    tree::delete(&step.to)?;
                    moved(step)?;
                }
                Belonging::Policy => self.rename_policy(step)?,
                Belonging::Incs | Belonging::Configuration => moved(step)?,
            }
        }
        Ok(())
    }

    /// The firewall's rules are included, because they contain the jail's name.
    fn rename_jail(&self, settings: &Settings, step: &Step) -> Result<()> {
        let mut change = Change::forget(self.from.name());
        // A jail whose port cannot be read has no rules.
        if let Ok(rules) = JailRules::read(&self.from) {
            change.admit.push(JailRules { jail: self.to.name().clone(), ..rules });
        }
        firewall::change(settings, &change, |_| moved(step))
    }

    fn rename_policy(&self, step: &Step) -> Result<()> {
        let target = match fs::read_link(&step.from) {
            Ok(target) => target,
            // A file, or a directory that is not ours.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => return moved(step),
            Err(error) => return Err(error).context("cannot read", &step.from),
        };
        // A link to the policy in the directory, which already has its new name.
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

    /// What to say of a rename that failed, with what can be undone undone: as long as the jail has its old name,
    /// nothing has happened to it but that it is off.
    fn undo(&self, settings: &Settings, saved: SavedService, error: Error) -> Error {
        let (old, new) = (self.from.name(), self.to.name());
        if !self.from.exists() {
            return error.also(format!(
                "the jail is renamed, but the rest is not: run 'bkctld rename {old} {new}' again to finish"
            ));
        }
        match service::restore(settings, &self.from, saved).and_then(|()| forget(&self.from)) {
            Ok(()) => error,
            Err(second) => error.also(format!("and jail '{old}' is off: {second}")),
        }
    }
}

fn moved(step: &Step) -> Result<()> {
    file::rename(&step.from, &step.to)
}

#[cfg(test)]
mod tests;
