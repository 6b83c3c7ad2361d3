//! The jails that a command acts on.

use std::str::FromStr;

use bkctld_core::check::{CheckPolicy, ExpectedState};
use bkctld_core::{Error, ErrorKind, Jail, JailName, jail, text};

use super::{Context, Ended, Outcome};
use crate::exit::Failure;

/// The jails that a command acts on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Every jail.
    All,
    /// One.
    One(JailName),
}

impl FromStr for Target {
    type Err = Error;

    fn from_str(text: &str) -> Result<Target, Error> {
        match text {
            "all" => Ok(Target::All),
            name => Ok(Target::One(name.parse()?)),
        }
    }
}

impl Context {
    /// The names of the target's jails; an unknown one is an error. Running jails without a directory are
    /// reported, because `stop` acts on them.
    pub fn names(&self, target: &Target) -> Result<Vec<JailName>, Failure> {
        match target {
            Target::All => self.names_of_all(),
            Target::One(name) => match Jail::open(&self.settings, name.clone()) {
                Ok(jail) => Ok(vec![jail.name().clone()]),
                Err(_) if self.runs(name) => {
                    Err(Error::new(ErrorKind::NoSuchJail, self.on_without_data(name)).into())
                }
                Err(error) => Err(error.into()),
            },
        }
    }

    fn names_of_all(&self) -> Result<Vec<JailName>, Failure> {
        let listed = jail::list(&self.settings);
        let lost = self.running_without_data(listed.as_deref().unwrap_or_default());
        match (listed, lost) {
            (Ok(names), None) => Ok(names),
            (Ok(names), Some(lost)) => {
                self.ui.warning(&lost);
                Ok(names)
            }
            (Err(error), None) => Err(error.into()),
            (Err(error), Some(lost)) => Err(error.also(lost).into()),
        }
    }

    /// The result for a jail that 'all' skips, because its `check_policy` expects it to be off: a jail out of
    /// service must not come back with a boot. By name, or with `-f`, it is treated like the others, and so
    /// is a jail whose policy cannot be read, which the checks report.
    pub fn left_out(&self, target: &Target, name: &JailName) -> Option<Outcome> {
        if *target != Target::All || self.options.force {
            return None;
        }
        let policy = CheckPolicy::read(&Jail::new(&self.settings, name.clone())).ok()?;
        (policy.expected_state == ExpectedState::Off).then(|| {
            let why = "its check_policy has EXPECTED_STATE=OFF (-f includes it)";
            Outcome::new(Ended::Skipped, format_args!("jail '{name}' is left alone: {why}"))
        })
    }

    /// Whether a process of the jail runs, even without its data.
    pub fn runs(&self, name: &JailName) -> bool {
        Jail::new(&self.settings, name.clone()).has_processes().unwrap_or_default()
    }

    /// The message about a running jail without a directory.
    pub fn on_without_data(&self, name: &JailName) -> String {
        let jail = Jail::new(&self.settings, name.clone());
        format!(
            "jail '{name}' is on, but {} is missing: mount the backup partition again, or stop the jail with 'bkctld stop {name}'",
            text::path(jail.dir())
        )
    }

    fn running_without_data(&self, listed: &[JailName]) -> Option<String> {
        // Code that needs the locks reports locks that cannot be trusted.
        let names = jail::running_without_data(&self.settings, listed).unwrap_or_default();
        let shown: Vec<&str> = names.iter().map(JailName::as_str).collect();
        (!shown.is_empty()).then(|| {
            format!(
                "jails that are on, but not in JAILDIR {}: {} ('bkctld stop all' stops them)",
                text::path(&self.settings.jail_dir),
                shown.join(", ")
            )
        })
    }
}
