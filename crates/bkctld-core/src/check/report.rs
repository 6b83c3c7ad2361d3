//! The findings of a check, their severity, and the lines that print them.

use std::fmt;

use jiff::Timestamp;
use jiff::civil::Date;
use schemars::JsonSchema;
use serde::Serialize;

use crate::jail::JailName;
use crate::text;

/// The severity of a finding, in the order in which an administrator needs to act: known faults come before
/// unknown states, unlike in the exit codes of plugins. (The original ranked by exit code, so that one new
/// jail without a login hid every critical one.)
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, JsonSchema, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Severity {
    /// Nothing is wrong.
    Ok,
    /// The state could not be determined.
    Unknown,
    /// An administrator should look at it.
    Warning,
    /// An administrator must act.
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

/// One statement of a check about a jail or the server.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Finding {
    /// The severity of the finding.
    pub severity: Severity,
    /// The jail that the finding is about; none if it is about the server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jail: Option<JailName>,
    /// The text, on one line and without `|`, which begins a plugin's performance data.
    text: String,
    /// Problems in the files that were read for this finding, one line each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<String>,
    /// Additional fields for JSON.
    #[serde(flatten)]
    details: Details,
}

/// The fields that a check adds to a finding.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Details {
    /// How long a client has been silent.
    Silence {
        /// When the client last logged in; none without a lastlog.
        last_login: Option<Timestamp>,
        /// The whole hours since then; none if that cannot be determined.
        hours: Option<i64>,
        /// The threshold of a warning in hours.
        warning: u32,
        /// The threshold of a critical finding in hours.
        critical: u32,
        /// The end of the last successful push; none if there is no record of one.
        last_push: Option<Timestamp>,
    },
    /// An inc that is not there.
    Inc {
        /// Its date.
        #[schemars(with = "String", extend("format" = "date"))]
        missing: Date,
    },
    /// The state of a canary.
    Canary {
        /// Its age, or the reason why it has none.
        canary: Canary,
    },
    /// A check of the server itself.
    Setup {
        /// The name of the check, which does not change.
        check: &'static str,
        /// The jails, if the finding is about several.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        jails: Vec<JailName>,
        /// The directories, if the finding is about several.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        directories: Vec<String>,
    },
    /// No further fields.
    None {},
}

/// The state of a jail's canary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Canary {
    /// It has a line of today.
    Today,
    /// It has one of yesterday.
    Yesterday,
    /// It has neither.
    Outdated,
    /// It is not there.
    Missing,
    /// It cannot be read.
    Unusable,
}

impl Details {
    /// The fields of a check of the server that is not about several jails or directories.
    pub(super) fn setup(check: &'static str) -> Details {
        Details::Setup { check, jails: Vec::new(), directories: Vec::new() }
    }
}

impl Finding {
    /// A finding about the server.
    pub fn new(severity: Severity, text: impl fmt::Display) -> Finding {
        let text = text::one_field(&text.to_string());
        Finding { severity, jail: None, text, problems: Vec::new(), details: Details::None {} }
    }

    /// A finding about one jail.
    pub fn of_jail(severity: Severity, jail: &JailName, text: impl fmt::Display) -> Finding {
        Finding { jail: Some(jail.clone()), ..Finding::new(severity, text) }
    }

    /// The same finding with these fields.
    pub fn with(self, details: Details) -> Finding {
        Finding { details, ..self }
    }

    /// The text, without the name of the jail.
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
    /// The name of the value: letters, digits, `.`, `_`, `-`.
    pub label: String,
    /// The measured value.
    pub value: u64,
    /// The unit: "s", "B", "%", or "" for a count.
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

/// The number of findings of each severity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Counts {
    /// The number of findings of [`Severity::Unknown`].
    pub unknown: usize,
    /// The number of findings of [`Severity::Critical`].
    pub critical: usize,
    /// The number of findings of [`Severity::Warning`].
    pub warning: usize,
    /// The number of findings of [`Severity::Ok`].
    pub ok: usize,
}

/// The result of a check: its findings and its performance data.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    findings: Vec<Finding>,
    measures: Vec<Measure>,
}

impl Report {
    /// Creates a report from findings, which it sorts worst first; equally severe findings keep their order.
    pub fn new(mut findings: Vec<Finding>) -> Report {
        findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
        Report { findings, measures: Vec::new() }
    }

    /// Adds performance data for graphs.
    pub fn with_measures(self, measures: Vec<Measure>) -> Report {
        Report { measures, ..self }
    }

    /// The findings in the order of their lines: worst first.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// The severity of the worst finding.
    pub fn severity(&self) -> Severity {
        self.findings.first().map_or(Severity::Ok, |finding| finding.severity)
    }

    /// Counts the findings by severity.
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
