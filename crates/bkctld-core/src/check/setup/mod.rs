//! Checks whether the server is ready for backups: the disk, the firewall, the locks, the jails' services,
//! the runs of `inc` and `rm`, unfinished commands, the shared programs. There is one file for each of them.

mod closed;
mod disk;
mod firewall;
mod locks;
mod operations;
mod runtime;
mod services;
mod sources;
mod subvolumes;
mod unfinished;
mod writable;

use std::fmt::Display;

use jiff::Zoned;

use super::report::{Details, Finding, Measure, Report, Severity};
use crate::config::Settings;
use crate::jail::{self, Jail};

/// Checks the server.
pub fn setup(settings: &Settings, now: &Zoned) -> Report {
    let mut parts = Parts::default();
    disk::check(settings, &mut parts);
    firewall::check(settings, &mut parts);
    let locks = locks::check(settings, &mut parts);
    match jail::list_strictly(settings) {
        Ok(names) => {
            services::without_data(settings, &names, &mut parts);
            let jails: Vec<Jail> = names.into_iter().map(|name| Jail::new(settings, name)).collect();
            if locks {
                services::check(settings, &jails, &mut parts);
            }
            runtime::check(settings, &jails, &mut parts);
            subvolumes::nested(&jails, &mut parts);
        }
        Err(error) => {
            parts.unknown("state", error);
            services::without_data(settings, &[], &mut parts);
        }
    }
    closed::check(settings, &mut parts);
    writable::check(settings, &mut parts);
    unfinished::check(settings, &mut parts);
    operations::check(settings, now, locks, &mut parts);
    sources::check(&mut parts);
    subvolumes::quota(settings, &mut parts);
    Report::new(parts.findings).with_measures(parts.measures)
}

/// The findings of all parts, each under a stable name for programs.
#[derive(Default)]
struct Parts {
    findings: Vec<Finding>,
    measures: Vec<Measure>,
}

impl Parts {
    fn add(&mut self, check: &'static str, severity: Severity, text: impl Display) {
        self.findings.push(Finding::new(severity, text).with(Details::setup(check)));
    }

    fn add_of_jail(&mut self, check: &'static str, severity: Severity, jail: &Jail, text: impl Display) {
        self.findings.push(Finding::of_jail(severity, jail.name(), text).with(Details::setup(check)));
    }

    fn unknown(&mut self, check: &'static str, why: impl Display) {
        self.add(check, Severity::Unknown, why);
    }
}
