//! `status`: what each jail is like at this moment.

mod full;

use bkctld_core::config::Isolation;
use bkctld_core::overview::Overview;
use bkctld_core::retention::Retention;
use bkctld_core::service::ServedBy;
use bkctld_core::session::{self, SessionRecord, WithoutLogin};
use bkctld_core::{Jail, JailName, Port};
use clap::Args;
use serde::Serialize;

use crate::completion;
use crate::context::{Context, Target};
use crate::exit::{Exit, Failure};
use crate::ui::table;

const WIDTHS: [usize; 4] = [30, 10, 10, 25];
const HEADER: [&str; 5] = ["JAIL NAME", "STATUS", "PORT", "RETENTION (DAY/MONTH)", "IP"];

#[derive(Args)]
pub struct Arguments {
    /// The jail; all of them when none is named
    #[arg(value_name = "JAIL|all", add = completion::jail_name_or_all())]
    target: Option<Target>,
}

#[derive(Serialize)]
struct Status {
    name: JailName,
    status: &'static str,
    served_by: Option<ServedBy>,
    format: String,
    port: Option<u16>,
    retention: Retention,
    addresses: Vec<String>,
    isolation: Isolation,
    #[serde(skip_serializing_if = "Option::is_none")]
    sessions: Option<Sessions>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    problems: Vec<String>,
}

#[derive(Serialize)]
struct Sessions {
    active: Vec<SessionRecord>,
    last: Option<SessionRecord>,
    without_login: Option<WithoutLogin>,
}

pub fn run(context: &Context, arguments: Arguments) -> Result<Exit, Failure> {
    let target = arguments.target.unwrap_or(Target::All);
    // Unlike elsewhere an unknown jail is an ordinary error here; scripts rely on it.
    let names = context.names(&target).map_err(|failure| failure.with_exit(Exit::Error))?;
    let mut failed = false;
    // Scripts get the table, also of one jail; on a terminal, a person asks for that one.
    let in_full = matches!(target, Target::One(_)) && context.ui.read_by_a_person();
    let mut jails = Vec::with_capacity(names.len());
    for name in names {
        let jail = Jail::new(&context.settings, name);
        let mut status = of(context, &jail, in_full || context.ui.json());
        if in_full {
            let (facts, problems) = full::Facts::of(&jail, &context.now);
            // The policy is read for both.
            let new = problems.iter().map(ToString::to_string).filter(|text| !status.problems.contains(text));
            status.problems.extend(new.collect::<Vec<_>>());
            for line in full::lines(&status, &facts, &context.now) {
                context.ui.line(line);
            }
        }
        for problem in &status.problems {
            context.ui.error(problem);
            failed = true;
        }
        jails.push(status);
    }
    if context.ui.json() {
        #[derive(Serialize)]
        struct Document {
            jails: Vec<Status>,
        }
        context.ui.document("status", Document { jails });
    } else if !in_full {
        print(context, &jails);
    }
    Ok(if failed { Exit::Error } else { Exit::Done })
}

/// What can be told of the jail; what can not is among the problems.
fn of(context: &Context, jail: &Jail, with_sessions: bool) -> Status {
    let mut overview = Overview::of(jail, &context.settings);
    let format = note(&mut overview, jail, jail.format_version()).unwrap_or_default();
    let sessions = with_sessions.then(|| Sessions {
        active: note(&mut overview, jail, session::active(jail)).unwrap_or_default(),
        last: note(&mut overview, jail, session::last_finished(jail)).flatten(),
        without_login: note(&mut overview, jail, session::without_login(jail)).flatten(),
    });
    if let Some(error) = overview.other_format.take() {
        context.ui.warning(Failure::from(error));
    }
    Status {
        name: jail.name().clone(),
        status: overview.status(),
        served_by: overview.served_by,
        format,
        port: overview.port.map(Port::get),
        retention: overview.retention,
        addresses: overview.addresses,
        isolation: overview.isolation,
        sessions,
        problems: overview.problems.iter().map(ToString::to_string).collect(),
    }
}

fn note<T>(overview: &mut Overview, jail: &Jail, result: bkctld_core::Result<T>) -> Option<T> {
    result.map_err(|error| overview.problems.push(error.in_jail(jail.name()))).ok()
}

fn print(context: &Context, jails: &[Status]) {
    if context.ui.header() {
        context.ui.line(table::row(&WIDTHS, &HEADER));
    }
    for jail in jails {
        let port = jail.port.map_or_else(|| "-".to_owned(), |port| port.to_string());
        let retention = jail.retention.to_string();
        let mut addresses = jail.addresses.join(",");
        // After the last column, where it cannot move any other: this jail is kept apart less
        // strictly than the rest, and the administrator should be reminded.
        if jail.isolation == Isolation::Compat {
            addresses.push_str(" ISOLATION=compat");
        }
        // Likewise: what the original still runs has not the isolation of ours.
        match jail.served_by {
            Some(ServedBy::Nspawn) => addresses.push_str(" (by systemd-nspawn)"),
            Some(ServedBy::Chroot) => addresses.push_str(" (in a chroot)"),
            Some(ServedBy::Bkctld) | None => {}
        }
        context
            .ui
            .line(table::row(&WIDTHS, &[jail.name.as_str(), jail.status, &port, &retention, &addresses]));
    }
}
