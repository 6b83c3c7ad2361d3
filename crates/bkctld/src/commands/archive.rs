//! `archive`: takes a jail out of service and keeps its data.

use std::sync::{Arc, OnceLock};

use bkctld_core::lifecycle::archive::{self, Archive, Way};
use bkctld_core::progress::Progress;
use bkctld_core::watch::Watch;
use bkctld_core::{JailName, text};
use clap::Args;

use crate::completers;
use crate::context::{Context, Ended, Outcome, Question, Target};
use crate::exit::{Exit, Failure};
use crate::shape::archive::Archived;
use crate::ui::progress::Display;

/// Stop a jail and move it to the archive; its incs still expire
#[derive(Args)]
pub struct Arguments {
    /// The jail, or 'all'
    #[arg(value_name = "JAIL|all", add = completers::jail_name_or_all())]
    target: Target,
}

const EXPLANATION: &str =
    "Y stops the jail and moves its data to the archive, while its incs still expire; n does nothing";

pub fn run(context: &Context, arguments: Arguments) -> Result<Exit, Failure> {
    let names = match arguments.target {
        Target::All => Archive::candidates(&context.settings)?,
        Target::One(name) => {
            // No question is asked about a jail that cannot be archived.
            Archive::plan(&context.settings, &name)?;
            vec![name]
        }
    };
    let watch = Drawing { context, progress: Arc::default(), display: OnceLock::new() };
    let question = Question { verb: "archive", with: &|_| String::new(), explanation: EXPLANATION };
    Ok(context.for_each_agreed(&names, &question, |name| archive(context, name, &watch)))
}

fn archive(context: &Context, name: &JailName, watch: &Drawing<'_>) -> Result<Outcome<Archived>, Failure> {
    if context.options.dry_run {
        return would(&Archive::plan(&context.settings, name)?);
    }
    let archived = archive::run(&context.settings, name, &context.turns, &watch.progress, watch)?;
    let place = text::path(&archived.place).to_string();
    let ended = match archived.sessions_ended {
        0 => String::new(),
        1 => "; 1 session is ended".to_owned(),
        many => format!("; {many} sessions are ended"),
    };
    let outcome =
        Outcome::new(Ended::Done, format_args!("jail '{name}' archived to {place}{ended}")).with(Archived {
            archive: place.clone(),
            way: archived.way,
            sessions_ended: Some(archived.sessions_ended),
        });
    Ok(if archived.sessions_ended > 0 { outcome.into_warning() } else { outcome })
}

fn would(planned: &Archive) -> Result<Outcome<Archived>, Failure> {
    let (name, place) = (planned.jail().name(), text::path(planned.jail().archive()).to_string());
    let how =
        if planned.way == Way::Copied { " by copying, because that is on another file system" } else { "" };
    let message = format_args!("would archive jail '{name}' to {place}{how}");
    let archived = Archived { archive: place.clone(), way: planned.way, sessions_ended: None };
    Ok(Outcome::new(Ended::Would, message).with(archived))
}

/// Draws how far the copies are, from the first one on, when all questions are answered.
struct Drawing<'a> {
    context: &'a Context,
    progress: Arc<Progress>,
    display: OnceLock<Display>,
}

impl Watch for Drawing<'_> {
    fn waiting_for(&self, jail: &JailName) {
        self.context.waiting_for(jail);
    }

    fn copying(&self) {
        self.display.get_or_init(|| Display::begin(&self.context.ui, "archiving".to_owned(), &self.progress));
    }
}
