//! What an inc lacks, collected by the threads that make it.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How many are told in full: a client can cause as many as it likes.
const TOLD: usize = 50;
/// How many directories are named that changed meanwhile.
const NAMED: usize = 3;
/// The most characters of a path that are told.
const PATH: usize = 300;

/// Warnings so far.
#[derive(Debug, Default)]
pub(super) struct Warnings(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    told: Vec<String>,
    omitted: u64,
    /// Directories that changed, and how many more did.
    moved: Vec<String>,
    moved_more: u64,
}

impl Warnings {
    /// Notes what happened to which path, given from the jail's directory. It is asked for only where it is
    /// told: to put one together takes as long as it is deep.
    pub(super) fn add(&self, path: impl FnOnce() -> PathBuf, what: &str) {
        let mut inner = self.lock();
        if inner.told.len() < TOLD {
            inner.told.push(format!("{}: {what}", shown(&path())));
        } else {
            inner.omitted += 1;
        }
    }

    /// Notes that names came to the directory or went from it while the inc was made.
    pub(super) fn moved(&self, path: impl FnOnce() -> PathBuf) {
        let mut inner = self.lock();
        if inner.moved.len() < NAMED {
            inner.moved.push(shown(&path()));
        } else {
            inner.moved_more += 1;
        }
    }

    /// All of them; one says how many were not told.
    pub(super) fn into_vec(self) -> Vec<String> {
        let Inner { mut told, omitted, moved, moved_more } =
            self.0.into_inner().unwrap_or_else(PoisonError::into_inner);
        if omitted > 0 {
            told.push(format!("and {omitted} more of the kind"));
        }
        if !moved.is_empty() {
            let more = if moved_more > 0 { format!(" and {moved_more} more") } else { String::new() };
            told.push(format!(
                "directories changed while they were copied, so what was moved meanwhile may be missing or \
                 there twice: {}{more}",
                moved.join(", ")
            ));
        }
        told
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn shown(path: &Path) -> String {
    let path = crate::text::path(path).to_string();
    let shown: String = path.chars().take(PATH).collect();
    let dots = if shown.len() < path.len() { "…" } else { "" };
    format!("{shown}{dots}")
}
