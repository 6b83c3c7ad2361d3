//! The long operations that run on this server now, for monitoring.
//!
//! Each operation holds the first free slot of its kind, a lock file `LOCKDIR/KIND.N`. The locks of the jails
//! keep operations apart; these locks only show that they run, which would otherwise have to be guessed from
//! the command lines of processes.

use std::fmt;
use std::path::PathBuf;

use crate::config::Settings;
use crate::error::Result;
use crate::lock::Lock;

/// A kind of operation that monitoring watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Incs are made.
    Inc,
    /// Incs that expire are deleted.
    Rm,
}

impl Operation {
    /// All kinds, in the order of their names.
    pub const ALL: [Operation; 2] = [Operation::Inc, Operation::Rm];

    /// The name of the command, and of its slots.
    pub fn name(self) -> &'static str {
        match self {
            Operation::Inc => "inc",
            Operation::Rm => "rm",
        }
    }

    /// Shows that this operation runs, while the result lives.
    pub fn begin(self, settings: &Settings) -> Result<Lock> {
        let mut slot = 0;
        loop {
            match Lock::try_take(&self.slot(settings, slot))? {
                Some(lock) => return Ok(lock),
                None => slot += 1,
            }
        }
    }

    /// The same for a kind of which one is enough: none where another runs.
    pub fn begin_alone(self, settings: &Settings) -> Result<Option<Lock>> {
        Lock::try_take(&self.slot(settings, 0))
    }

    /// How many of the kind run now.
    pub fn running(self, settings: &Settings) -> Result<usize> {
        // Slots are filled from the first, and their files stay.
        let slots = (0..).map(|slot| self.slot(settings, slot)).take_while(|path| path.exists());
        slots.map(|path| Lock::is_held(&path).map(usize::from)).sum()
    }

    fn slot(self, settings: &Settings, slot: u32) -> PathBuf {
        settings.lock_dir.join(format!("{self}.{slot}"))
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_run_as_hold_a_slot() {
        let dir = tempfile::tempdir().unwrap();
        let settings = Settings { lock_dir: dir.path().to_path_buf(), ..Settings::default() };
        let running = || Operation::Inc.running(&settings).unwrap();
        assert_eq!(running(), 0);
        let first = Operation::Inc.begin(&settings).unwrap();
        let second = Operation::Inc.begin(&settings).unwrap();
        assert_eq!((running(), Operation::Rm.running(&settings).unwrap()), (2, 0));
        drop(first);
        assert_eq!(running(), 1);
        let third = Operation::Inc.begin(&settings).unwrap();
        assert_eq!(running(), 2);
        drop((second, third));
        let alone = Operation::Rm.begin_alone(&settings).unwrap().unwrap();
        assert!(Operation::Rm.begin_alone(&settings).unwrap().is_none());
        assert_eq!(Operation::Rm.running(&settings).unwrap(), 1);
        drop(alone);
        assert_eq!(running(), 0);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 3, "slots are used again");
    }
}
