//! `report`: shows every jail with its state, its policy and its incs.

use bkctld_core::overview::Overview;
use bkctld_core::{Jail, inc, jail};
use clap::Args;

use crate::context::Context;
use crate::exit::{Exit, Failure};
use crate::shape::report::{Report, ReportedJail};

/// Show each jail with its state, its policy and its incs
#[derive(Args)]
pub struct Arguments {}

pub fn run(context: &Context, _: Arguments) -> Result<Exit, Failure> {
    let names = jail::list(&context.settings)?.into_iter();
    let jails = names.map(|name| read(context, &Jail::new(&context.settings, name))).collect();
    let report = Report { jails };
    let problems: Vec<&String> = report.jails.iter().flat_map(|line| &line.problems).collect();
    for problem in &problems {
        context.ui.error(problem);
    }
    context.answer(&report);
    Ok(if problems.is_empty() { Exit::Done } else { Exit::Error })
}

fn read(context: &Context, jail: &Jail) -> ReportedJail {
    let mut overview = Overview::read(jail, &context.settings);
    let incs = overview.note(jail, inc::list(jail)).unwrap_or_default();
    if let Some(error) = overview.other_format.take() {
        context.ui.warning(Failure::from(error));
    }
    ReportedJail {
        name: jail.name().clone(),
        status: overview.status(),
        port: overview.port,
        addresses: overview.addresses,
        retention: overview.retention,
        incs: incs.iter().rev().map(ToString::to_string).collect(),
        problems: overview.problems.iter().map(ToString::to_string).collect(),
    }
}
