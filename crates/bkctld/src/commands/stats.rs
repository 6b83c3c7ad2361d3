//! `stats`: how much each jail takes on disk, and when its client was last there.

use std::num::NonZeroUsize;
use std::sync::Arc;

use bkctld_core::jail::ClientFile;
use bkctld_core::progress::Progress;
use bkctld_core::retention::Retention;
use bkctld_core::sizes::{Measuring, Options, Sizes};
use bkctld_core::{Error, Jail, JailName, jail, text};
use clap::Args;
use jiff::Timestamp;
use serde::Serialize;

use crate::context::{Context, in_parallel};
use crate::exit::{Exit, Failure};
use crate::limits::trees_at_once;
use crate::ui::progress::Display;
use crate::ui::table;

const HEADER: [&str; 4] = ["<jail>", "<size>", "<incs>", "<lastconn>"];
/// With `-v`.
const MORE: [&str; 3] = ["<incsize>", "<files>", "<walked>"];

#[derive(Args)]
pub struct Arguments {}

#[derive(Serialize)]
struct Line {
    name: JailName,
    retention: Retention,
    last_connection: Option<Timestamp>,
    #[serde(flatten)]
    sizes: Option<Shown>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    problems: Vec<String>,
}

/// [`Sizes`] as they are shown.
#[derive(Serialize)]
struct Shown {
    live: Live,
    incs: Incs,
}

#[derive(Serialize)]
struct Live {
    bytes: u64,
    files: u64,
    directories: u64,
    walked: Timestamp,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    not_counted: Vec<String>,
}

#[derive(Serialize)]
struct Incs {
    bytes: u64,
    each: Vec<Inc>,
}

#[derive(Serialize)]
struct Inc {
    inc: String,
    new_bytes: u64,
}

pub fn run(context: &Context, _: Arguments) -> Result<Exit, Failure> {
    let names = jail::list(&context.settings)?;
    let threads = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let options = Options {
        threads,
        anew: context.settings.force,
        keep_nothing: context.settings.dry_run,
        now: context.now.timestamp(),
    };
    let measuring = Measuring::begin(&context.settings, options, || {
        context.ui.notice("waiting for another 'stats' to finish");
    })?;
    let progress = Arc::new(Progress::default());
    progress.expect_jails(names.len() as u64);
    let display = Display::begin(&context.ui, "measuring".to_owned(), &progress);
    let lines = in_parallel(&names, trees_at_once(), |name| {
        let line = of(context, &Jail::new(&context.settings, name.clone()), &measuring, &progress);
        progress.jail();
        line
    });
    drop(display);
    let mut failed = false;
    for problem in lines.iter().flat_map(|line| &line.problems) {
        context.ui.error(problem);
        failed = true;
    }
    if let Err(error) = measuring.finish() {
        // The numbers are right all the same; the next run takes as long.
        context.ui.warning(error);
    }
    print(context, lines);
    Ok(if failed { Exit::Error } else { Exit::Done })
}

fn of(context: &Context, jail: &Jail, measuring: &Measuring, progress: &Progress) -> Line {
    let mut errors = Vec::new();
    let retention = Retention::of(jail).map_err(|error| errors.push(error)).unwrap_or(Retention::None);
    let last_connection = ClientFile::lastlog(jail)
        .map_err(|error| errors.push(error))
        .ok()
        .and_then(|lastlog| Some(lastlog.ok()?.modified()));
    let sizes =
        context.turns.take_part(|| measuring.jail(jail, progress)).map_err(|error| errors.push(error)).ok();
    for problem in sizes.iter().flat_map(|sizes| &sizes.live.problems) {
        context.ui.warning(format_args!("jail '{}': {problem}", jail.name()));
    }
    let problems = errors.into_iter().map(|error: Error| error.in_jail(jail.name()).to_string()).collect();
    Line { name: jail.name().clone(), retention, last_connection, sizes: sizes.map(Shown::from), problems }
}

impl From<Sizes> for Shown {
    fn from(sizes: Sizes) -> Shown {
        let each =
            sizes.incs.iter().map(|inc| Inc { inc: inc.name.to_string(), new_bytes: inc.new }).collect();
        Shown {
            incs: Incs { bytes: sizes.of_incs(), each },
            live: Live {
                bytes: sizes.live.bytes,
                files: sizes.live.files,
                directories: sizes.live.directories,
                walked: sizes.walked,
                not_counted: sizes.live.problems,
            },
        }
    }
}

fn print(context: &Context, jails: Vec<Line>) {
    if context.ui.json() {
        #[derive(Serialize)]
        struct Document {
            jails: Vec<Line>,
        }
        return context.ui.document("stats", Document { jails });
    }
    let mut rows = Vec::with_capacity(jails.len() + 1);
    if context.ui.header() {
        let more = if context.ui.verbose() { &MORE[..] } else { &[] };
        rows.push(HEADER.iter().chain(more).map(|&cell| cell.to_owned()).collect());
    }
    rows.extend(jails.iter().map(|jail| row(context, jail)));
    for line in table::aligned(&rows) {
        context.ui.line(line);
    }
}

fn row(context: &Context, jail: &Line) -> Vec<String> {
    let local = |time: Timestamp, format| time.to_zoned(context.now.time_zone().clone()).strftime(format);
    let of_sizes = |shown: fn(&Shown) -> String| jail.sizes.as_ref().map(shown).unwrap_or_default();
    let mut row = vec![
        jail.name.to_string(),
        of_sizes(|sizes| size(sizes.live.bytes)),
        jail.retention.to_string(),
        jail.last_connection.map(|time| local(time, "%d-%m-%Y").to_string()).unwrap_or_default(),
    ];
    if context.ui.verbose() {
        let walked = jail.sizes.as_ref().map(|sizes| local(sizes.live.walked, "%FT%H:%M").to_string());
        row.extend([
            of_sizes(|sizes| size(sizes.incs.bytes)),
            of_sizes(|sizes| sizes.live.files.to_string()),
            walked.unwrap_or_default(),
        ]);
    }
    row
}

/// Without a blank, which would be another column: `1.5G`.
fn size(bytes: u64) -> String {
    text::bytes(bytes).replace(' ', "").trim_end_matches("iB").to_owned()
}
