//! The answer of `list`.

use std::io;

use bkctld_core::JailName;
use schemars::JsonSchema;
use serde::Serialize;

use super::{Answer, Page};

/// The names of all jails.
#[derive(Serialize, JsonSchema)]
pub struct Names {
    pub jails: Vec<JailName>,
}

impl Answer for Names {
    fn write(&self, page: &mut Page<'_>) -> io::Result<()> {
        self.jails.iter().try_for_each(|name| page.line(name))
    }
}
