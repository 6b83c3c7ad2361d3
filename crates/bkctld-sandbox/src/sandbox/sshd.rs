//! sshd: its arguments and its log.

use std::ffi::OsString;
use std::path::Path;

use ipnet::IpNet;

/// Inside of the jail.
pub(crate) const PROGRAM: &str = "/usr/sbin/sshd";

/// Options that no `sshd_config` of a jail can turn off: sshd uses the first value that it finds, and these
/// come before the file.
const ENFORCED: &[&str] = &[
    "DisableForwarding=yes",
    "AllowTcpForwarding=no",
    "AllowStreamLocalForwarding=no",
    "AllowAgentForwarding=no",
    "X11Forwarding=no",
    "GatewayPorts=no",
    "PermitTunnel=no",
    "PermitUserEnvironment=no",
    // PAM would ask for the server's modules, DNS for a network.
    "UsePAM=no",
    "UseDNS=no",
    "PidFile=none",
];

/// Arguments of sshd for one connection.
pub(crate) fn args(sshd_config: &Path, allowed: &[IpNet], log_level: Option<&str>) -> Vec<OsString> {
    let mut args: Vec<OsString> = vec!["-i".into(), "-e".into(), "-f".into(), sshd_config.into()];
    let mut option = |text: &str| args.extend(["-o".into(), text.into()]);
    ENFORCED.iter().for_each(|text| option(text));
    option(&format!("LogLevel={}", at_least_info(log_level)));
    if everyone(allowed) {
        // `0.0.0.0/0` means everyone to the administrator, to sshd only those with IPv4. AllowUsers
        // is a list to which every mention adds, so this takes nothing away.
        option("AllowUsers=root@::/0");
    }
    args
}

/// The record of a session needs the line of its login, which sshd writes at INFO; an administrator
/// who looks for a fault may ask for more.
fn at_least_info(wanted: Option<&str>) -> &'static str {
    const MORE: [&str; 5] = ["VERBOSE", "DEBUG", "DEBUG1", "DEBUG2", "DEBUG3"];
    let known = |level: &&&str| wanted.is_some_and(|wanted| wanted.eq_ignore_ascii_case(level));
    MORE.iter().find(known).copied().unwrap_or("INFO")
}

/// Whether the list lets everyone in.
pub(crate) fn everyone(allowed: &[IpNet]) -> bool {
    allowed.iter().any(|net| net.prefix_len() == 0 && matches!(net, IpNet::V4(_)))
}

/// A successful login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Login {
    /// The SHA-256 fingerprint of the key.
    pub(crate) key: Option<String>,
}

/// Reads `Accepted publickey for root from 192.0.2.1 port 4 ssh2: ED25519 SHA256:…`.
///
/// Only the first such line of a session can be trusted: sshd writes it before it starts any program of the
/// client, and no text of a client begins a line of sshd.
pub(crate) fn login(line: &[u8]) -> Option<Login> {
    let line = std::str::from_utf8(line).ok()?;
    let rest = line.strip_prefix("Accepted ")?;
    let key =
        rest.split(' ').find(|word| word.strip_prefix("SHA256:").is_some_and(is_hash)).map(str::to_owned);
    Some(Login { key })
}

/// Base64 of 32 bytes, without padding: a record keeps it, and it is shown as it is.
fn is_hash(text: &str) -> bool {
    text.len() == 43 && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/".contains(&byte))
}

/// Splits data from a pipe into lines, keeping at most one of bounded length.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    line: Vec<u8>,
}

const LINE_LIMIT: usize = 1024;

impl Lines {
    /// Adds bytes, and returns each line that they complete, without its end.
    pub(crate) fn take(&mut self, bytes: &[u8], mut each: impl FnMut(&[u8])) {
        for &byte in bytes {
            if byte == b'\n' {
                each(self.line.strip_suffix(b"\r").unwrap_or(&self.line));
                self.line.clear();
            } else if self.line.len() < LINE_LIMIT {
                self.line.push(byte);
            }
        }
    }

    /// The unfinished line at the end.
    pub(crate) fn rest(&mut self, each: impl FnOnce(&[u8])) {
        if !self.line.is_empty() {
            each(&self.line);
            self.line.clear();
        }
    }
}

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod properties;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_line_that_begins_so_is_a_login() {
        let hash = "SHA256:".to_owned() + &"x".repeat(43);
        let line = format!("Accepted publickey for root from ::1 port 5 ssh2: ED25519 {hash}");
        assert_eq!(login(line.as_bytes()), Some(Login { key: Some(hash) }));
        assert_eq!(login(b"Accepted password for root from ::1 port 5 ssh2"), Some(Login { key: None }));
        let fake = format!("Invalid user {line} from ::1 port 5");
        assert_eq!(login(fake.as_bytes()), None);
        assert_eq!(login(b"Accepted \xff"), None);
        let other = format!("Accepted publickey for root ssh2: ED25519 SHA256:\x1b[2J{}", "x".repeat(39));
        assert_eq!(login(other.as_bytes()), Some(Login { key: None }));
    }

    #[test]
    fn lines_are_whole_bounded_and_without_their_end() {
        let mut lines = Lines::default();
        let mut seen = Vec::new();
        let mut each = |line: &[u8]| seen.push(line.to_vec());
        lines.take(b"one\r\ntw", &mut each);
        lines.take(b"o\n", &mut each);
        lines.take(&[b'x'; 5000], &mut each);
        lines.rest(&mut each);
        lines.rest(&mut each);
        assert_eq!(seen, [b"one".to_vec(), b"two".to_vec(), vec![b'x'; LINE_LIMIT]]);
    }

    #[test]
    fn the_log_says_what_the_record_needs_or_more() {
        assert_eq!(at_least_info(None), "INFO");
        assert_eq!(at_least_info(Some("QUIET")), "INFO");
        assert_eq!(at_least_info(Some("verbose")), "VERBOSE");
        assert_eq!(at_least_info(Some("DEBUG3")), "DEBUG3");
    }

    #[test]
    fn ipv6_is_open_only_when_everyone_is_let_in() {
        let has = |nets: &[&str]| {
            let nets: Vec<IpNet> = nets.iter().map(|net| net.parse().unwrap()).collect();
            args(Path::new("/c"), &nets, None).contains(&"AllowUsers=root@::/0".into())
        };
        assert!(has(&["192.0.2.0/24", "0.0.0.0/0"]));
        assert!(!has(&["192.0.2.0/24", "10.0.0.0/8"]));
        assert!(!has(&["::/0"]));
    }
}
