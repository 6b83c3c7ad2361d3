//! `rm`: deletes the incs that no rule of the policy keeps.

use std::sync::Arc;

use bkctld_core::operation::Operation;
use bkctld_core::progress::Progress;
use bkctld_core::retention::{Expiry, Plan};
use bkctld_core::{Error, Jail, JailName, inc, text};
use clap::Args;

use crate::completers;
use crate::context::{Context, Ended, Outcome};
use crate::exit::{Exit, Failure};
use crate::limits::room_for_trees;
use crate::shape::rm::Decisions;
use crate::ui::progress::Display;

/// Delete the incs that no rule of the policy keeps
#[derive(Args)]
pub struct Arguments {
    /// The jails; by default all of them
    #[arg(value_name = "JAIL", add = completers::jail_name())]
    jails: Vec<JailName>,
}

pub fn run(context: &Context, arguments: Arguments) -> Result<Exit, Failure> {
    let dry_run = context.options.dry_run;
    // A dry run neither waits for another run nor blocks one.
    let running = if dry_run { None } else { Operation::Rm.begin_alone(&context.settings)? };
    if running.is_none() && !dry_run {
        context.ui.warning("another rm is running: nothing was done");
        return Ok(Exit::Done);
    }
    // The jails come from INCDIR, so that the incs of archived jails expire too.
    let known = inc::jails_with_incs(&context.settings)?;
    let names = if arguments.jails.is_empty() { known } else { named(context, arguments.jails, &known)? };
    let expiry = Expiry { today: context.now.date(), even_without_rules: context.options.force };
    let progress = Arc::new(Progress::default());
    let _display = Display::begin(&context.ui, "deleting".to_owned(), &progress);
    Ok(context.for_each_at_once(&names, room_for_trees(), |name| expire(context, &expiry, name, &progress)))
}

fn named(context: &Context, wanted: Vec<JailName>, known: &[JailName]) -> Result<Vec<JailName>, Failure> {
    for name in &wanted {
        if !known.contains(name) && !Jail::new(&context.settings, name.clone()).exists() {
            return Err(Error::no_such_jail(name).into());
        }
    }
    Ok(wanted)
}

fn expire(
    context: &Context,
    expiry: &Expiry,
    name: &JailName,
    progress: &Progress,
) -> Result<Outcome<Decisions>, Failure> {
    let settings = &context.settings;
    let plan = if context.options.dry_run {
        expiry.plan(&Jail::new(settings, name.clone()))?
    } else {
        expiry.run(settings, name, &context.turns, progress, context)?
    };
    Ok(match plan {
        None => Outcome::new(Ended::Skipped, format_args!("jail '{name}' has no policy, so its incs stay")),
        Some(plan) if context.options.dry_run => would(name, &plan),
        Some(plan) => outcome(name, &plan),
    })
}

fn would(name: &JailName, plan: &Plan) -> Outcome<Decisions> {
    let lines: Vec<String> = plan
        .decisions
        .iter()
        .map(|decision| {
            let verb = if decision.keeps() { "keep  " } else { "delete" };
            format!("{verb} {name}/{}  {}", decision.inc, decision.reason)
        })
        .collect();
    let message = if lines.is_empty() { format!("jail '{name}' has no incs") } else { lines.join("\n") };
    Outcome::new(Ended::Would, message).with(plan.into())
}

fn outcome(name: &JailName, plan: &Plan) -> Outcome<Decisions> {
    let ended = if plan.deleted().next().is_none() { Ended::Skipped } else { Ended::Done };
    let (kept, deleted) = (plan.kept().count(), text::count(plan.deleted().count(), "inc"));
    let message = format_args!("jail '{name}': {deleted} deleted, {kept} kept");
    Outcome::new(ended, message).with(plan.into())
}
