//! Properties of every check policy.

use super::*;
use crate::fuzzing::assert_shown;

pub(crate) fn hold(bytes: &[u8]) {
    let path = Path::new("/etc/evobackup/web.d/check_policy");
    let policy = CheckPolicy::parse(path, bytes);
    assert!(policy.bad_lines.len() <= TOLD);
    policy.bad_lines.iter().for_each(assert_shown);
    let mut text = String::new();
    for (name, hours) in [("WARNING", policy.warning), ("CRITICAL", policy.critical)] {
        text.extend(hours.map(|hours| format!("{name}={hours}\n")));
    }
    text.push_str(if policy.expected_state == ExpectedState::On {
        "EXPECTED_STATE=ON"
    } else {
        "EXPECTED_STATE=OFF"
    });
    let again = CheckPolicy::parse(path, text.as_bytes());
    assert!(again.bad_lines.is_empty(), "{text}");
    assert_eq!(
        (again.warning, again.critical, again.expected_state),
        (policy.warning, policy.critical, policy.expected_state)
    );
}
