//! The administrator's firewall: a file of shell lines that minifirewall sources. Ours are those
//! that end in `#J`; all others stay as they are.

use std::path::Path;
use std::process::Command;

use crate::config::Settings;
use crate::error::{Error, IoContext, Result};
use crate::file;
use crate::jail::{AllowedAddresses, JailName, Port};
use crate::lock::Lock;

const MINIFIREWALL: &str = "/etc/init.d/minifirewall";

/// Puts the jail's rules into the rules file and has the firewall read it; nothing where no rules
/// file is configured.
pub fn write_rules(
    settings: &Settings,
    jail: &JailName,
    port: Port,
    allowed: &AllowedAddresses,
) -> Result<()> {
    change(settings, |text| with_rules(text, jail, Some((port, allowed))))
}

/// Takes the jail's rules out of the rules file.
pub fn remove_rules(settings: &Settings, jail: &JailName) -> Result<()> {
    change(settings, |text| with_rules(text, jail, None))
}

fn change(settings: &Settings, edit: impl FnOnce(&[u8]) -> Vec<u8>) -> Result<()> {
    let Some(path) = &settings.firewall_rules else {
        return Ok(());
    };
    let _lock = Lock::take(&settings.lock_dir.join("firewall.rules"), || ())?;
    let old = file::read_if_there(path)?.unwrap_or_default();
    let new = edit(&old);
    if new == old {
        return Ok(());
    }
    file::replace(path, 0o644, &new)?;
    if Path::new(MINIFIREWALL).exists() {
        let output =
            Command::new(MINIFIREWALL).arg("restart").output().context("cannot run", MINIFIREWALL)?;
        if !output.status.success() {
            return Err(Error::Program {
                program: format!("{MINIFIREWALL} restart"),
                reason: crate::text::printable(output.stderr.trim_ascii()).into_owned(),
            });
        }
    }
    Ok(())
}

/// The text with the jail's old lines gone and its new ones at the end.
fn with_rules(text: &[u8], jail: &JailName, rules: Option<(Port, &AllowedAddresses)>) -> Vec<u8> {
    let mark = format!("#{jail}");
    let mut out: Vec<u8> = text
        .split_inclusive(|byte| *byte == b'\n')
        .filter(|line| !is_ours(line, mark.as_bytes()))
        .flatten()
        .copied()
        .collect();
    if !out.is_empty() && !out.ends_with(b"\n") {
        out.push(b'\n');
    }
    let Some((port, allowed)) = rules else {
        return out;
    };
    for source in allowed.iter() {
        let program = if source.is_ipv6() { "/sbin/ip6tables" } else { "/sbin/iptables" };
        let rule =
            format!("{program} -A INPUT -p tcp --sport 1024: --dport {port} -s {source} -j ACCEPT {mark}\n");
        out.extend_from_slice(rule.as_bytes());
    }
    out
}

/// The mark must be the whole last word: `#web` is not the end of `#old-web`.
fn is_ours(line: &[u8], mark: &[u8]) -> bool {
    line.trim_ascii_end().rsplit(|byte| byte.is_ascii_whitespace()).next() == Some(mark)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_lines_of_the_jail_change() {
        let jail: JailName = "web".parse().unwrap();
        let theirs = "# by hand #web is a host\n/sbin/iptables -A INPUT -j DROP #old-web\nlast";
        let old =
            format!("/sbin/iptables -A INPUT -p tcp --dport 2300 -s 192.0.2.1 -j ACCEPT #web\n{theirs}");
        let allowed = ["192.0.2.7", "198.51.100.0/24", "2001:db8::1"].map(|address| address.parse().unwrap());
        let allowed = AllowedAddresses::new(allowed).unwrap();
        let new = with_rules(old.as_bytes(), &jail, Some(("2222".parse().unwrap(), &allowed)));
        let expected = format!(
            "{theirs}\n\
             /sbin/iptables -A INPUT -p tcp --sport 1024: --dport 2222 -s 192.0.2.7 -j ACCEPT #web\n\
             /sbin/iptables -A INPUT -p tcp --sport 1024: --dport 2222 -s 198.51.100.0/24 -j ACCEPT #web\n\
             /sbin/ip6tables -A INPUT -p tcp --sport 1024: --dport 2222 -s 2001:db8::1 -j ACCEPT #web\n"
        );
        assert_eq!(String::from_utf8(new.clone()).unwrap(), expected);
        assert_eq!(with_rules(&new, &jail, None), format!("{theirs}\n").into_bytes());
    }
}
