//! The answer of `log`.

use std::cell::RefCell;
use std::io;

use bkctld_core::JailName;
use schemars::JsonSchema;
use serde::{Serialize, Serializer};

use super::{Answer, Page};

/// sshd's messages about the jail's sessions. A log may be long, so only one line is held in memory at a
/// time.
#[derive(Serialize, JsonSchema)]
#[schemars(bound = "")]
pub struct Log<L: Iterator<Item = String>> {
    pub jail: JailName,
    #[serde(serialize_with = "as_list")]
    #[schemars(with = "Vec<String>")]
    lines: RefCell<L>,
}

impl<L: Iterator<Item = String>> Log<L> {
    /// Of these lines, newest first.
    pub fn new(jail: JailName, lines: L) -> Log<L> {
        Log { jail, lines: RefCell::new(lines) }
    }
}

fn as_list<L: Iterator<Item = String>, S: Serializer>(
    lines: &RefCell<L>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(lines.borrow_mut().by_ref())
}

impl<L: Iterator<Item = String>> Answer for Log<L> {
    fn write(&self, page: &mut Page<'_>) -> io::Result<()> {
        self.lines.borrow_mut().try_for_each(|line| page.line(line))
    }
}
