//! What becomes of jails: made, removed, renamed, archived, updated, brought up from the first format; and who
//! reaches them. One file for each: its `run` is the whole of it, as a list of steps with the locks, the stop of the service and what is undone
//! where a step fails; its `plan` is what `--dry-run` shows.
//!
//! Each of these is done so that an interruption leaves the old state, the new one, or something that
//! the same command recognises and finishes.

pub mod access;
pub mod archive;
pub mod convert;
pub mod create;
mod hidden;
pub mod remove;
pub mod rename;
mod unfinished;
pub mod update;
pub mod upgrade;

pub use unfinished::{Unfinished, unfinished};

use std::path::Path;

use crate::error::Result;
use crate::file;

/// Whether what is at the old place of a jail's policy is one. `CONFDIR/x.d` is the directory of jail `x`,
/// and the old place of a jail named `x.d`: what is there tells whose it is.
fn is_policy(path: &Path) -> Result<bool> {
    Ok(file::exists(path)? && !is_configuration(path))
}

/// Whether what is at `CONFDIR/J.d` is the directory of jail `J`, perhaps by a link of the administrator's.
fn is_configuration(path: &Path) -> bool {
    path.is_dir()
}

#[cfg(test)]
mod tests;
