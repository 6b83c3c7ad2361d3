//! How one run is wanted: the configuration, the environment and the command line, merged.

use std::path::{Path, PathBuf};

use bkctld_core::config::{self, Configuration};

use crate::exit::Failure;
use crate::ui::Verbosity;

/// The options of one run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunOptions {
    /// Whether nothing is asked, and what is so already is no error.
    pub force: bool,
    /// Whether nothing is changed.
    pub dry_run: bool,
    /// Whether the answer is a JSON document.
    pub json: bool,
    /// Whether tables begin with the names of their columns.
    pub header: bool,
    /// How much is said beside the answer.
    pub verbosity: Verbosity,
}

/// The configuration in the file that the option or `BKCTLD_CONFIG` names, else in the usual place.
pub fn read_configuration(file: Option<&Path>) -> Result<Configuration, Failure> {
    let from_environment =
        std::env::var_os("BKCTLD_CONFIG").filter(|path| !path.is_empty()).map(PathBuf::from);
    // Absolute, because a listener that is started with it has another working directory.
    let file = file
        .map(Path::to_path_buf)
        .or(from_environment)
        .map(|file| std::path::absolute(&file).unwrap_or(file));
    Ok(config::read(file.as_deref(), &|name| std::env::var(name).ok())?)
}
