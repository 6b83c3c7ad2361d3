//! Checks whether the rules written for the firewall are in force.

use std::path::Path;

use super::{Parts, Severity};
use crate::config::{Firewall, Settings};
use crate::error::Result;
use crate::{file, firewall, text};

const CONFIG: &str = "/etc/default/minifirewall";
const SCRIPT: &str = "/etc/init.d/minifirewall";

/// The first version of minifirewall that reads every file in its directory by itself.
const INCLUDES_FILES: (u32, u32) = (22, 3);

pub(super) fn check(settings: &Settings, parts: &mut Parts) {
    if let Firewall::RulesFile(rules) = &settings.firewall {
        match sourced(rules) {
            Ok(Some((severity, text))) => parts.add("firewall", severity, text),
            Ok(None) => {}
            Err(error) => parts.unknown("firewall", error),
        }
    }
    match firewall::differences(settings) {
        Ok(differences) if differences.is_empty() => {
            if settings.firewall != Firewall::None {
                parts.add("firewall-rules", Severity::Ok, "the firewall's rules match the jails.");
            }
        }
        Ok(differences) => {
            let text = format!(
                "the firewall's rules do not match the jails ('bkctld firewall all' rewrites them): {}",
                differences.join("; ")
            );
            parts.add("firewall-rules", Severity::Warning, text);
        }
        Err(error) => parts.unknown("firewall-rules", error),
    }
}

/// Whether minifirewall reads the rules file; none without minifirewall.
fn sourced(rules: &Path) -> Result<Option<(Severity, String)>> {
    let Some(config) = file::read_if_there(Path::new(CONFIG))? else {
        return Ok(None);
    };
    let script = file::read_if_there(Path::new(SCRIPT))?.unwrap_or_default();
    let shown = text::path(rules);
    Ok(Some(match () {
        () if !rules.exists() => (
            Severity::Warning,
            format!("Firewall file '{shown}' does not exist ('bkctld firewall all' writes it)"),
        ),
        () if includes_files(&script) => (Severity::Ok, format!("Firewall file '{shown}' is present.")),
        () if sources(&config, rules) => {
            (Severity::Ok, format!("Firewall file '{shown}' is sourced by '{CONFIG}'."))
        }
        () => {
            (Severity::Warning, format!("Firewall file '{shown}' doesn't seem to be sourced by '{CONFIG}'"))
        }
    }))
}

/// Whether a line of the configuration is `. FILE` or `source FILE`.
fn sources(config: &[u8], rules: &Path) -> bool {
    let rules = rules.as_os_str().as_encoded_bytes();
    config.split(|byte| *byte == b'\n').any(|line| {
        let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
        let sources = matches!(words.next(), Some(b"." | b"source"));
        let file = words.next().unwrap_or_default();
        let quoted = |quote: &[u8]| file.strip_prefix(quote).and_then(|file| file.strip_suffix(quote));
        sources && [Some(file), quoted(b"\""), quoted(b"'")].contains(&Some(rules))
    })
}

/// Whether the version in the script's `VERSION=` reads the files by itself.
fn includes_files(script: &[u8]) -> bool {
    let version = script.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(b"VERSION="));
    let text = String::from_utf8_lossy(version.unwrap_or_default());
    let mut numbers = text.trim_matches(['\'', '"', ' ']).split(|c: char| !c.is_ascii_digit());
    let mut number = || numbers.next().and_then(|number| number.parse::<u32>().ok());
    (number(), number()) >= (Some(INCLUDES_FILES.0), Some(INCLUDES_FILES.1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_sourced_by_a_line_of_its_own() {
        let rules = Path::new("/etc/minifirewall.d/bkctld");
        for (config, expected) in [
            ("", false),
            (". /etc/minifirewall.d/bkctld\n", true),
            ("A=1\nsource\t/etc/minifirewall.d/bkctld # jails\n", true),
            ("  . \"/etc/minifirewall.d/bkctld\"", true),
            ("#. /etc/minifirewall.d/bkctld", false),
            (". /etc/minifirewall.d/bkctld.old", false),
            (". /etc/minifirewallXd/bkctld", false),
            ("cat /etc/minifirewall.d/bkctld", false),
        ] {
            assert_eq!(sources(config.as_bytes(), rules), expected, "{config}");
        }
    }

    #[test]
    fn newer_versions_read_the_files_by_themselves() {
        for (script, expected) in [
            ("", false),
            ("#!/bin/sh\nVERSION=\"22.03\"\n", true),
            ("VERSION='22.03.2'", true),
            ("VERSION=23.01", true),
            ("VERSION=22.02", false),
            ("VERSION=9.12", false),
            ("VERSION=", false),
            ("# VERSION=99.99", false),
        ] {
            assert_eq!(includes_files(script.as_bytes()), expected, "{script}");
        }
    }
}
