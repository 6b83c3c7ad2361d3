//! Reads a plugin's output as Nagios and Icinga do (the guidelines of the Monitoring Plugins project).

use super::run::Ran;

/// What a monitoring system makes of it.
#[derive(Debug)]
pub struct Plugin {
    /// The word before the first ` - `.
    pub status: String,
    /// The first line without performance data.
    pub text: String,
    /// The lines after it.
    pub long: Vec<String>,
    /// Each item's label and what follows its `=`.
    pub perfdata: Vec<(String, String)>,
}

impl Plugin {
    /// Takes the output apart; fails where a parser would stumble.
    #[track_caller]
    pub fn parse(ran: &Ran) -> Plugin {
        let out = String::from_utf8(ran.stdout.clone()).unwrap_or_else(|_| panic!("{}", ran.told()));
        assert!(!out.chars().any(|c| c.is_control() && c != '\n'), "control characters: {}", ran.told());
        let mut lines = out.lines();
        let first = lines.next().unwrap_or_else(|| panic!("no output: {}", ran.told()));
        let (text, data) = first.split_once('|').unwrap_or((first, ""));
        let (status, _) = text.split_once(" - ").unwrap_or_else(|| panic!("no status: {}", ran.told()));
        let code = ["OK", "WARNING", "CRITICAL", "UNKNOWN"].iter().position(|word| *word == status);
        assert_eq!(code, Some(ran.code as usize), "status and exit code differ: {}", ran.told());
        let long: Vec<String> = lines.map(str::to_owned).collect();
        assert!(!long.iter().any(|line| line.contains('|')), "performance data by mistake: {}", ran.told());
        assert_eq!(long.first().map(String::as_str), Some(""), "no blank line: {}", ran.told());
        Plugin { status: status.into(), text: text.trim_end().into(), long, perfdata: perfdata(data) }
    }

    /// The numbers of one item: value, warning, critical, least; those that are there.
    #[track_caller]
    pub fn values(&self, label: &str) -> Vec<u64> {
        let item = self.perfdata.iter().find(|(found, _)| found == label);
        let (_, values) = item.unwrap_or_else(|| panic!("no '{label}' in {:?}", self.perfdata));
        let number = |value: &str| value.trim_end_matches(['s', 'B', '%']).parse().ok();
        values.split(';').filter_map(number).collect()
    }
}

/// `'label'=value[UOM];warn;crit;min;max`, separated by blanks.
fn perfdata(text: &str) -> Vec<(String, String)> {
    let mut items = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let body = rest.strip_prefix('\'').unwrap_or_else(|| panic!("no quoted label: {rest}"));
        let (label, after) = body.split_once("'=").unwrap_or_else(|| panic!("no end of the label: {rest}"));
        assert!(!label.contains(['=', '\'']), "{label}");
        let (value, more) = after.split_once(' ').unwrap_or((after, ""));
        let parts: Vec<&str> = value.split(';').collect();
        assert!(parts.len() <= 5, "{value}");
        let digits = parts[0].trim_end_matches(['s', 'B', '%']);
        assert!(digits.parse::<u64>().is_ok(), "{value}");
        assert!(parts[1..].iter().all(|part| part.is_empty() || part.parse::<u64>().is_ok()), "{value}");
        items.push((label.to_owned(), value.to_owned()));
        rest = more.trim_start();
    }
    items
}
