//! The record of one inc: the file `INCDIR/J/.NAME.record`.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::IncName;
use super::files::Hidden;
use crate::error::{Error, Result};
use crate::file;
use crate::jail::Jail;

/// The record of an inc, as JSON. Incs of the original have none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Record {
    /// When the making of it began.
    pub begun: Timestamp,
    /// The time at which it was complete.
    pub ended: Timestamp,
    /// What it was made by: the file system, or copying.
    pub backend: Backend,
    /// Whether a session was open while it was made, so that the client may have been writing.
    pub session_active: bool,
    /// How many names it has, and how they got there.
    pub counts: Counts,
    /// The files that the inc lacks, with the reasons.
    pub warnings: Vec<String>,
}

/// The kinds of incs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Backend {
    /// A read-only snapshot of the jail's btrfs subvolume.
    Snapshot,
    /// A tree that shares its unchanged files with the inc before, and nothing with the live data.
    Detached,
}

/// How much the making took; all zero for a snapshot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Counts {
    /// Directories, the top among them.
    pub directories: u64,
    /// Names of everything but directories.
    pub files: u64,
    /// Of these, unchanged: links to the previous inc's files.
    pub linked: u64,
    /// Of these, cloned: new inodes that share their data with the live file.
    pub cloned: u64,
    /// Of these, copied, or made anew (links, fifos and the like). The rest of `files` are further
    /// names of a file within the inc.
    pub copied: u64,
    /// Bytes that were read and written, not cloned.
    pub bytes: u64,
}

impl Record {
    /// The record of this inc; none if it is missing or cannot be read.
    pub fn read(jail: &Jail, name: IncName) -> Result<Option<Record>> {
        let path = jail.inc_dir().join(Hidden::Record(name).file_name());
        // A record that a full disk or a later version has damaged only means a missing number in a table.
        Ok(file::read_if_there(&path)?.and_then(|text| serde_json::from_slice(&text).ok()))
    }

    pub(super) fn write(&self, jail: &Jail, name: IncName, sync: file::Sync) -> Result<()> {
        let path = jail.inc_dir().join(Hidden::Record(name).file_name());
        let mut text = serde_json::to_vec(self)
            .map_err(|error| Error::internal("cannot write the record of an inc").because(error))?;
        text.push(b'\n');
        file::replace_with(&path, 0o600, &text, sync)
    }
}

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod properties;
