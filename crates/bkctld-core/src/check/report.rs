//! Findings, how bad they are, and the lines that tell them.

use std::fmt;

use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use crate::jail::JailName;
use crate::text;

/// How bad it is. Ordered as an administrator would: what is known to be broken goes before what is
/// only not known, unlike in the plugins' exit codes. (The original ranked by code, so that one new
/// jail without a login hid every critical one.)
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// As it should be.
    Ok,
    /// It could not be told.
    Unknown,
    /// Somebody should look at it.
    Warning,
    /// Somebody must.
    Critical,
}

impl Severity {
    /// The exit code of a Nagios plugin.
    pub fn code(self) -> u8 {
        match self {
            Severity::Ok => 0,
            Severity::Warning => 1,
            Severity::Critical => 2,
            Severity::Unknown => 3,
        }
    }

    /// The status word of a Nagios plugin.
    pub fn word(self) -> &'static str {
        match self {
            Severity::Ok => "OK",
            Severity::Warning => "WARNING",
            Severity::Critical => "CRITICAL",
            Severity::Unknown => "UNKNOWN",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

impl Serialize for Severity {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.word())
    }
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// The jail that it is about; none where it is about the server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jail: Option<JailName>,
    /// What there is to say, on one line and without `|`, which begins a plugin's performance data.
    text: String,
    /// What is wrong with the files that were read for it, one line each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<String>,
    /// More of it for programs.
    #[serde(flatten)]
    details: Map<String, Value>,
}

impl Finding {
    /// About the server.
    pub fn new(severity: Severity, text: impl fmt::Display) -> Finding {
        let text = text::one_field(&text.to_string());
        Finding { severity, jail: None, text, problems: Vec::new(), details: Map::new() }
    }

    /// About one jail.
    pub fn of_jail(severity: Severity, jail: &JailName, text: impl fmt::Display) -> Finding {
        Finding { jail: Some(jail.clone()), ..Finding::new(severity, text) }
    }

    /// With a field for programs.
    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Finding {
        self.details.insert(key.to_owned(), value.into());
        self
    }

    /// What there is to say, without the jail.
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// The line of the finding.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.jail {
            Some(jail) => write!(f, "{} - {jail} - {}", self.severity, self.text),
            None => write!(f, "{} - {}", self.severity, self.text),
        }
    }
}

/// A number for a graph: one item of a plugin's performance data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Measure {
    /// What is measured: letters, digits, `.`, `_`, `-`.
    pub label: String,
    /// How much.
    pub value: u64,
    /// In what: "s", "B", "%", or "" for a count.
    pub unit: &'static str,
    /// The thresholds in the same unit; 0 for none.
    pub thresholds: (u64, u64),
}

impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |threshold: u64| if threshold == 0 { String::new() } else { threshold.to_string() };
        let (warning, critical) = self.thresholds;
        let item =
            format!("'{}'={}{};{};{};0", self.label, self.value, self.unit, shown(warning), shown(critical));
        f.write_str(&item)
    }
}

/// How many findings there are of each severity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// [`Severity::Unknown`].
    pub unknown: usize,
    /// [`Severity::Critical`].
    pub critical: usize,
    /// [`Severity::Warning`].
    pub warning: usize,
    /// [`Severity::Ok`].
    pub ok: usize,
}

/// What a check found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    findings: Vec<Finding>,
    measures: Vec<Measure>,
}

impl Report {
    /// The findings, worst first, and those that are equally bad in the order in which they were made.
    pub fn new(mut findings: Vec<Finding>) -> Report {
        findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
        Report { findings, measures: Vec::new() }
    }

    /// With numbers for graphs.
    pub fn with_measures(self, measures: Vec<Measure>) -> Report {
        Report { measures, ..self }
    }

    /// The findings, worst first.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// How bad the worst of it is.
    pub fn severity(&self) -> Severity {
        self.findings.first().map_or(Severity::Ok, |finding| finding.severity)
    }

    /// How many there are of each.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for finding in &self.findings {
            *match finding.severity {
                Severity::Unknown => &mut counts.unknown,
                Severity::Critical => &mut counts.critical,
                Severity::Warning => &mut counts.warning,
                Severity::Ok => &mut counts.ok,
            } += 1;
        }
        counts
    }

    /// The first line: the worst severity and the counts.
    pub fn header(&self) -> String {
        let Counts { unknown, critical, warning, ok } = self.counts();
        format!("{} - {unknown} UNK / {critical} CRIT / {warning} WARN / {ok} OK", self.severity())
    }

    /// The performance data of a plugin, which may follow the header after a `|`.
    pub fn performance_data(&self) -> String {
        let Counts { unknown, critical, warning, ok } = self.counts();
        let mut data = format!("'unknown'={unknown} 'critical'={critical} 'warning'={warning} 'ok'={ok}");
        for measure in &self.measures {
            data.push_str(&format!(" {measure}"));
        }
        data
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(severity: Severity, text: &str) -> Finding {
        Finding::of_jail(severity, &"web01".parse().unwrap(), text)
    }

    #[test]
    fn the_worst_comes_first_and_decides() {
        use Severity::*;
        let report = Report::new(vec![
            finding(Ok, "a"),
            finding(Unknown, "b"),
            finding(Critical, "c"),
            finding(Ok, "d"),
        ]);
        assert_eq!(report.header(), "CRITICAL - 1 UNK / 1 CRIT / 0 WARN / 2 OK");
        let lines: Vec<String> = report.findings().iter().map(ToString::to_string).collect();
        assert_eq!(
            lines,
            ["CRITICAL - web01 - c", "UNKNOWN - web01 - b", "OK - web01 - a", "OK - web01 - d"]
        );
        for (findings, code) in [
            (vec![], 0),
            (vec![finding(Ok, "")], 0),
            (vec![finding(Ok, ""), finding(Unknown, "")], 3),
            (vec![finding(Unknown, ""), finding(Warning, "")], 1),
            (vec![finding(Unknown, ""), finding(Warning, ""), finding(Critical, "")], 2),
        ] {
            assert_eq!(Report::new(findings).severity().code(), code);
        }
    }

    #[test]
    fn text_of_a_client_stays_on_its_line_and_out_of_the_performance_data() {
        let line = Finding::new(Severity::Ok, "a|b\nCRITICAL - c\x1b[31m").to_string();
        assert_eq!(line, "OK - a\\u{7c}b\\nCRITICAL - c\\u{1b}[31m");
    }

    #[test]
    fn performance_data_is_what_plugins_print() {
        let measure =
            |label: &str, thresholds| Measure { label: label.into(), value: 7, unit: "s", thresholds };
        let report = Report::new(vec![finding(Severity::Ok, "")])
            .with_measures(vec![measure("a", (0, 0)), measure("b.c", (24, 48))]);
        assert_eq!(
            report.performance_data(),
            "'unknown'=0 'critical'=0 'warning'=0 'ok'=1 'a'=7s;;;0 'b.c'=7s;24;48;0"
        );
    }
}
