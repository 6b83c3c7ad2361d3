//! The warnings of an inc, collected by the threads that make it.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How many are kept: a client can cause as many as it likes.
const KEPT: usize = 50;
/// The number of changed directories that are named.
const NAMED: usize = 3;
/// The most characters of a path that are shown.
const PATH: usize = 300;

/// Warnings, as the threads bring them.
#[derive(Debug, Default)]
pub(super) struct Warnings(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    kept: Vec<String>,
    omitted: u64,
    /// Directories that changed, and how many more did.
    moved: Vec<String>,
    moved_more: u64,
}

impl Warnings {
    /// Notes for a path, given from the jail's directory, what the inc lacks of it. It is asked for only where it is
    /// kept: to put one together takes as long as it is deep.
    pub(super) fn add(&self, path: impl FnOnce() -> PathBuf, lack: &str) {
        let mut inner = self.lock();
        if inner.kept.len() < KEPT {
            inner.kept.push(format!("{}: {lack}", abbreviated(&path())));
        } else {
            inner.omitted += 1;
        }
    }

    /// Notes that names came to the directory or went from it while the inc was made.
    pub(super) fn moved(&self, path: impl FnOnce() -> PathBuf) {
        let mut inner = self.lock();
        if inner.moved.len() < NAMED {
            inner.moved.push(abbreviated(&path()));
        } else {
            inner.moved_more += 1;
        }
    }

    /// All of them; the last ones say how many were not kept.
    pub(super) fn into_vec(self) -> Vec<String> {
        let Inner { mut kept, omitted, moved, moved_more } =
            self.0.into_inner().unwrap_or_else(PoisonError::into_inner);
        if omitted > 0 {
            kept.push(format!("and {omitted} more of this kind"));
        }
        if !moved.is_empty() {
            let more = if moved_more > 0 { format!(" and {moved_more} more") } else { String::new() };
            kept.push(format!(
                "directories changed while they were copied, so files that were moved may be missing or there twice: {}{more}",
                moved.join(", ")
            ));
        }
        kept
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn abbreviated(path: &Path) -> String {
    let path = crate::text::path(path).to_string();
    let shown: String = path.chars().take(PATH).collect();
    let dots = if shown.len() < path.len() { "…" } else { "" };
    format!("{shown}{dots}")
}
