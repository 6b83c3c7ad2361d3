//! How sshd is started in a sandbox.

use std::ffi::OsString;
use std::path::Path;

use bkctld_core::jail::AllowedAddresses;

/// Where it lies in the root that sessions see.
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
pub(crate) fn arguments(
    sshd_config: &Path,
    allowed: &AllowedAddresses,
    log_level: Option<&str>,
) -> Vec<OsString> {
    let mut args: Vec<OsString> = vec!["-i".into(), "-e".into(), "-f".into(), sshd_config.into()];
    let mut option = |text: &str| args.extend(["-o".into(), text.into()]);
    ENFORCED.iter().for_each(|text| option(text));
    option(&format!("LogLevel={}", at_least_info(log_level)));
    if allowed.is_everyone() {
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

#[cfg(test)]
mod tests {
    use super::*;

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
            let allowed = AllowedAddresses::new(nets.iter().map(|net| net.parse().unwrap())).unwrap();
            arguments(Path::new("/c"), &allowed, None).contains(&"AllowUsers=root@::/0".into())
        };
        assert!(has(&["192.0.2.0/24", "0.0.0.0/0"]));
        assert!(!has(&["192.0.2.0/24", "10.0.0.0/8"]));
        assert!(!has(&["::/0"]));
    }
}
