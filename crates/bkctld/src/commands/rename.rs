//! `rename`: renames a jail and everything that belongs to it.

use bkctld_core::lifecycle::rename::{self, Rename};
use bkctld_core::{JailName, text};
use clap::Args;

use crate::completers;
use crate::context::{Context, Ended, Outcome};
use crate::exit::{Exit, Failure};
use crate::shape::rename::Renamed;

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
    let new = &arguments.new;
    Ok(context.for_each(&[arguments.old], |old| {
        if context.options.dry_run {
            return would(context, &Rename::plan(&context.settings, old, new)?);
        }
        let renamed = rename::run(&context.settings, old, new, context)?;
        let ended = match renamed.sessions_ended {
            0 => String::new(),
            some => format!("; {}", sessions_ended(some)),
        };
        let outcome = Outcome::new(Ended::Done, format_args!("jail '{old}' renamed to '{new}'{ended}"));
        let outcome = with_plan(outcome, &renamed.rename, renamed.sessions_ended);
        Ok(if renamed.sessions_ended > 0 { outcome.into_warning() } else { outcome })
    }))
}

fn would(context: &Context, rename: &Rename) -> Result<Outcome<Renamed>, Failure> {
    let (old, new, sessions) = (rename.from().name(), rename.to().name(), rename.sessions()?);
    if sessions > 0 {
        context.ui.warning(format_args!("jail '{old}': {} by this", sessions_ended(sessions)));
    }
    let steps: Vec<String> = rename
        .steps
        .iter()
        .map(|step| format!("\n{} to {}", text::path(&step.from), text::path(&step.to)))
        .collect();
    let message = format!("would rename jail '{old}' to '{new}':{}", steps.concat());
    Ok(with_plan(Outcome::new(Ended::Would, message), rename, sessions))
}

fn sessions_ended(sessions: usize) -> String {
    if sessions == 1 { "1 session is ended".to_owned() } else { format!("{sessions} sessions are ended") }
}

fn with_plan(outcome: Outcome<Renamed>, rename: &Rename, sessions_ended: usize) -> Outcome<Renamed> {
    outcome.with(Renamed { to: rename.to().name().clone(), sessions_ended, steps: rename.steps.clone() })
}
