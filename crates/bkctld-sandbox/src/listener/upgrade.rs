//! The file of this program, which an upgrade of the package replaces under running listeners.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use bkctld_core::error::{IoContext, Result};

/// The file that this process was started from.
pub(crate) struct OwnProgram {
    /// The path at the start. Later the kernel only reports that the file is gone.
    pub(crate) path: PathBuf,
}

impl OwnProgram {
    pub(crate) fn of_this_process() -> Result<OwnProgram> {
        let path = std::env::current_exe().context("cannot find", "this program")?;
        Ok(OwnProgram { path })
    }

    /// Whether another file has replaced it. A missing file is not a replacement.
    pub(crate) fn is_replaced(&self) -> bool {
        match (std::fs::metadata("/proc/self/exe"), std::fs::metadata(&self.path)) {
            (Ok(running), Ok(there)) => is_another(&running, &there),
            _ => false,
        }
    }
}

fn is_another(running: &Metadata, there: &Metadata) -> bool {
    (running.dev(), running.ino()) != (there.dev(), there.ino())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_replaced_by_another_file_and_not_by_none() {
        let mut program = OwnProgram::of_this_process().unwrap();
        assert!(!program.is_replaced());
        program.path = "/nonexistent".into();
        assert!(!program.is_replaced());
        program.path = "/bin/sh".into();
        assert!(program.is_replaced());
    }
}
