//! The answer of `is-on`.

use std::io;

use bkctld_core::JailName;
use schemars::JsonSchema;
use serde::Serialize;

use super::{Answer, Page};

/// Whether the jail is on. The text is empty, because the exit code says it.
#[derive(Serialize, JsonSchema)]
pub struct State {
    pub jail: JailName,
    pub on: bool,
}

impl Answer for State {
    fn write(&self, _: &mut Page<'_>) -> io::Result<()> {
        Ok(())
    }
}
