//! `stats`: shows the size of each jail, and when its client last connected.

use std::num::NonZeroUsize;
use std::sync::Arc;

use bkctld_core::jail::ClientFile;
use bkctld_core::progress::Progress;
use bkctld_core::retention::Retention;
use bkctld_core::sizes::{Measuring, Options};
use bkctld_core::{Error, Jail, jail};
use clap::Args;

use crate::context::Context;
use crate::exit::{Exit, Failure};
use crate::limits::room_for_trees;
use crate::parallel;
use crate::shape::stats::{JailSizes, MeasuredJail, Stats};
use crate::ui::progress::Display;

/// Show the size of each jail, and when its client last connected
///
/// With -v, also show the size of its incs, its number of files, and when it was measured. With -f,
/// measure everything again.
#[derive(Args)]
pub struct Arguments {}

pub fn run(context: &Context, _: Arguments) -> Result<Exit, Failure> {
    let names = jail::list(&context.settings)?;
    let options = Options {
        threads: std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
        anew: context.options.force,
        keep_nothing: context.options.dry_run,
        now: context.now.timestamp(),
    };
    let measuring = Measuring::begin(&context.settings, options, || {
        context.ui.notice("waiting for another 'stats' to finish");
    })?;
    let progress = Arc::new(Progress::default());
    progress.expect_jails(names.len() as u64);
    let display = Display::begin(&context.ui, "measuring".to_owned(), &progress);
    let jails = parallel::for_each_name(&names, room_for_trees(), |name| {
        let line = measure(context, &Jail::new(&context.settings, name.clone()), &measuring, &progress);
        progress.jail();
        line
    });
    drop(display);
    let stats = Stats { jails };
    let problems: Vec<&String> = stats.jails.iter().flat_map(|line| &line.problems).collect();
    for problem in &problems {
        context.ui.error(problem);
    }
    if let Err(error) = measuring.finish() {
        // The numbers are still right, but the next run takes as long as this one.
        context.ui.warning(error);
    }
    context.answer(&stats);
    Ok(if problems.is_empty() { Exit::Done } else { Exit::Error })
}

fn measure(context: &Context, jail: &Jail, measuring: &Measuring, progress: &Progress) -> MeasuredJail {
    let mut errors = Vec::new();
    let retention = Retention::of(jail).map_err(|error| errors.push(error)).unwrap_or(Retention::None);
    let last_connection = ClientFile::lastlog(jail)
        .map_err(|error| errors.push(error))
        .ok()
        .and_then(|lastlog| Some(lastlog.file()?.modified()));
    let sizes = context
        .turns
        .take_part(|| measuring.measure(jail, progress))
        .map_err(|error| errors.push(error))
        .ok();
    for problem in sizes.iter().flat_map(|sizes| &sizes.live.problems) {
        context.ui.warning(format_args!("jail '{}': {problem}", jail.name()));
    }
    let problems = errors.into_iter().map(|error: Error| error.in_jail(jail.name()).to_string()).collect();
    let sizes = sizes.map(JailSizes::from);
    MeasuredJail { name: jail.name().clone(), retention, last_connection, sizes, problems }
}
