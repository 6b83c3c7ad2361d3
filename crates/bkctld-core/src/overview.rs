//! What can be told of a jail at a glance: the facts that `status`, `report` and the metrics share.

use crate::config::{Isolation, Settings};
use crate::error::{Error, Result};
use crate::jail::{Jail, Port, SessionPolicy, SshdConfig};
use crate::retention::Retention;
use crate::service::{self, ServedBy};

/// One jail. What could not be found out is missing here, and among the problems.
#[derive(Debug)]
pub struct Overview {
    /// Who serves its port; none where it is off.
    pub served_by: Option<ServedBy>,
    /// Its port; none where it cannot be told.
    pub port: Option<Port>,
    /// The addresses that may connect.
    pub addresses: Vec<String>,
    /// How many rules its policy has.
    pub retention: Retention,
    /// What keeps its sessions apart from the server.
    pub isolation: Isolation,
    /// Why something is missing, each naming the jail.
    pub problems: Vec<Error>,
    /// The jail's format is not the one that this program serves; of one that it does not know either,
    /// there is nothing but retention.
    pub other_format: Option<Error>,
}

impl Overview {
    /// Looks at the jail.
    pub fn of(jail: &Jail, settings: &Settings) -> Overview {
        let mut problems = Vec::new();
        let retention = note(&mut problems, Retention::of(jail)).unwrap_or(Retention::None);
        let mut overview = Overview {
            served_by: None,
            port: None,
            addresses: Vec::new(),
            retention,
            isolation: Isolation::Full,
            problems: Vec::new(),
            other_format: jail.require_current_format().err(),
        };
        if overview.other_format.is_none() || jail.has_old_layout() {
            overview.look_inside(jail, settings, &mut problems);
        }
        overview.problems = problems.into_iter().map(|problem| problem.in_jail(jail.name())).collect();
        overview
    }

    fn look_inside(&mut self, jail: &Jail, settings: &Settings, problems: &mut Vec<Error>) {
        self.served_by = note(problems, service::served_by(jail)).flatten();
        if let Some(policy) = note(problems, SessionPolicy::read(jail, settings)) {
            self.isolation = policy.isolation;
        }
        let Some(config) = note(problems, SshdConfig::read(jail)) else { return };
        self.port = note(problems, config.port());
        self.addresses = note(problems, config.allowed_addresses())
            .map(|allowed| allowed.iter().map(|address| address.to_string()).collect())
            .unwrap_or_default();
    }

    /// `ON` or `OFF`.
    pub fn status(&self) -> &'static str {
        if self.served_by.is_some() { "ON" } else { "OFF" }
    }
}

fn note<T>(problems: &mut Vec<Error>, result: Result<T>) -> Option<T> {
    result.map_err(|error| problems.push(error)).ok()
}
