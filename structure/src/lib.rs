//! The structure of this workspace as its code has it: crates, modules, and which of them uses which.
#![forbid(unsafe_code)]

pub mod circles;
mod graph;
mod imports;
pub mod measure;
pub mod picture;
mod source;

use std::path::{Path, PathBuf};

pub use source::{Crate, Module, Workspace};

/// The result of reading a checkout: what fails is said in words, since a person reads it.
pub type Result<T, E = Box<dyn std::error::Error>> = std::result::Result<T, E>;

/// The checkout that this program was built from.
pub fn this_checkout() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}
