//! The options of one run, merged from configuration, environment and command line.

use std::path::{Path, PathBuf};

use bkctld_core::config::{self, Configuration};

use crate::exit::Failure;
use crate::ui::Verbosity;

/// The options of one run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunOptions {
    /// Whether to skip confirmations, and to succeed if there is nothing to do.
    pub force: bool,
    /// Whether nothing is changed.
    pub dry_run: bool,
    /// Whether the answer is a JSON document.
    pub json: bool,
    /// Whether tables begin with the names of their columns.
    pub header: bool,
    /// The amount of messages beside the answer.
    pub verbosity: Verbosity,
}

/// Reads the configuration from the file named by the option or `BKCTLD_CONFIG`, or from the default path.
pub fn read_configuration(file: Option<&Path>) -> Result<Configuration, Failure> {
    let from_environment =
        std::env::var_os("BKCTLD_CONFIG").filter(|path| !path.is_empty()).map(PathBuf::from);
    // Made absolute, because a listener that is started with it has another working directory.
    let file = file
        .map(Path::to_path_buf)
        .or(from_environment)
        .map(|file| std::path::absolute(&file).unwrap_or(file));
    Ok(config::read(file.as_deref(), &|name| std::env::var(name).ok())?)
}
