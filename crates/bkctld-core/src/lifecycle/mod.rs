//! What becomes of jails: made, removed, renamed, archived, updated, brought up from the first format; and who
//! reaches them. One file for each: its `run` is the whole of it, as a list of steps with the locks, the stop of the service and what is undone
//! where a step fails; its `plan` is what `--dry-run` shows.
//!
//! Each of these operations can be interrupted: it leaves the old state, the new one, or a state that the
//! same command recognizes and finishes.

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

/// Whether the file at the old path of a jail's policy is a policy. `CONFDIR/x.d` is the directory of jail
/// `x`, and the old path of the policy of a jail named `x.d`; its type says which.
fn is_policy(path: &Path) -> Result<bool> {
    Ok(file::exists(path)? && !is_configuration(path))
}

/// Whether `CONFDIR/J.d` is the directory of jail `J`, possibly through a link of the administrator.
fn is_configuration(path: &Path) -> bool {
    path.is_dir()
}

#[cfg(test)]
mod tests;
