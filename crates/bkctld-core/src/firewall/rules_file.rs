//! The rules file: shell lines that the administrator's minifirewall sources. Our lines end in `#J`; all
//! others stay unchanged.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::rules::{JailRules, Rules};
use crate::error::{IoContext, Result};
use crate::file;
use crate::jail::JailName;
use crate::program::MINIFIREWALL;

/// The lines of one jail.
pub(super) fn lines(rules: &JailRules) -> String {
    let JailRules { jail, port, addresses } = rules;
    let mut lines = String::new();
    for source in addresses.iter() {
        let program = if source.is_ipv6() { "/sbin/ip6tables" } else { "/sbin/iptables" };
        lines.push_str(&format!(
            "{program} -A INPUT -p tcp --sport 1024: --dport {port} -s {source} -j ACCEPT #{jail}\n"
        ));
    }
    lines
}

/// The text without the lines of these jails, and with the new ones at the end.
pub(super) fn edited(text: &[u8], forget: &[JailName], admit: &[JailRules]) -> Vec<u8> {
    let marks: Vec<String> = forget.iter().chain(admit.iter().map(|rules| &rules.jail)).map(mark).collect();
    let ours = |line: &[u8]| marks.iter().any(|mark| last_word(line) == Some(mark.as_bytes()));
    let mut out: Vec<u8> =
        text.split_inclusive(|byte| *byte == b'\n').filter(|line| !ours(line)).flatten().copied().collect();
    if !out.is_empty() && !out.ends_with(b"\n") {
        out.push(b'\n');
    }
    for rules in admit {
        out.extend_from_slice(lines(rules).as_bytes());
    }
    out
}

fn mark(jail: &JailName) -> String {
    format!("#{jail}")
}

/// The mark must be the whole last word: `#web` is not the end of `#old-web`.
fn last_word(line: &[u8]) -> Option<&[u8]> {
    line.trim_ascii_end().rsplit(|byte| byte.is_ascii_whitespace()).next()
}

/// The differences between the file and the intended rules, jail by jail.
pub(super) fn differences(text: &[u8], wanted: &Rules) -> Vec<String> {
    let mut found = Vec::new();
    for rules in wanted.iter() {
        let mark = mark(&rules.jail);
        let has: Vec<&[u8]> = text
            .split(|byte| *byte == b'\n')
            .filter(|line| last_word(line) == Some(mark.as_bytes()))
            .map(<[u8]>::trim_ascii_end)
            .collect();
        let lines = lines(rules);
        let should: Vec<&[u8]> = lines.lines().map(str::as_bytes).collect();
        if has != should {
            found.push(format!("the lines of jail '{}' do not match its port and addresses", rules.jail));
        }
    }
    for line in text.split(|byte| *byte == b'\n') {
        if let Some(jail) = written_for(line)
            && wanted.get(&jail).is_none()
        {
            found.push(format!("a line remains for jail '{jail}', which has no port here"));
        }
    }
    found
}

/// The jail for which the line was written, if it has our form: an administrator's comment may end in any
/// word.
fn written_for(line: &[u8]) -> Option<JailName> {
    let line = std::str::from_utf8(line).ok()?.trim_end();
    let (rule, jail) = line.rsplit_once(" -j ACCEPT #")?;
    (rule.contains("tables -A INPUT -p tcp --sport 1024: --dport ")).then(|| jail.parse().ok())?
}

/// Replaces the file and lets minifirewall, if installed, read it.
///
/// # Errors
/// If minifirewall does not restart, the file is restored.
pub(super) fn write(path: &Path, old: Option<&[u8]>, new: &[u8]) -> Result<()> {
    file::replace(path, mode(path), new)?;
    restart().inspect_err(|_| {
        // The first error is reported. The new lines may be its cause.
        let _ = put_back(path, old).and_then(|()| restart());
    })
}

/// Restores the file.
pub(super) fn put_back(path: &Path, old: Option<&[u8]>) -> Result<()> {
    match old {
        Some(old) => file::replace(path, mode(path), old),
        None => std::fs::remove_file(path).context("cannot remove", path),
    }
}

/// The mode of the file; a new one is readable for all.
fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).map_or(0o644, |meta| meta.permissions().mode() & 0o7777)
}

/// Lets minifirewall read its files again.
pub(super) fn restart() -> Result<()> {
    if !MINIFIREWALL.path().exists() {
        return Ok(());
    }
    MINIFIREWALL.check("restart", &MINIFIREWALL.output(MINIFIREWALL.command().arg("restart"))?)
}

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod properties;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jail::AllowedAddresses;

    fn rules(jail: &str, port: &str, addresses: &[&str]) -> JailRules {
        let addresses = addresses.iter().map(|address| address.parse().unwrap());
        JailRules {
            jail: jail.parse().unwrap(),
            port: port.parse().unwrap(),
            addresses: AllowedAddresses::new(addresses).unwrap(),
        }
    }

    #[test]
    fn only_the_lines_of_the_jail_change() {
        let theirs = "# by hand #web is a host\n/sbin/iptables -A INPUT -j DROP #old-web\nlast";
        let old =
            format!("/sbin/iptables -A INPUT -p tcp --dport 2300 -s 192.0.2.1 -j ACCEPT #web\n{theirs}");
        let web = rules("web", "2222", &["192.0.2.7", "198.51.100.0/24", "2001:db8::1"]);
        let new = edited(old.as_bytes(), &[], std::slice::from_ref(&web));
        let expected = format!(
            "{theirs}\n\
             /sbin/iptables -A INPUT -p tcp --sport 1024: --dport 2222 -s 192.0.2.7 -j ACCEPT #web\n\
             /sbin/iptables -A INPUT -p tcp --sport 1024: --dport 2222 -s 198.51.100.0/24 -j ACCEPT #web\n\
             /sbin/ip6tables -A INPUT -p tcp --sport 1024: --dport 2222 -s 2001:db8::1 -j ACCEPT #web\n"
        );
        assert_eq!(String::from_utf8(new.clone()).unwrap(), expected);
        assert_eq!(edited(&new, std::slice::from_ref(&web.jail), &[]), format!("{theirs}\n").into_bytes());
        let renamed = JailRules { jail: "www".parse().unwrap(), ..web.clone() };
        let new = edited(&new, std::slice::from_ref(&web.jail), &[renamed]);
        assert_eq!(String::from_utf8(new).unwrap(), expected.replace("#web\n", "#www\n"));
    }

    #[test]
    fn lines_that_are_missing_other_or_left_over_are_told() {
        let mut wanted = Rules::default();
        wanted.set(rules("web", "2222", &["192.0.2.7", "2001:db8::1"]));
        let good = lines(wanted.get(&"web".parse().unwrap()).unwrap());
        assert_eq!(differences(good.as_bytes(), &wanted), Vec::<String>::new());
        assert_eq!(
            differences(format!("iptables -P INPUT DROP #db\n{good}#web-2\n").as_bytes(), &wanted).len(),
            0
        );
        let stale = format!("{good}{}", lines(&rules("gone", "2300", &["192.0.2.7"])));
        let told = differences(stale.as_bytes(), &wanted);
        assert!(told.len() == 1 && told[0].contains("'gone'"), "{told:?}");
        for bad in ["", &good.replace("2222", "2223"), &good.replace("192.0.2.7", "192.0.2.8")] {
            let told = differences(bad.as_bytes(), &wanted);
            assert!(told.len() == 1 && told[0].contains("'web'"), "{bad}: {told:?}");
        }
    }
}
