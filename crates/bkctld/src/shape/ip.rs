//! The answer of `ip`.

use std::io;

use bkctld_core::JailName;
use schemars::JsonSchema;
use serde::Serialize;

use super::{Answer, Page};

/// The addresses that may connect to the jail.
#[derive(Serialize, JsonSchema)]
pub struct Addresses {
    pub jail: JailName,
    pub addresses: Vec<String>,
}

impl Answer for Addresses {
    fn write(&self, page: &mut Page<'_>) -> io::Result<()> {
        self.addresses.iter().try_for_each(|address| page.line(address))
    }
}

/// What `ip` adds to the outcome of a jail whose addresses it changes.
#[derive(Serialize, JsonSchema)]
pub struct NewAddresses {
    pub addresses: Vec<String>,
}
