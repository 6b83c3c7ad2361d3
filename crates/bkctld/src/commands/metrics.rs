//! `metrics`: what Prometheus and Munin ask for.

use std::path::PathBuf;

use bkctld_core::file::{self, Sync};
use bkctld_core::metrics::{self, Family};
use bkctld_core::text;
use clap::Args;
use serde::Serialize;

use crate::context::Context;
use crate::exit::{Exit, Failure};

/// node_exporter is no root, and reads the file.
const MODE: u32 = 0o644;

#[derive(Args)]
pub struct Arguments {
    /// Replace this file, such as one of node_exporter's textfile collector, instead of printing
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
}

pub fn run(context: &Context, arguments: Arguments) -> Result<Exit, Failure> {
    let version = env!("CARGO_PKG_VERSION");
    let metrics = metrics::collect(&context.settings, version, &context.now)?;
    for problem in &metrics.problems {
        context.ui.error(problem);
    }
    let content: String = metrics.families.iter().map(ToString::to_string).collect();
    match arguments.file {
        // The numbers are whole at any moment: the collector may read while this is written.
        Some(path) if !context.settings.dry_run => {
            file::replace_with(&path, MODE, content.as_bytes(), Sync::Later)?;
        }
        Some(path) => context.ui.line(format_args!("would write {}", text::path(&path))),
        None if context.ui.json() => {
            #[derive(Serialize)]
            struct Document {
                metrics: Vec<Family>,
            }
            context.ui.document("metrics", Document { metrics: metrics.families });
        }
        None => context.ui.text(content),
    }
    Ok(if metrics.problems.is_empty() { Exit::Done } else { Exit::Error })
}
