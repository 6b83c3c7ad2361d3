//! The server's firewall, which limits the addresses that may try to connect to a jail's port. The listener
//! checks the jail's list itself; a firewall blocks strangers before there is a connection.
//!
//! Two back ends are written from the same [`Rules`]: a file that minifirewall sources
//! (`FIREWALL_RULES`), and a table of our own in nftables (`FIREWALL=nftables`).

pub(crate) mod nftables;
mod rules;
pub(crate) mod rules_file;

use std::path::PathBuf;

pub use rules::{JailRules, Rules};

use crate::config::{Firewall, Settings};
use crate::error::Result;
use crate::file;
use crate::jail::{Jail, JailName};
use crate::lock::Lock;

const LOCK: &str = "firewall.rules";

/// A coming change of the jails' ports and addresses.
#[derive(Clone, Debug, Default)]
pub struct Change {
    /// Jails that get these rules, regardless of their files on disk.
    pub admit: Vec<JailRules>,
    /// Jails whose rules are removed.
    pub forget: Vec<JailName>,
    /// Jails whose rules are rewritten from their files on disk, even if nothing has changed since the last
    /// time.
    pub again: Vec<JailName>,
}

impl Change {
    /// A jail gets these rules.
    pub fn admit(rules: JailRules) -> Change {
        Change { admit: vec![rules], ..Change::default() }
    }

    /// A jail's rules are removed.
    pub fn forget(jail: &JailName) -> Change {
        Change { forget: vec![jail.clone()], ..Change::default() }
    }

    /// The rules of these jails are rewritten.
    pub fn again(jails: Vec<JailName>) -> Change {
        Change { again: jails, ..Change::default() }
    }
}

/// The new rules for the back end.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, schemars::JsonSchema)]
#[serde(tag = "backend", rename_all = "lowercase")]
pub enum Plan {
    /// No firewall is configured, so there is nobody to tell.
    None,
    /// The rules file and its new contents.
    Minifirewall {
        /// The file that `FIREWALL_RULES` names, links followed.
        file: PathBuf,
        /// The current contents; none if the file does not exist.
        #[serde(skip)]
        old: Option<Vec<u8>>,
        /// The new contents, including the administrator's lines.
        #[serde(skip)]
        new: Vec<u8>,
        /// The lines of the jails that the change is about.
        rules: String,
    },
    /// The text for `nft -f -`.
    Nftables {
        /// The script that replaces the whole table `inet bkctld`.
        rules: String,
    },
}

/// Prepares the new rules for this change, without doing anything.
pub fn plan(settings: &Settings, change: &Change) -> Result<Plan> {
    match &settings.firewall {
        Firewall::None => Ok(Plan::None),
        Firewall::RulesFile(path) => {
            // The file may be a link, which stays one.
            let file = std::fs::canonicalize(path).unwrap_or_else(|_| path.clone());
            let old = file::read_if_there(&file)?;
            // Lines of a jail whose port cannot be read are kept.
            let read = |jail: &JailName| JailRules::read(&Jail::new(settings, jail.clone())).ok();
            let mut admit = change.admit.clone();
            admit.extend(change.again.iter().filter_map(read));
            let new = rules_file::edited(old.as_deref().unwrap_or_default(), &change.forget, &admit);
            let rules = admit.iter().map(rules_file::lines).collect();
            Ok(Plan::Minifirewall { file, old, new, rules })
        }
        Firewall::Nftables => {
            // A jail whose port cannot be read has no port to protect.
            let (mut rules, _) = Rules::read(settings)?;
            for jail in &change.forget {
                rules.remove(jail);
            }
            for of_jail in &change.admit {
                rules.set(of_jail.clone());
            }
            Ok(Plan::Nftables { rules: nftables::script(&rules) })
        }
    }
}

/// Applies the rules for this change, then runs `act` to make the change itself. If the firewall fails,
/// everything stays as it was; if `act` fails, the old rules are restored. Changes of ports, addresses or
/// names of jails must be made in `act`: only one runs at a time on this server, so the rules always match
/// the files on disk.
pub fn change<T>(settings: &Settings, change: &Change, act: impl FnOnce(&Plan) -> Result<T>) -> Result<T> {
    if settings.firewall == Firewall::None {
        return act(&Plan::None);
    }
    let _lock = Lock::take(&settings.lock_dir.join(LOCK), || ())?;
    let plan = plan(settings, change)?;
    let applied = apply(&plan, !change.again.is_empty()).map_err(|error| {
        error.wrap("nothing was changed, because the firewall rules could not be updated")
    })?;
    act(&plan).inspect_err(|_| {
        if applied {
            // The error of `act` is reported; `check-setup` finds the effects of this one.
            let _ = restore(settings, &plan);
        }
    })
}

/// Writes the rules to the back end; returns whether there was anything to write.
fn apply(plan: &Plan, again: bool) -> Result<bool> {
    match plan {
        Plan::None => Ok(false),
        Plan::Minifirewall { file, old, new, .. } => {
            if old.as_deref().unwrap_or_default() != new.as_slice() {
                rules_file::write(file, old.as_deref(), new)?;
                return Ok(true);
            }
            if again {
                rules_file::restart()?;
            }
            Ok(false)
        }
        Plan::Nftables { rules } => nftables::apply(rules).map(|()| true),
    }
}

fn restore(settings: &Settings, applied: &Plan) -> Result<()> {
    match applied {
        Plan::None => Ok(()),
        Plan::Minifirewall { file, old, .. } => {
            rules_file::put_back(file, old.as_deref())?;
            rules_file::restart()
        }
        Plan::Nftables { .. } => apply(&self::plan(settings, &Change::default())?, false).map(drop),
    }
}

/// The differences between the rules in force and those of the jails, each in a few words; empty if they
/// match or no firewall is configured. `bkctld firewall all` corrects them.
pub fn differences(settings: &Settings) -> Result<Vec<String>> {
    if settings.firewall == Firewall::None {
        return Ok(Vec::new());
    }
    // Not between the two steps of a change.
    let _lock = Lock::take(&settings.lock_dir.join(LOCK), || ())?;
    let (wanted, _) = Rules::read(settings)?;
    match &settings.firewall {
        Firewall::None => Ok(Vec::new()),
        Firewall::RulesFile(path) => {
            let text = file::read_if_there(path)?.unwrap_or_default();
            Ok(rules_file::differences(&text, &wanted))
        }
        Firewall::Nftables => nftables::differences(&wanted),
    }
}
