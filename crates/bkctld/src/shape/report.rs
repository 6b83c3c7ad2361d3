//! The answer of `report`.

use std::io;

use bkctld_core::retention::Retention;
use bkctld_core::{JailName, Port};
use schemars::JsonSchema;
use serde::Serialize;

use super::{Answer, Page};

const HEADER: [&str; 6] = ["<name>", "<status>", "<port>", "<ip(s)>", "<policy>", "<incs>"];

/// Every jail with its state, its policy and its incs.
#[derive(Serialize, JsonSchema)]
pub struct Report {
    pub jails: Vec<ReportedJail>,
}

/// One jail.
#[derive(Serialize, JsonSchema)]
pub struct ReportedJail {
    pub name: JailName,
    /// `ON` or `OFF`.
    pub status: &'static str,
    /// Absent if it cannot be read.
    pub port: Option<Port>,
    pub addresses: Vec<String>,
    pub retention: Retention,
    /// Newest first.
    pub incs: Vec<String>,
    /// The reasons why facts are missing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<String>,
}

impl Answer for Report {
    fn write(&self, page: &mut Page<'_>) -> io::Result<()> {
        page.table(&HEADER, self.jails.iter().map(ReportedJail::cells))
    }
}

impl ReportedJail {
    fn cells(&self) -> Vec<String> {
        vec![
            self.name.to_string(),
            self.status.to_owned(),
            self.port.map(|port| port.to_string()).unwrap_or_default(),
            self.addresses.join(","),
            self.retention.to_string(),
            self.incs.join(","),
        ]
    }
}
