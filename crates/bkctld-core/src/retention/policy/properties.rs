//! Properties of every incs policy.

use super::*;
use crate::fuzzing::assert_shown;

pub(crate) fn hold(bytes: &[u8]) {
    let path = Path::new("/etc/evobackup/web.d/incs_policy");
    let lines = rule_lines(bytes).count();
    if let Retention::Counted { days, months } = Retention::count(bytes) {
        assert!(days <= lines && months <= lines);
    }
    match Policy::parse(path, bytes) {
        PolicyFile::Missing => assert!(lines == 0, "a policy of {lines} rules is missing"),
        PolicyFile::Empty { .. } => assert_eq!(lines, 0),
        PolicyFile::Bad(errors) => {
            assert!((1..=lines).contains(&errors.len()));
            errors.iter().for_each(assert_shown);
        }
        PolicyFile::Rules(policy) => {
            assert_eq!(policy.rules().len(), lines);
            policy.rules().iter().for_each(of_rule);
        }
    }
}

fn of_rule(rule: &Rule) {
    assert_shown(rule.text());
    assert_eq!(Rule::parse(rule.line(), rule.text()).as_ref(), Ok(rule));
    for today in [(1, 1, 1), (1970, 1, 1), (2024, 2, 29), (2026, 3, 31), (9999, 12, 31)] {
        let today = jiff::civil::date(today.0, today.1, today.2);
        if let (Some(kept), Some(from)) = (rule.date(today), rule.pattern.on(today)) {
            // One month back can run over into the following month, but never beyond the starting day.
            assert!(kept <= from && kept.year() >= 1, "{rule} keeps {kept} on {today}");
        }
    }
}
