//! The server's firewall: who may try to connect to a jail's port. The listener asks the jail's list
//! itself; a firewall turns strangers away before there is a connection.
//!
//! Two back ends are written from the same [`Rules`]: a file that minifirewall sources
//! (`FIREWALL_RULES`), and a table of our own in nftables (`FIREWALL=nftables`).

pub(crate) mod nftables;
mod rules;
pub(crate) mod rules_file;

use std::path::PathBuf;

pub use rules::{JailRules, Rules};

use crate::config::{Firewall, Settings};
use crate::error::{Error, Result};
use crate::file;
use crate::jail::{Jail, JailName};
use crate::lock::Lock;

const LOCK: &str = "firewall.rules";

/// What is about to become of the jails' ports and addresses.
#[derive(Clone, Debug, Default)]
pub struct Change {
    /// Jails that get these rules, whatever the disk says now.
    pub admit: Vec<JailRules>,
    /// Jails whose rules go.
    pub forget: Vec<JailName>,
    /// Jails whose rules are written once more as the disk says, even if nothing is different from
    /// what the back end was told last.
    pub again: Vec<JailName>,
}

impl Change {
    /// A jail gets these rules.
    pub fn admit(rules: JailRules) -> Change {
        Change { admit: vec![rules], ..Change::default() }
    }

    /// A jail's rules go.
    pub fn forget(jail: &JailName) -> Change {
        Change { forget: vec![jail.clone()], ..Change::default() }
    }

    /// These jails' rules are written once more.
    pub fn again(jails: Vec<JailName>) -> Change {
        Change { again: jails, ..Change::default() }
    }
}

/// What the back end will be told.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(tag = "backend", rename_all = "lowercase")]
pub enum Plan {
    /// No firewall is configured.
    None,
    /// The rules file and what it will hold.
    Minifirewall {
        /// `FIREWALL_RULES`.
        file: PathBuf,
        /// What it holds; none where there is no such file.
        #[serde(skip)]
        old: Option<Vec<u8>>,
        /// What it is to hold, the administrator's lines included.
        #[serde(skip)]
        new: Vec<u8>,
        /// The lines of the jails that the change is about.
        rules: String,
    },
    /// The text for `nft -f -`.
    Nftables {
        /// Replaces the whole table.
        rules: String,
    },
}

/// What the back end will be told for this change, with nothing done yet.
pub fn plan(settings: &Settings, change: &Change) -> Result<Plan> {
    match &settings.firewall {
        Firewall::None => Ok(Plan::None),
        Firewall::RulesFile(path) => {
            // The file may be a link, which stays one.
            let file = std::fs::canonicalize(path).unwrap_or_else(|_| path.clone());
            let old = file::read_if_there(&file)?;
            // The lines of a jail whose port cannot be read stay.
            let read = |jail: &JailName| JailRules::read(&Jail::new(settings, jail.clone())).ok();
            let mut admit = change.admit.clone();
            admit.extend(change.again.iter().filter_map(read));
            let new = rules_file::edited(old.as_deref().unwrap_or_default(), &change.forget, &admit);
            let rules = admit.iter().map(rules_file::lines).collect();
            Ok(Plan::Minifirewall { file, old, new, rules })
        }
        Firewall::Nftables => {
            // A jail whose port cannot be read has none that could be guarded.
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

/// Puts the rules for this change into force, then carries the change itself out with `act`. A firewall
/// that refuses leaves everything as it was; where `act` fails, the rules are made what they were.
/// Whoever changes ports, addresses or names of jails does it in `act`: it is one at a time on this
/// server, so that the last one's rules are of what is on disk.
pub fn change<T>(settings: &Settings, change: &Change, act: impl FnOnce(&Plan) -> Result<T>) -> Result<T> {
    if settings.firewall == Firewall::None {
        return act(&Plan::None);
    }
    let _lock = Lock::take(&settings.lock_dir.join(LOCK), || ())?;
    let plan = plan(settings, change)?;
    let told = tell(&plan, !change.again.is_empty()).map_err(|error| {
        Error::Refused(format!("the firewall could not be changed, so nothing was: {error}"))
    })?;
    act(&plan).inspect_err(|_| {
        if told {
            // The error of `act` is the one to be told; `check-setup` finds what is left of this one.
            let _ = untell(settings, &plan);
        }
    })
}

/// Tells the back end, and whether there was anything to tell.
fn tell(plan: &Plan, again: bool) -> Result<bool> {
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

fn untell(settings: &Settings, told: &Plan) -> Result<()> {
    match told {
        Plan::None => Ok(()),
        Plan::Minifirewall { file, old, .. } => {
            rules_file::put_back(file, old.as_deref())?;
            rules_file::restart()
        }
        Plan::Nftables { .. } => tell(&self::plan(settings, &Change::default())?, false).map(drop),
    }
}

/// How the rules in force differ from those that the jails want, each in a few words; nothing where
/// they agree or no firewall is configured. `bkctld firewall all` makes them agree.
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
