//! Properties of every session policy.

use super::*;
use crate::fuzzing::assert_shown;

pub(crate) fn hold(bytes: &[u8]) {
    let path = Path::new("/etc/evobackup/web.d/session_policy");
    let parse = |bytes: &[u8]| SessionPolicy::parse(path, bytes, SessionLimits::default());
    let policy = match parse(bytes) {
        Ok(policy) => policy,
        Err(error) => return assert_shown(error),
    };
    assert!(policy.limits.per_source <= policy.limits.per_jail);
    let isolation = if policy.isolation == Isolation::Full { "full" } else { "compat" };
    let SessionLimits { per_jail, per_source, max_penalty, penalty_exempt } = &policy.limits;
    let exempt: Vec<String> = penalty_exempt.iter().map(ToString::to_string).collect();
    let text = format!(
        "ISOLATION={isolation}\nMAX_SESSIONS={per_jail}\nMAX_SESSIONS_PER_SOURCE={per_source}\n\
         MAX_PENALTY={max_penalty}\nPENALTY_EXEMPT='{}'\n",
        exempt.join(" ")
    );
    assert_eq!(parse(text.as_bytes()).ok(), Some(policy));
}
