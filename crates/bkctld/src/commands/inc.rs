//! `inc`: makes an inc of each jail.

use std::sync::Arc;
use std::time::Instant;

use bkctld_core::inc::{self, Made, Run, TimeFile};
use bkctld_core::operation::Operation;
use bkctld_core::progress::Progress;
use bkctld_core::retention::{Policy, PolicyFile};
use bkctld_core::{IncName, Jail, JailName, jail};
use clap::Args;
use jiff::Timestamp;

use crate::completers;
use crate::context::{Context, Ended, Outcome};
use crate::exit::{Exit, Failure};
use crate::limits::room_for_trees;
use crate::shape::inc::NewInc;
use crate::ui::progress::Display;

/// Make an inc of every jail that has a policy, or of those named
#[derive(Args)]
pub struct Arguments {
    /// The jails; by default all of them
    #[arg(value_name = "JAIL", add = completers::jail_name())]
    jails: Vec<JailName>,
}

pub fn run(context: &Context, arguments: Arguments) -> Result<Exit, Failure> {
    let all = arguments.jails.is_empty();
    let names = if all { jail::list(&context.settings)? } else { arguments.jails };
    for name in &names {
        Jail::open(&context.settings, name.clone())?;
    }
    let inc = IncName::at(&context.now);
    let dry_run = context.options.dry_run;
    let _running = if dry_run { None } else { Some(Operation::Inc.begin(&context.settings)?) };
    // The duration of a run over selected jails says nothing about the nightly run, which is monitored.
    let times = if all && !dry_run {
        warn_unless_noted(context, TimeFile::begin(&context.settings, inc))
    } else {
        None
    };
    let began = Instant::now();
    let progress = Arc::new(Progress::default());
    progress.expect_jails(names.len() as u64);
    let run = Run { inc, now: &Timestamp::now, turns: &context.turns, progress: &progress };
    let display = Display::begin(&context.ui, format!("inc {inc}"), &progress);
    let exit = context.for_each_at_once(&names, room_for_trees(), |name| {
        let result = make(context, name, &run, times.as_ref());
        progress.jail();
        result
    });
    drop(display);
    if let Some(times) = times {
        warn_unless_noted(context, times.finish(began.elapsed()));
    }
    Ok(exit)
}

/// Warns where it could not be noted how long the incs take: a full disk, say, is no reason to make none, or to call
/// one failed that stands.
fn warn_unless_noted<T>(context: &Context, noted: bkctld_core::Result<T>) -> Option<T> {
    noted
        .map_err(|error| {
            context.ui.warning(format_args!("the duration of this run cannot be recorded: {error}"))
        })
        .ok()
}

fn make(
    context: &Context,
    name: &JailName,
    run: &Run<'_>,
    times: Option<&TimeFile>,
) -> Result<Outcome<NewInc>, Failure> {
    let inc = run.inc;
    // In either format, because a jail that has not been converted yet needs incs too.
    let jail = Jail::open(&context.settings, name.clone())?;
    if matches!(Policy::read(&jail)?, PolicyFile::Missing) {
        return Ok(Outcome::new(
            Ended::Skipped,
            format_args!("jail '{name}' has no policy, so no inc is made"),
        ));
    }
    if context.options.dry_run {
        return Ok(Outcome::new(Ended::Would, format_args!("would make inc {inc} of jail '{name}'")));
    }
    let (made, took) = run.make(&jail, context)?;
    match made {
        inc::Outcome::AlreadyThere => {
            Ok(Outcome::new(Ended::Skipped, format_args!("inc {inc} of jail '{name}' exists already"))
                .into_warning())
        }
        inc::Outcome::Made(made) => {
            if let Some(times) = times {
                warn_unless_noted(context, times.jail(name, took));
            }
            Ok(outcome(context, name, &made))
        }
    }
}

fn outcome(context: &Context, name: &JailName, made: &Made) -> Outcome<NewInc> {
    for warning in &made.record.warnings {
        context.ui.warning(format_args!("inc {} of jail '{name}': {warning}", made.name));
    }
    Outcome::new(Ended::Done, format_args!("inc {} of jail '{name}' made", made.name))
        .with(NewInc { inc: made.name, record: made.record.clone() })
}
