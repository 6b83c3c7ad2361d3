//! Checks whether other users of the server can enter the directories of jails and incs.

use super::{Details, Finding, Parts, Severity};
use crate::config::Settings;
use crate::{jail, text};

/// The maximum number of directories to name on a line; JSON names all of them.
const NAMED: usize = 5;

pub(super) fn check(settings: &Settings, parts: &mut Parts) {
    let open = match jail::open_to_others(settings) {
        Ok(open) if open.is_empty() => return,
        Ok(open) => open,
        Err(error) => return parts.unknown("open-to-others", error),
    };
    let open: Vec<String> = open.iter().map(|dir| text::path(dir).to_string()).collect();
    let mut named = open[..open.len().min(NAMED)].join(", ");
    if open.len() > NAMED {
        named.push_str(&format!(" and {} more", open.len() - NAMED));
    }
    let text = format!(
        "other users of this server can enter directories of jails, where a client's set-uid program would make them root (the next 'bkctld inc' closes those of jails, 'chmod 700' the rest): {named}"
    );
    let details = Details::Setup { check: "open-to-others", jails: Vec::new(), directories: open };
    let finding = Finding::new(Severity::Warning, text).with(details);
    parts.findings.push(finding);
}
