//! Checks each jail's service: is it in the expected state, with the configuration and the isolation that the
//! administrator has set?

use super::{Details, Finding, Parts, Severity};
use crate::check::{CheckPolicy, ExpectedState};
use crate::config::{Isolation, Settings};
use crate::jail::{Jail, JailName, SessionPolicy, SshdConfig, running_without_data};
use crate::service::{self, ListenerState, ServedBy};

/// The maximum number of jails to name on a line; JSON names all of them.
const NAMED: usize = 20;

pub(super) fn check(settings: &Settings, jails: &[Jail], parts: &mut Parts) {
    let mut off = Vec::new();
    for jail in jails {
        let expected = expected_state(jail, parts);
        match service::served_by(jail) {
            Ok(Some(ServedBy::Bkctld)) => {}
            Ok(Some(ServedBy::Nspawn | ServedBy::Chroot)) => {
                let text = "is still served by the original, without a sandbox for each session";
                parts.add_of_jail("isolation", Severity::Ok, jail, text);
            }
            Ok(None) if expected == ExpectedState::Off => {}
            Ok(None) => off.push(jail.name().clone()),
            Err(error) => parts.add_of_jail("state", Severity::Unknown, jail, error),
        }
        isolation(settings, jail, parts);
        other_ports(jail, parts);
        listener(jail, parts);
    }
    if off.is_empty() {
        return parts.add("state", Severity::Ok, "all jails are in their expected state.");
    }
    let more = off.len().saturating_sub(NAMED);
    let mut text = format!("{} jail(s) shouldn't be OFF: {}", off.len(), join(&off[..off.len() - more]));
    if more > 0 {
        text.push_str(&format!(" and {more} more"));
    }
    let finding = Finding::new(Severity::Critical, text).with(Details::Setup {
        check: "state",
        jails: off,
        directories: Vec::new(),
    });
    parts.findings.push(finding);
}

fn join(names: &[JailName]) -> String {
    names.iter().map(JailName::as_str).collect::<Vec<_>>().join(", ")
}

/// Finds jails that run without a directory in `JAILDIR`: the backup partition is missing, and their clients
/// push into nothing, or prevent it from being unmounted.
pub(super) fn without_data(settings: &Settings, listed: &[JailName], parts: &mut Parts) {
    // Another check reports locks that cannot be trusted.
    let running = running_without_data(settings, listed).unwrap_or_default();
    if !running.is_empty() {
        let text = format!("{} jail(s) are on without their data: {}", running.len(), join(&running));
        let details = Details::Setup { check: "without-data", jails: running, directories: Vec::new() };
        let finding = Finding::new(Severity::Critical, text).with(details);
        parts.findings.push(finding);
    }
}

/// A policy that cannot be read excuses nothing.
fn expected_state(jail: &Jail, parts: &mut Parts) -> ExpectedState {
    match CheckPolicy::read(jail) {
        Ok(policy) => {
            for line in &policy.bad_lines {
                parts.add_of_jail("check-policy", Severity::Warning, jail, line);
            }
            policy.expected_state
        }
        Err(error) => {
            parts.add_of_jail("check-policy", Severity::Warning, jail, error);
            ExpectedState::On
        }
    }
}

fn isolation(settings: &Settings, jail: &Jail, parts: &mut Parts) {
    match SessionPolicy::read(jail, settings) {
        Ok(policy) if policy.isolation == Isolation::Compat => {
            let text = "runs with ISOLATION=compat: root in a session is the server's root, without a user namespace";
            parts.add_of_jail("isolation", Severity::Ok, jail, text);
        }
        Ok(_) => {}
        Err(error) => parts.add_of_jail("session-policy", Severity::Warning, jail, error),
    }
}

/// Findings about ports in `ListenAddress` lines that have no effect. In a jail of the first format they have.
fn other_ports(jail: &Jail, parts: &mut Parts) {
    if jail.has_old_layout() {
        return;
    }
    // A file that cannot be read is reported elsewhere: its jail is off, or its last reload has failed.
    for listen in SshdConfig::read(jail).and_then(|config| config.other_ports()).unwrap_or_default() {
        let text = format!(
            "ListenAddress {listen} in its sshd_config has no effect: the jail listens on its one port, that of Port"
        );
        parts.add_of_jail("listen-address", Severity::Warning, jail, text);
    }
}

/// Findings about the jail's listener, if it runs.
fn listener(jail: &Jail, parts: &mut Parts) {
    let listening = jail.is_listening();
    let state = match listening.and_then(|on| if on { ListenerState::read(jail) } else { Ok(None) }) {
        Ok(Some(state)) => state,
        Ok(None) => return,
        Err(error) => return parts.add_of_jail("reload", Severity::Unknown, jail, error),
    };
    if let Some(why) = state.error {
        let text = format!("still uses its old configuration, because the last reload failed: {why}");
        parts.add_of_jail("reload", Severity::Warning, jail, text);
    }
    if let Some(why) = state.unbounded {
        let text = format!("nothing limits the memory that its sessions use: {why}");
        parts.add_of_jail("memory", Severity::Ok, jail, text);
    }
}
