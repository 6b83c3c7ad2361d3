//! What Prometheus and Munin are told. The names are an interface: `docs/metrics.md` lists them, and they
//! stay.

mod text;

use std::collections::BTreeMap;

use jiff::{Timestamp, Zoned};

pub use text::{Family, Sample};

use crate::check::{self, Expected, Report};
use crate::config::{Isolation, Settings};
use crate::error::{Error, Result};
use crate::inc::{self, IncName, Record};
use crate::jail::{self, ClientFile, Jail, JailName};
use crate::operation::Operation;
use crate::overview::Overview;
use crate::session::{self, Kind};
use crate::sizes;

/// Every name with its help, in the order in which they are printed.
const FAMILIES: [(&str, &str); 33] = [
    ("bkctld_info", "The version of bkctld that wrote this; always 1."),
    ("bkctld_jails", "Jails on this server."),
    ("bkctld_jails_on", "Jails whose port is served."),
    ("bkctld_incs", "Incs on this server, including those of archived jails."),
    ("bkctld_operations_running", "Runs of this command in progress."),
    ("bkctld_rsyncs_running", "Sessions in which an rsync is running."),
    ("bkctld_last_inc_run_duration_seconds", "Duration of the last finished run of inc over all jails."),
    ("bkctld_last_inc_run_timestamp_seconds", "The hour in which that run began."),
    ("bkctld_check_status", "The worst finding of this check: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN."),
    ("bkctld_check_findings", "Number of findings of this severity."),
    ("bkctld_jail_info", "Properties of the jail; always 1."),
    ("bkctld_jail_on", "Whether the jail's port is served."),
    ("bkctld_jail_problems", "Number of values of the jail that could not be read."),
    (
        "bkctld_jail_check_status",
        "The worst finding of this check about the jail, as in bkctld_check_status.",
    ),
    (
        "bkctld_jail_last_connection_timestamp_seconds",
        "Last login of a client according to the jail's lastlog; 0 if never.",
    ),
    ("bkctld_jail_last_push_timestamp_seconds", "End of the last successful push; 0 if there was none."),
    ("bkctld_jail_last_push_duration_seconds", "Duration of that push."),
    ("bkctld_jail_last_push_received_bytes", "Bytes received from the client on its connection."),
    ("bkctld_jail_last_push_sent_bytes", "Bytes sent to the client on its connection."),
    ("bkctld_jail_push_failing", "Whether a push has failed since the last successful one."),
    ("bkctld_jail_sessions_active", "Sessions in progress."),
    ("bkctld_jail_connections_without_login", "Connections so far that ended without a login."),
    ("bkctld_jail_connections_refused", "Connections so far that were refused before sshd."),
    ("bkctld_jail_incs", "Incs of the jail."),
    (
        "bkctld_jail_newest_inc_timestamp_seconds",
        "Time at which the newest inc was made; 0 if there is none.",
    ),
    ("bkctld_jail_newest_inc_duration_seconds", "Time that it took to make the newest inc."),
    ("bkctld_jail_newest_inc_warnings", "Number of warnings in the record of the newest inc."),
    (
        "bkctld_jail_newest_inc_during_session",
        "Whether a client may have been writing while the newest inc was made.",
    ),
    ("bkctld_jail_live_bytes", "Space that the jail uses on disk, from the last run of stats."),
    ("bkctld_jail_live_files", "Files of the jail, from the last run of stats."),
    ("bkctld_jail_incs_bytes", "Space that all incs of the jail use together, from the last run of stats."),
    ("bkctld_jail_sizes_timestamp_seconds", "Time at which the jail was walked for these sizes."),
    ("bkctld_jail_retention_rules", "Number of rules in the jail's policy that go back by this unit."),
];

/// What there is to tell, and what could not be found out.
#[derive(Debug)]
pub struct Metrics {
    /// In the order of `docs/metrics.md`; all of them, those without a sample too.
    pub families: Vec<Family>,
    /// Why something is missing.
    pub problems: Vec<Error>,
}

/// Looks at the server. Fast enough for every minute: nothing is walked; sizes are those of the last
/// [`sizes::Measuring`].
pub fn collect(settings: &Settings, version: &str, now: &Zoned) -> Result<Metrics> {
    let names = jail::list(settings)?;
    let mut collected = Collected::default();
    collected.add("bkctld_info", &[("version", version)], 1.0);
    collected.add("bkctld_jails", &[], names.len() as f64);
    for name in &names {
        collected.jail(&Jail::new(settings, name.clone()), settings, now);
    }
    collected.server(settings, now)?;
    let checks = [
        ("jails", check::jails(settings, &names, now)),
        ("incs", check::incs(settings, &names, now, Expected::ByEachRule)),
        ("last-incs", check::incs(settings, &names, now, Expected::OfToday)),
        ("canary", check::canaries(settings, &names, now)),
        ("setup", check::setup(settings, now)),
    ];
    for (check, report) in &checks {
        collected.check(check, report, &names);
    }
    Ok(collected.finish())
}

#[derive(Debug, Default)]
struct Collected {
    samples: BTreeMap<&'static str, Vec<Sample>>,
    problems: Vec<Error>,
    jails_on: usize,
    rsyncs: usize,
}

impl Collected {
    fn add(&mut self, name: &'static str, labels: &[(&'static str, &str)], value: f64) {
        let labels = labels.iter().map(|(label, value)| (*label, (*value).to_owned())).collect();
        self.samples.entry(name).or_default().push(Sample { labels, value });
    }

    fn note<T>(&mut self, jail: &Jail, result: Result<T>) -> Option<T> {
        result.map_err(|error| self.problems.push(error.in_jail(jail.name()))).ok()
    }

    fn finish(mut self) -> Metrics {
        self.add("bkctld_jails_on", &[], self.jails_on as f64);
        self.add("bkctld_rsyncs_running", &[], self.rsyncs as f64);
        let families = FAMILIES.map(|(name, help)| Family {
            name,
            help,
            samples: self.samples.remove(name).unwrap_or_default(),
        });
        Metrics { families: families.into(), problems: self.problems }
    }

    fn server(&mut self, settings: &Settings, now: &Zoned) -> Result<()> {
        for operation in Operation::ALL {
            let running = operation.running(settings)? as f64;
            self.add("bkctld_operations_running", &[("operation", operation.name())], running);
        }
        let mut incs = 0;
        for name in inc::jails_with_incs(settings)? {
            let jail = Jail::new(settings, name);
            let of_jail = inc::list(&jail);
            incs += self.note(&jail, of_jail).map_or(0, |incs| incs.len());
        }
        self.add("bkctld_incs", &[], incs as f64);
        // Files of runs are kept for a month.
        let runs = inc::timed_runs(settings, jiff::civil::Date::MIN)?;
        if let Some((run, took)) = runs.iter().rev().find_map(|run| Some((run.run, run.took?))) {
            self.add("bkctld_last_inc_run_duration_seconds", &[], took.as_secs_f64());
            if let Some(hour) = named(run, now) {
                self.add("bkctld_last_inc_run_timestamp_seconds", &[], seconds(hour));
            }
        }
        Ok(())
    }

    fn check(&mut self, check: &str, report: &Report, names: &[JailName]) {
        self.add("bkctld_check_status", &[("check", check)], f64::from(report.severity().code()));
        let counts = report.counts();
        for (severity, count) in [
            ("ok", counts.ok),
            ("warning", counts.warning),
            ("critical", counts.critical),
            ("unknown", counts.unknown),
        ] {
            self.add("bkctld_check_findings", &[("check", check), ("severity", severity)], count as f64);
        }
        for name in names {
            // Worst first.
            let worst = report.findings().iter().find(|finding| finding.jail.as_ref() == Some(name));
            if let Some(finding) = worst {
                let labels = [("jail", name.as_str()), ("check", check)];
                self.add("bkctld_jail_check_status", &labels, f64::from(finding.severity.code()));
            }
        }
    }

    fn jail(&mut self, jail: &Jail, settings: &Settings, now: &Zoned) {
        let already = self.problems.len();
        self.state(jail, settings);
        self.sessions(jail);
        self.incs(jail, now);
        self.sizes(jail, settings);
        let problems = (self.problems.len() - already) as f64;
        self.add("bkctld_jail_problems", &[("jail", jail.name().as_str())], problems);
    }

    fn state(&mut self, jail: &Jail, settings: &Settings) {
        let name = jail.name().as_str();
        let overview = Overview::read(jail, settings);
        let on = overview.served_by.is_some();
        let port = overview.port.map(|port| port.to_string()).unwrap_or_default();
        let isolation = match overview.isolation {
            Isolation::Full => "full",
            Isolation::Compat => "compat",
        };
        self.add("bkctld_jail_info", &[("jail", name), ("port", &port), ("isolation", isolation)], 1.0);
        self.add("bkctld_jail_on", &[("jail", name)], f64::from(u8::from(on)));
        self.jails_on += usize::from(on);
        if let crate::retention::Retention::Counted { days, months } = overview.retention {
            for (unit, rules) in [("day", days), ("month", months)] {
                self.add("bkctld_jail_retention_rules", &[("jail", name), ("unit", unit)], rules as f64);
            }
        }
        self.problems.extend(overview.problems);
    }

    fn sessions(&mut self, jail: &Jail) {
        let of_jail = [("jail", jail.name().as_str())];
        let active = session::active(jail);
        if let Some(active) = self.note(jail, active) {
            let rsync = |kind: Option<Kind>| matches!(kind, Some(Kind::RsyncPush | Kind::RsyncPull));
            self.rsyncs += active.iter().filter(|session| rsync(session.kind)).count();
            self.add("bkctld_jail_sessions_active", &of_jail, active.len() as f64);
        }
        let without_login = session::without_login(jail);
        if let Some(count) = self.note(jail, without_login) {
            let (connections, refused) = count.map_or((0, 0), |count| (count.connections, count.refused));
            self.add("bkctld_jail_connections_without_login", &of_jail, connections as f64);
            self.add("bkctld_jail_connections_refused", &of_jail, refused as f64);
        }
        let lastlog = ClientFile::lastlog(jail);
        let connection = self.note(jail, lastlog).and_then(|lastlog| Some(lastlog.file()?.modified()));
        self.add("bkctld_jail_last_connection_timestamp_seconds", &of_jail, connection.map_or(0.0, seconds));
        let pushes = session::pushes(jail);
        if let Some(pushes) = self.note(jail, pushes) {
            self.add("bkctld_jail_push_failing", &of_jail, f64::from(u8::from(pushes.failed)));
        }
        let last = session::last_push(jail);
        let Some(last) = self.note(jail, last) else { return };
        let end = last.as_ref().map(|record| record.end.unwrap_or(record.begin));
        self.add("bkctld_jail_last_push_timestamp_seconds", &of_jail, end.map_or(0.0, seconds));
        if let (Some(last), Some(end)) = (last, end) {
            let took = end.duration_since(last.begin).as_secs_f64();
            self.add("bkctld_jail_last_push_duration_seconds", &of_jail, took);
            self.add("bkctld_jail_last_push_received_bytes", &of_jail, last.bytes_in as f64);
            self.add("bkctld_jail_last_push_sent_bytes", &of_jail, last.bytes_out as f64);
        }
    }

    fn incs(&mut self, jail: &Jail, now: &Zoned) {
        let of_jail = [("jail", jail.name().as_str())];
        let incs = inc::list(jail);
        let Some(incs) = self.note(jail, incs) else { return };
        self.add("bkctld_jail_incs", &of_jail, incs.len() as f64);
        let Some(&newest) = incs.last() else {
            return self.add("bkctld_jail_newest_inc_timestamp_seconds", &of_jail, 0.0);
        };
        let record = Record::read(jail, newest);
        let record = self.note(jail, record).flatten();
        // Of an inc of the original all that is known is its name.
        let made = record.as_ref().map(|record| record.ended).or_else(|| named(newest, now));
        if let Some(made) = made {
            self.add("bkctld_jail_newest_inc_timestamp_seconds", &of_jail, seconds(made));
        }
        if let Some(record) = record {
            let took = record.ended.duration_since(record.begun).as_secs_f64();
            self.add("bkctld_jail_newest_inc_duration_seconds", &of_jail, took);
            self.add("bkctld_jail_newest_inc_warnings", &of_jail, record.warnings.len() as f64);
            let during = f64::from(u8::from(record.session_active));
            self.add("bkctld_jail_newest_inc_during_session", &of_jail, during);
        }
    }

    fn sizes(&mut self, jail: &Jail, settings: &Settings) {
        let of_jail = [("jail", jail.name().as_str())];
        let Some(sizes) = sizes::last_known(settings, jail) else { return };
        self.add("bkctld_jail_live_bytes", &of_jail, sizes.live.bytes as f64);
        self.add("bkctld_jail_live_files", &of_jail, sizes.live.files as f64);
        self.add("bkctld_jail_incs_bytes", &of_jail, sizes.incs_total() as f64);
        self.add("bkctld_jail_sizes_timestamp_seconds", &of_jail, seconds(sizes.walked));
    }
}

/// Seconds since 1970.
fn seconds(time: Timestamp) -> f64 {
    time.as_millisecond() as f64 / 1000.0
}

/// The hour in the inc's name, in the server's time zone.
fn named(name: IncName, now: &Zoned) -> Option<Timestamp> {
    let zoned = name.date().at(name.hour(), 0, 0, 0).to_zoned(now.time_zone().clone()).ok()?;
    Some(zoned.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_are_those_of_the_documentation_and_nothing_is_left_unnamed() {
        let documented = include_str!("../../../../docs/metrics.md");
        let mut names: Vec<&str> = documented
            .lines()
            .filter_map(|line| line.strip_prefix("| `bkctld_")?.split_once('`'))
            .map(|(name, _)| name)
            .collect();
        let known: Vec<&str> = FAMILIES.iter().filter_map(|(name, _)| name.strip_prefix("bkctld_")).collect();
        assert_eq!(names, known);
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), known.len());
        // What is collected has a place among them: an unknown name would vanish.
        let source = include_str!("mod.rs");
        let added = source.split("\"bkctld_").skip(1).filter_map(|rest| rest.split_once('"'));
        for (name, _) in added {
            assert!(name.is_empty() || known.contains(&name), "{name}");
        }
    }
}
