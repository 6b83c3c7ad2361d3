//! The answer of `key`.

use std::io;

use bkctld_core::JailName;
use schemars::JsonSchema;
use serde::Serialize;

use super::{Answer, Page};

/// The keys that may log in, a line of the file for each.
#[derive(Serialize, JsonSchema)]
pub struct Keys {
    pub jail: JailName,
    pub keys: Vec<String>,
    /// The file with its comments, which is printed as text.
    #[serde(skip)]
    file: Vec<u8>,
}

impl Keys {
    /// The keys of a jail with this `authorized_keys`.
    pub fn new(jail: JailName, file: Vec<u8>) -> Keys {
        let text = String::from_utf8_lossy(&file);
        let is_key = |line: &&str| !line.trim().is_empty() && !line.trim_start().starts_with('#');
        Keys { jail, keys: text.lines().filter(is_key).map(str::to_owned).collect(), file }
    }
}

impl Answer for Keys {
    fn write(&self, page: &mut Page<'_>) -> io::Result<()> {
        page.out.write_all(&self.file)
    }
}

/// What `key` adds to the outcome of a jail whose keys it replaces.
#[derive(Serialize, JsonSchema)]
pub struct NewKeys {
    /// How many there are now.
    pub keys: usize,
}
