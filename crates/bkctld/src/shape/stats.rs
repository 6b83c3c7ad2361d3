//! The answer of `stats`.

use std::io;

use bkctld_core::retention::Retention;
use bkctld_core::sizes::Sizes;
use bkctld_core::{IncName, JailName, text};
use jiff::{Timestamp, Zoned};
use schemars::JsonSchema;
use serde::Serialize;

use super::{Answer, Page};

const HEADER: [&str; 4] = ["<jail>", "<size>", "<incs>", "<lastconn>"];
/// With `-v`.
const MORE: [&str; 3] = ["<incsize>", "<files>", "<walked>"];

/// The size of each jail, and the last connection of its client.
#[derive(Serialize, JsonSchema)]
pub struct Stats {
    pub jails: Vec<MeasuredJail>,
}

/// One jail.
#[derive(Serialize, JsonSchema)]
pub struct MeasuredJail {
    pub name: JailName,
    pub retention: Retention,
    pub last_connection: Option<Timestamp>,
    /// None if they could not be measured.
    #[serde(flatten)]
    pub sizes: Option<JailSizes>,
    /// The reasons why sizes are missing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<String>,
}

/// [`Sizes`] as they are shown.
#[derive(Serialize, JsonSchema)]
pub struct JailSizes {
    live: Live,
    incs: Incs,
}

#[derive(Serialize, JsonSchema)]
struct Live {
    bytes: u64,
    files: u64,
    directories: u64,
    walked: Timestamp,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    not_counted: Vec<String>,
}

#[derive(Serialize, JsonSchema)]
struct Incs {
    bytes: u64,
    each: Vec<IncSize>,
}

#[derive(Serialize, JsonSchema)]
struct IncSize {
    inc: IncName,
    new_bytes: u64,
}

impl From<Sizes> for JailSizes {
    fn from(sizes: Sizes) -> JailSizes {
        let each = sizes.incs.iter().map(|inc| IncSize { inc: inc.name, new_bytes: inc.new }).collect();
        JailSizes {
            incs: Incs { bytes: sizes.incs_total(), each },
            live: Live {
                bytes: sizes.live.bytes,
                files: sizes.live.files,
                directories: sizes.live.directories,
                walked: sizes.walked,
                not_counted: sizes.live.problems,
            },
        }
    }
}

impl Answer for Stats {
    fn write(&self, page: &mut Page<'_>) -> io::Result<()> {
        let (now, verbose) = (page.now, page.verbose);
        let more = if verbose { &MORE[..] } else { &[] };
        let header = [&HEADER[..], more].concat();
        page.table(&header, self.jails.iter().map(|line| line.cells(now, verbose)))
    }
}

impl MeasuredJail {
    fn cells(&self, now: &Zoned, verbose: bool) -> Vec<String> {
        let local = |time: Timestamp, format| time.to_zoned(now.time_zone().clone()).strftime(format);
        let cell = |of: fn(&JailSizes) -> String| self.sizes.as_ref().map(of).unwrap_or_default();
        let mut row = vec![
            self.name.to_string(),
            cell(|sizes| short(sizes.live.bytes)),
            self.retention.to_string(),
            self.last_connection.map(|time| local(time, "%d-%m-%Y").to_string()).unwrap_or_default(),
        ];
        if verbose {
            let walked = self.sizes.as_ref().map(|sizes| local(sizes.live.walked, "%FT%H:%M").to_string());
            row.extend([
                cell(|sizes| short(sizes.incs.bytes)),
                cell(|sizes| sizes.live.files.to_string()),
                walked.unwrap_or_default(),
            ]);
        }
        row
    }
}

/// Without a blank, which would be another column: `1.5G`.
fn short(bytes: u64) -> String {
    text::bytes(bytes).replace(' ', "").trim_end_matches("iB").to_owned()
}
