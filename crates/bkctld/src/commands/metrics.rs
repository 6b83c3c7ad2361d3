//! `metrics`: prints metrics for Prometheus and Munin.

use std::path::PathBuf;

use bkctld_core::file::{self, Sync};
use bkctld_core::metrics;
use bkctld_core::text;
use clap::Args;

use crate::context::Context;
use crate::exit::{Exit, Failure};
use crate::shape::metrics::Families;

/// node_exporter does not run as root, and must be able to read the file.
const MODE: u32 = 0o644;

/// Print metrics for Prometheus, or write them to a file
#[derive(Args)]
pub struct Arguments {
    /// Write to this file, for node_exporter's textfile collector, instead of standard output
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
}

pub fn run(context: &Context, arguments: Arguments) -> Result<Exit, Failure> {
    let version = env!("CARGO_PKG_VERSION");
    let metrics = metrics::collect(&context.settings, version, &context.now)?;
    for problem in &metrics.problems {
        context.ui.error(problem);
    }
    let families = Families { metrics: metrics.families };
    match arguments.file {
        // The file must be complete at any moment, because the collector may read while it is written.
        Some(path) if !context.options.dry_run => {
            file::replace_with(&path, MODE, families.text().as_bytes(), Sync::Later)?;
        }
        Some(path) => context.ui.line(format_args!("would write {}", text::path(&path))),
        None => context.answer(&families),
    }
    Ok(if metrics.problems.is_empty() { Exit::Done } else { Exit::Error })
}
