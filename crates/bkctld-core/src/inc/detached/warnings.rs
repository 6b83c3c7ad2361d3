//! What an inc lacks, collected by the threads that make it.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

/// How many are told in full: a client can cause as many as it likes.
const TOLD: usize = 50;
/// The most characters of a path that are told.
const PATH: usize = 300;

/// Warnings so far.
#[derive(Debug, Default)]
pub(super) struct Warnings(Mutex<(Vec<String>, u64)>);

impl Warnings {
    /// Notes what happened to which path, given from the jail's directory. It is asked for only where it is
    /// told: to put one together takes as long as it is deep.
    pub(super) fn add(&self, path: impl FnOnce() -> PathBuf, what: &str) {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if inner.0.len() < TOLD {
            let path = crate::text::path(&path()).to_string();
            let shown: String = path.chars().take(PATH).collect();
            let dots = if shown.len() < path.len() { "…" } else { "" };
            inner.0.push(format!("{shown}{dots}: {what}"));
        } else {
            inner.1 += 1;
        }
    }

    /// All of them; the last one says how many were not told.
    pub(super) fn into_vec(self) -> Vec<String> {
        let (mut told, omitted) = self.0.into_inner().unwrap_or_else(PoisonError::into_inner);
        if omitted > 0 {
            told.push(format!("and {omitted} more of the kind"));
        }
        told
    }
}
