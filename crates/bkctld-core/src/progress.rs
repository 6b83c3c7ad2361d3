//! How a long operation tells how far it is. The domain counts; only the binary draws.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Counters that worker threads add to and a display reads from time to time.
#[derive(Debug, Default)]
pub struct Progress {
    /// Files (of any type) dealt with.
    pub files: AtomicU64,
    /// Bytes copied.
    pub bytes: AtomicU64,
    /// How many files are expected, from the last run; 0 when unknown.
    pub expected_files: AtomicU64,
    /// Jails that are done.
    pub jails: AtomicU64,
    /// How many jails there are to be done.
    pub expected_jails: AtomicU64,
}

impl Progress {
    /// Counts one file.
    pub fn file(&self) {
        self.files.fetch_add(1, Relaxed);
    }

    /// Counts bytes copied.
    pub fn copied(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Relaxed);
    }

    /// Counts one jail.
    pub fn jail(&self) {
        self.jails.fetch_add(1, Relaxed);
    }

    /// Adds to the number of jails that are expected.
    pub fn expect_jails(&self, jails: u64) {
        self.expected_jails.fetch_add(jails, Relaxed);
    }

    /// Adds to the number of files that are expected.
    pub fn expect(&self, files: u64) {
        self.expected_files.fetch_add(files, Relaxed);
    }
}
