//! `archive`: a jail out of service, its data kept.

use std::num::NonZeroUsize;
use std::sync::{Arc, OnceLock};

use bkctld_core::lifecycle::{Archive, Way};
use bkctld_core::lock::Lock;
use bkctld_core::progress::Progress;
use bkctld_core::{JailName, service, session, text};
use clap::Args;
use serde_json::json;

use crate::completers;
use crate::context::{Context, Ended, Outcome, Question, Target};
use crate::exit::{Exit, Failure};
use crate::ui::progress::Display;

/// Stop a jail and move it to the archive; its incs go on expiring
#[derive(Args)]
pub struct Arguments {
    /// The jail, or 'all'
    #[arg(value_name = "JAIL|all", add = completers::jail_name_or_all())]
    target: Target,
}

const EXPLANATION: &str = "Y: the jail is stopped and its data are moved to the archive, its incs go on \
                           expiring; n: nothing is done";

pub fn run(context: &Context, arguments: Arguments) -> Result<Exit, Failure> {
    let names = match arguments.target {
        Target::All => Archive::candidates(&context.settings)?,
        Target::One(name) => {
            // What cannot be done is not asked about.
            Archive::plan(&context.settings, &name)?;
            vec![name]
        }
    };
    let progress = Arc::new(Progress::default());
    // Drawn from the first copy on, when all questions are answered.
    let display = OnceLock::new();
    let draw = || {
        display.get_or_init(|| Display::begin(&context.ui, "archiving".to_owned(), &progress));
    };
    let question = Question { verb: "archive", with: &|_| String::new(), explanation: EXPLANATION };
    Ok(context.for_each_agreed(&names, &question, |name| archive(context, name, &progress, draw)))
}

fn archive(
    context: &Context,
    name: &JailName,
    progress: &Progress,
    draw: impl FnOnce(),
) -> Result<Outcome, Failure> {
    let planned = Archive::plan(&context.settings, name)?;
    let place = text::path(planned.jail().archive()).to_string();
    if context.options.dry_run {
        let how =
            if planned.way == Way::Copied { " by a copy, as that is on another file system" } else { "" };
        let message = format_args!("would archive jail '{name}' to {place}{how}");
        return Ok(Outcome::new(Ended::Would, message)
            .with("archive", place.as_str())
            .with("way", json!(planned.way)));
    }
    let _config = Lock::take(&planned.jail().config_lock(), || context.waiting_for(name))?;
    // An inc of what is being moved would not be whole.
    let _incs = Lock::take(&planned.jail().incs_lock(), || context.waiting_for(name))?;
    let planned = Archive::plan(&context.settings, name)?;
    let sessions = session::active(planned.jail())?.len();
    let way = carry_out(context, &planned, progress, draw)?;
    let ended = match sessions {
        0 => String::new(),
        1 => "; 1 session is ended".to_owned(),
        many => format!("; {many} sessions are ended"),
    };
    let outcome = Outcome::new(Ended::Done, format_args!("jail '{name}' archived to {place}{ended}"))
        .with("archive", place.as_str())
        .with("way", json!(way))
        .with("sessions_ended", sessions);
    Ok(if sessions > 0 { outcome.into_warning() } else { outcome })
}

fn carry_out(
    context: &Context,
    planned: &Archive,
    progress: &Progress,
    draw: impl FnOnce(),
) -> Result<Way, Failure> {
    let (settings, jail) = (&context.settings, planned.jail());
    let threads = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    if planned.way == Way::Finished {
        // A jail that has this name now is another one.
        return Ok(planned.carry_out(settings, threads, progress)?);
    }
    let before = service::save(settings, jail)?;
    if planned.way == Way::Copied {
        draw();
    }
    let done = service::stop_for_good(settings, jail)
        .and_then(|()| context.turns.take_part(|| planned.carry_out(settings, threads, progress)));
    done.map_err(|error| {
        if !jail.exists() {
            return Failure::error(format!("{error}; 'bkctld archive {}' again finishes it", jail.name()));
        }
        // It is where it was, and so it is on if it was.
        match service::restore(settings, jail, before) {
            Ok(()) => error.into(),
            Err(second) => Failure::error(format!("{error}; and jail '{}' is off: {second}", jail.name())),
        }
    })
}
