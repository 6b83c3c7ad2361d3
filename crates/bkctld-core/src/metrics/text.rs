//! Prometheus' text format, version 0.0.4, as node_exporter's textfile collector reads it. (Not OpenMetrics,
//! whose types that collector refuses.)

use std::fmt;

use schemars::JsonSchema;
use serde::{Serialize, Serializer};

/// All samples of one name.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Family {
    /// The metric's name.
    pub name: &'static str,
    /// What it says, in a sentence.
    pub help: &'static str,
    /// Its samples; one that has none is not printed.
    pub samples: Vec<Sample>,
}

/// One number.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Sample {
    /// What it is of.
    #[serde(serialize_with = "as_map")]
    #[schemars(with = "std::collections::BTreeMap<String, String>")]
    pub labels: Vec<(&'static str, String)>,
    /// The number.
    pub value: f64,
}

fn as_map<S: Serializer>(labels: &[(&'static str, String)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(labels.iter().map(|(name, value)| (name, value)))
}

/// The lines of the family. All are gauges: nothing here only ever grows.
impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.samples.is_empty() {
            return Ok(());
        }
        let help = self.help.replace('\\', "\\\\").replace('\n', "\\n");
        writeln!(f, "# HELP {} {help}", self.name)?;
        writeln!(f, "# TYPE {} gauge", self.name)?;
        for sample in &self.samples {
            write!(f, "{}", self.name)?;
            for (at, (label, value)) in sample.labels.iter().enumerate() {
                let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
                write!(f, "{}{label}=\"{value}\"", if at == 0 { '{' } else { ',' })?;
            }
            let end = if sample.labels.is_empty() { "" } else { "}" };
            writeln!(f, "{end} {}", sample.value)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family_is_printed_with_its_values_escaped() {
        let sample = |labels: &[(&'static str, &str)], value| Sample {
            labels: labels.iter().map(|(name, value)| (*name, (*value).to_owned())).collect(),
            value,
        };
        let mut family = Family {
            name: "bkctld_x",
            help: "a \\ and\nmore",
            samples: vec![
                sample(&[], 1.0),
                sample(&[("jail", "a\"b\\c\nd"), ("check", "é")], 1.5),
                sample(&[("jail", "big")], 1.8e18),
            ],
        };
        assert_eq!(
            family.to_string(),
            "# HELP bkctld_x a \\\\ and\\nmore\n# TYPE bkctld_x gauge\nbkctld_x 1\n\
             bkctld_x{jail=\"a\\\"b\\\\c\\nd\",check=\"é\"} 1.5\nbkctld_x{jail=\"big\"} 1800000000000000000\n"
        );
        family.samples.clear();
        assert_eq!(family.to_string(), "");
    }
}
