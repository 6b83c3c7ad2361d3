//! The answer of `metrics`.

use std::io;

use bkctld_core::metrics::Family;
use schemars::JsonSchema;
use serde::Serialize;

use super::{Answer, Page};

/// The metrics for Prometheus and Munin.
#[derive(Serialize, JsonSchema)]
pub struct Families {
    pub metrics: Vec<Family>,
}

impl Families {
    /// The metrics in the text format of Prometheus.
    pub fn text(&self) -> String {
        self.metrics.iter().map(ToString::to_string).collect()
    }
}

impl Answer for Families {
    fn write(&self, page: &mut Page<'_>) -> io::Result<()> {
        write!(page.out, "{}", self.text())
    }
}
