//! The answer of `jail-version`.

use std::io;

use bkctld_core::JailName;
use schemars::JsonSchema;
use serde::Serialize;

use super::{Answer, Page};

/// The version of the jail's format on disk.
#[derive(Serialize, JsonSchema)]
pub struct Format {
    pub jail: JailName,
    pub format: String,
}

impl Answer for Format {
    fn write(&self, page: &mut Page<'_>) -> io::Result<()> {
        page.line(&self.format)
    }
}
