//! The shapes of answers: the answer of a command is one value, which is written as text for a person or as a
//! JSON document for a program, so that the two cannot disagree. The shape of each command is in the file of
//! its name. `docs/json.md` describes the documents.

pub mod archive;
pub mod check;
pub mod client;
pub mod convert_v2;
pub mod firewall;
pub mod inc;
pub mod init;
pub mod ip;
pub mod is_on;
pub mod jail_version;
pub mod key;
pub mod list;
pub mod log;
pub mod metrics;
pub mod outcome;
pub mod port;
pub mod protection;
pub mod rename;
pub mod report;
pub mod rm;
#[cfg(test)]
mod schema;
pub mod stats;
pub mod status;
pub mod sync;
pub mod table;
pub mod update;
pub mod upgrade_config;

use std::fmt::Display;
use std::io::{self, Write};

use jiff::Zoned;
use serde::Serialize;

/// The version of the shape of all JSON output; it changes when a reader could break.
const VERSION: u32 = 1;

/// The answer of a command.
pub trait Answer: Serialize {
    /// Writes the answer for a person, or for a script that splits columns.
    fn write(&self, page: &mut Page<'_>) -> io::Result<()>;
}

/// The destination of an answer as text, and its level of detail.
pub struct Page<'a> {
    /// Standard output.
    pub out: &'a mut dyn Write,
    /// Whether a table begins with the names of its columns.
    pub header: bool,
    /// Whether to print more details.
    pub verbose: bool,
    /// The time, in the server's zone.
    pub now: &'a Zoned,
}

impl Page<'_> {
    /// Writes one line.
    pub fn line(&mut self, text: impl Display) -> io::Result<()> {
        writeln!(self.out, "{text}")
    }

    /// Writes rows below their header, in columns of the necessary width.
    pub fn table(&mut self, header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> io::Result<()> {
        let header = self.header.then(|| header.iter().map(|&cell| cell.to_owned()).collect());
        let rows: Vec<Vec<String>> = header.into_iter().chain(rows).collect();
        table::aligned(&rows).into_iter().try_for_each(|line| self.line(line))
    }
}

/// One JSON document: the whole standard output of a run with `--json`.
#[derive(Serialize)]
pub struct Document<'a, T> {
    version: u32,
    command: &'a str,
    #[serde(flatten)]
    content: T,
}

impl<'a, T: Serialize> Document<'a, T> {
    /// The document with the answer of this command.
    pub fn new(command: &'a str, content: T) -> Document<'a, T> {
        Document { version: VERSION, command, content }
    }
}
