//! The programs and libraries that all jails share, collected once from the server's packages.
//!
//! `DATADIR/runtime/<content>/` holds one collection, named by a digest of its content;
//! `DATADIR/runtime/current` is a symbolic link to the one that new sessions get. A session holds
//! a shared lock on its collection's directory, so that an update knows which ones are in use.
//! The original copied all of this into every jail: 19 MB each, and stale until someone updated
//! every one of them.

mod build;
mod changed;
mod programs;

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

pub use build::{Built, build};
pub(crate) use programs::sftp_server;

use crate::config::Settings;
use crate::error::{IoContext, Result};
use crate::file;

/// The directory of the collections.
#[derive(Clone, Debug)]
pub struct RuntimeStore {
    dir: PathBuf,
}

impl RuntimeStore {
    /// The store below `DATADIR`, whether or not anything was collected yet.
    pub fn new(settings: &Settings) -> RuntimeStore {
        RuntimeStore { dir: settings.data_dir.join("runtime") }
    }

    /// The store with a collection for new sessions in it; the first is built.
    pub fn ready(settings: &Settings) -> Result<RuntimeStore> {
        let store = RuntimeStore::new(settings);
        store.close_to_others()?;
        if !store.is_built() {
            build(settings, || ())?;
        }
        Ok(store)
    }

    /// Closes the store to all users but root: a user who can open a collection could lock it forever, and no
    /// session would begin any more.
    pub fn close_to_others(&self) -> Result<()> {
        file::close_to_others(&self.dir)
    }

    /// The directory in which all collections lie.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The link to the collection that new sessions get.
    pub fn current(&self) -> PathBuf {
        self.dir.join("current")
    }

    /// Whether there is a collection for new sessions.
    pub fn is_built(&self) -> bool {
        self.current().join("usr").is_dir()
    }

    /// Deletes collections that are neither current nor in use by a session, and the remains of an
    /// interrupted build. The caller holds the store's lock.
    fn remove_unused(&self, keep: &str) -> Result<()> {
        for entry in fs::read_dir(&self.dir).context("cannot read", &self.dir)? {
            let entry = entry.context("cannot read", &self.dir)?;
            let path = entry.path();
            if entry.file_name() == keep || !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                continue;
            }
            let dir = File::open(&path).context("cannot open", &path)?;
            match dir.try_lock() {
                Ok(()) => fs::remove_dir_all(&path).context("cannot delete", &path)?,
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) => return Err(error).context("cannot lock", &path),
            }
        }
        Ok(())
    }
}
