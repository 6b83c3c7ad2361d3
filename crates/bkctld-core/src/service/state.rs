//! The state of a listener in `LOCKDIR/J.state.json`. It is valid only while a process holds the listener's
//! lock: the file remains after a crash.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::file;
use crate::jail::{Jail, Port};

/// What a listener says of itself, as JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListenerState {
    /// The number of its process.
    pub pid: u32,
    /// The port that it listens on.
    pub port: u16,
    /// A count of starts and reloads, by which a process that requests one can tell when it is done.
    pub generation: u64,
    /// The reason why the last reload changed nothing; none if it worked.
    pub error: Option<String>,
    /// The reason why nothing limits the memory of the jail's sessions; none if there is a limit.
    #[serde(default)]
    pub unbounded: Option<String>,
}

impl ListenerState {
    /// The state of a listener that has just started. It counts on from the one before: who waits for that
    /// one's reload gets what it wants when another has started meanwhile.
    pub fn first(jail: &Jail, port: Port) -> Result<ListenerState> {
        let generation = ListenerState::read(jail)?.map_or(0, |state| state.generation) + 1;
        Ok(ListenerState {
            pid: std::process::id(),
            port: port.get(),
            generation,
            error: None,
            unbounded: None,
        })
    }

    /// Has who asks see it, from one moment to the next.
    pub fn write(&self, jail: &Jail) -> Result<()> {
        let text = serde_json::to_vec(self)
            .map_err(|error| Error::internal("cannot write the listener's state").because(error))?;
        file::replace(&path(jail), 0o644, &text)
    }

    /// The state that the last listener of the jail has written.
    pub fn read(jail: &Jail) -> Result<Option<ListenerState>> {
        let text = file::read_if_there(&path(jail))?;
        Ok(text.and_then(|text| serde_json::from_slice(&text).ok()))
    }
}

fn path(jail: &Jail) -> PathBuf {
    // `with_file_name`, as a jail's name may hold dots.
    jail.listener_lock().with_file_name(format!("{}.state.json", jail.name()))
}

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod properties;
