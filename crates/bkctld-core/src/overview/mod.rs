//! The main facts about a jail, which `status`, `report` and the metrics share.

mod details;

use crate::config::{Isolation, Settings};
use crate::error::{Error, Result};
use crate::jail::{Jail, Port, SessionPolicy, SshdConfig};
use crate::retention::Retention;
use crate::service::{self, ServedBy};

pub use details::{Details, Expiry};

/// The facts about one jail. Facts that could not be read are missing here, and listed among the problems.
#[derive(Debug)]
pub struct Overview {
    /// The service that serves its port; none if the jail is off.
    pub served_by: Option<ServedBy>,
    /// Its port; none if it could not be read.
    pub port: Option<Port>,
    /// The addresses that may connect.
    pub addresses: Vec<String>,
    /// The number of rules in its policy.
    pub retention: Retention,
    /// The isolation of its sessions from the server.
    pub isolation: Isolation,
    /// The reasons why facts are missing; each names the jail.
    pub problems: Vec<Error>,
    /// The jail has another format than this program serves; for an unknown format, only the retention is
    /// available.
    pub other_format: Option<Error>,
}

impl Overview {
    /// Reads the facts about the jail.
    pub fn read(jail: &Jail, settings: &Settings) -> Overview {
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

    /// What else was found out of the jail; where it was not, the problems say why.
    pub fn note<T>(&mut self, jail: &Jail, result: Result<T>) -> Option<T> {
        result.map_err(|error| self.problems.push(error.in_jail(jail.name()))).ok()
    }

    /// `ON` or `OFF`.
    pub fn status(&self) -> &'static str {
        if self.served_by.is_some() { "ON" } else { "OFF" }
    }
}

fn note<T>(problems: &mut Vec<Error>, result: Result<T>) -> Option<T> {
    result.map_err(|error| problems.push(error)).ok()
}
