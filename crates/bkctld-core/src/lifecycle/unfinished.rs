//! What interrupted commands have left half way.

use super::{archive, rename};
use crate::config::Settings;
use crate::error::Result;
use crate::jail::JailName;

/// Something that was interrupted half way and waits for being asked for again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unfinished {
    /// The name that the jail had before.
    pub jail: JailName,
    /// The command line that finishes it.
    pub command: String,
}

/// What is half done on this server.
pub fn unfinished(settings: &Settings) -> Result<Vec<Unfinished>> {
    let renames = rename::intent::unfinished(settings)?.into_iter().map(|(jail, to)| {
        let command = format!("bkctld rename {jail} {to}");
        Unfinished { jail, command }
    });
    let archives = archive::unfinished(settings)?.into_iter().map(|jail| {
        let command = format!("bkctld archive {jail}");
        Unfinished { jail, command }
    });
    Ok(renames.chain(archives).collect())
}
