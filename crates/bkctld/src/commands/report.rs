//! `report`: every jail with its state, its policy and the incs that are on disk.

use bkctld_core::overview::Overview;
use bkctld_core::retention::Retention;
use bkctld_core::{Jail, JailName, Port, inc, jail};
use clap::Args;
use serde::Serialize;

use crate::context::Context;
use crate::exit::{Exit, Failure};
use crate::ui::table;

const HEADER: [&str; 6] = ["<name>", "<status>", "<port>", "<ip(s)>", "<policy>", "<incs>"];

#[derive(Args)]
pub struct Arguments {}

#[derive(Serialize)]
struct Line {
    name: JailName,
    status: &'static str,
    port: Option<u16>,
    addresses: Vec<String>,
    retention: Retention,
    /// Newest first.
    incs: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    problems: Vec<String>,
}

pub fn run(context: &Context, _: Arguments) -> Result<Exit, Failure> {
    let mut failed = false;
    let mut jails = Vec::new();
    for name in jail::list(&context.settings)? {
        let line = of(context, &Jail::new(&context.settings, name));
        for problem in &line.problems {
            context.ui.error(problem);
            failed = true;
        }
        jails.push(line);
    }
    if context.ui.json() {
        #[derive(Serialize)]
        struct Document {
            jails: Vec<Line>,
        }
        context.ui.document("report", Document { jails });
    } else {
        print(context, &jails);
    }
    Ok(if failed { Exit::Error } else { Exit::Done })
}

fn of(context: &Context, jail: &Jail) -> Line {
    let mut overview = Overview::of(jail, &context.settings);
    let incs = inc::list(jail).map_err(|error| overview.problems.push(error.in_jail(jail.name())));
    if let Some(error) = overview.other_format.take() {
        context.ui.warning(Failure::from(error));
    }
    Line {
        name: jail.name().clone(),
        status: overview.status(),
        port: overview.port.map(Port::get),
        addresses: overview.addresses,
        retention: overview.retention,
        incs: incs.unwrap_or_default().iter().rev().map(ToString::to_string).collect(),
        problems: overview.problems.iter().map(ToString::to_string).collect(),
    }
}

fn print(context: &Context, jails: &[Line]) {
    let mut rows = Vec::with_capacity(jails.len() + 1);
    if context.ui.header() {
        rows.push(HEADER.map(str::to_owned).to_vec());
    }
    rows.extend(jails.iter().map(|jail| {
        vec![
            jail.name.to_string(),
            jail.status.to_owned(),
            jail.port.map(|port| port.to_string()).unwrap_or_default(),
            jail.addresses.join(","),
            jail.retention.to_string(),
            jail.incs.join(","),
        ]
    }));
    for line in table::aligned(&rows) {
        context.ui.line(line);
    }
}
