//! The answer of `client`.

use std::io;

use bkctld_core::client::ClientScript;
use schemars::JsonSchema;
use serde::Serialize;

use super::{Answer, Page};

/// The script with which a client pushes, and the values in it.
#[derive(Serialize, JsonSchema)]
pub struct Script {
    #[serde(flatten)]
    pub script: ClientScript,
    pub text: String,
}

impl Answer for Script {
    fn write(&self, page: &mut Page<'_>) -> io::Result<()> {
        write!(page.out, "{}", self.text)
    }
}
