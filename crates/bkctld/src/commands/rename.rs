//! `rename`: another name for a jail with all that belongs to it.

use bkctld_core::lifecycle::Rename;
use bkctld_core::lock::Lock;
use bkctld_core::service::{self, SavedService};
use bkctld_core::{Jail, JailName, session};
use clap::Args;
use serde_json::json;

use crate::completers;
use crate::context::{Context, Ended, Outcome};
use crate::exit::{Exit, Failure};

/// Rename a jail with its incs, configuration and firewall rules
#[derive(Args)]
pub struct Arguments {
    /// The jail
    #[arg(value_name = "OLD", add = completers::jail_name())]
    old: JailName,
    /// Its new name
    #[arg(value_name = "NEW")]
    new: JailName,
}

pub fn run(context: &Context, arguments: Arguments) -> Result<Exit, Failure> {
    Ok(context.for_each(&[arguments.old], |old| rename(context, old, &arguments.new)))
}

fn rename(context: &Context, old: &JailName, new: &JailName) -> Result<Outcome, Failure> {
    // What cannot be done is said at once, and not after another command has finished.
    let rename = Rename::plan(&context.settings, old, new)?;
    if context.options.dry_run {
        return would(context, &rename);
    }
    let _locks = locks(context, [old, new])?;
    let rename = Rename::plan(&context.settings, old, new)?;
    let before = service::save(&context.settings, rename.from())?.or(rename.interrupted.unwrap_or_default());
    let sessions = session::active(rename.from())?.len();
    rename.begin(before)?;
    if let Err(error) = stop_and_carry_out(context, &rename) {
        return Err(undo_or_tell(context, &rename, before, error));
    }
    let restored = service::restore(&context.settings, rename.to(), before);
    rename.finish()?;
    if let Err(failure) = restored {
        return Err(Failure::error(format!("jail '{old}' is renamed to '{new}', but is off: {failure}")));
    }
    let ended = if sessions > 0 { format!("; {}", ended(sessions)) } else { String::new() };
    let message = format!("jail '{old}' renamed to '{new}'{ended}");
    let outcome = with_plan(Outcome::new(Ended::Done, message), &rename, sessions);
    Ok(if sessions > 0 { outcome.into_warning() } else { outcome })
}

/// Both names' locks, in the same order whichever of the two is the new one; those of the incs before
/// the service stops, as an inc may take long.
fn locks(context: &Context, mut names: [&JailName; 2]) -> Result<Vec<Lock>, Failure> {
    names.sort();
    let mut locks = Vec::new();
    for place in [Jail::config_lock, Jail::incs_lock] {
        for name in names {
            let place = place(&Jail::new(&context.settings, name.clone()));
            locks.push(Lock::take(&place, || context.waiting_for(name))?);
        }
    }
    Ok(locks)
}

fn would(context: &Context, rename: &Rename) -> Result<Outcome, Failure> {
    let (old, new) = (rename.from().name(), rename.to().name());
    let sessions = session::active(rename.from())?.len();
    if sessions > 0 {
        context.ui.warning(format_args!("jail '{old}': {} by this", ended(sessions)));
    }
    let steps: Vec<String> =
        rename.steps.iter().map(|step| format!("\n{} to {}", shown(&step.from), shown(&step.to))).collect();
    let message = format!("would rename jail '{old}' to '{new}':{}", steps.concat());
    Ok(with_plan(Outcome::new(Ended::Would, message), rename, sessions))
}

fn ended(sessions: usize) -> String {
    if sessions == 1 { "1 session is ended".to_owned() } else { format!("{sessions} sessions are ended") }
}

fn shown(path: &std::path::Path) -> String {
    bkctld_core::text::path(path).to_string()
}

fn with_plan(outcome: Outcome, rename: &Rename, sessions: usize) -> Outcome {
    outcome
        .with("to", rename.to().name().as_str())
        .with("sessions_ended", sessions)
        .with("steps", json!(rename.steps))
}

fn stop_and_carry_out(context: &Context, rename: &Rename) -> Result<(), Failure> {
    service::stop_for_good(&context.settings, rename.from())?;
    Ok(rename.carry_out(&context.settings)?)
}

/// As long as the jail has its old name, nothing has happened to it but that it is off.
fn undo_or_tell(context: &Context, rename: &Rename, before: SavedService, error: Failure) -> Failure {
    let (old, new) = (rename.from().name(), rename.to().name());
    if !rename.from().exists() {
        return Failure::error(format!(
            "{error}; the jail is renamed, the rest is not: 'bkctld rename {old} {new}' again finishes it"
        ));
    }
    let undone = service::restore(&context.settings, rename.from(), before).and_then(|()| rename.finish());
    match undone {
        Ok(()) => error,
        Err(second) => Failure::error(format!("{error}; and jail '{old}' is off: {second}")),
    }
}
