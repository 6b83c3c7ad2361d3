//! The answer of `port`.

use std::io;

use bkctld_core::{JailName, Port};
use schemars::JsonSchema;
use serde::Serialize;

use super::{Answer, Page};

/// The jail's port.
#[derive(Serialize, JsonSchema)]
pub struct JailPort {
    pub jail: JailName,
    pub port: Port,
}

impl Answer for JailPort {
    fn write(&self, page: &mut Page<'_>) -> io::Result<()> {
        page.line(self.port)
    }
}

/// What `port` adds to the outcome of a jail whose port it changes.
#[derive(Serialize, JsonSchema)]
pub struct NewPort {
    pub port: Port,
}
