//! Properties of every `sshd_config`.

use super::*;
use crate::fuzzing::assert_shown;

pub(crate) fn hold(bytes: &[u8]) {
    let config = SshdConfig::parse(Path::new("/backup/jails/web/rootfs/etc/ssh/sshd_config"), bytes);
    assert_eq!(config.content(), bytes);
    shown(config.port(), assert_shown);
    shown(config.log_level(), |level| level.iter().for_each(assert_shown));
    shown(config.host_key_files(), |files| files.iter().for_each(assert_shown));
    shown(config.host_keys(), |kinds| assert!(kinds.len() <= HOST_KEYS.len()));
    shown(config.allowed_addresses(), assert_shown);
    shown(config.listen_addresses(), |_| {});
    shown(config.other_ports(), |_| {});
    a_port_that_is_set_is_read(&config);
    addresses_that_are_set_are_read(&config);
}

fn shown<T>(read: Result<T>, each: impl FnOnce(T)) {
    match read {
        Ok(value) => each(value),
        Err(error) => assert_shown(error),
    }
}

fn a_port_that_is_set_is_read(config: &SshdConfig) {
    let mut after = config.clone();
    let port = Port::FIRST;
    if after.set_port(port).is_err() {
        return assert!(config.port().is_err());
    }
    assert_eq!(after.port().ok(), Some(port));
    let added = after.lines.len() - config.lines.len();
    let same = after.lines[added..].iter().zip(&config.lines).filter(|(a, b)| a == b).count();
    assert!(same + 1 >= config.lines.len() + added, "more than a line was changed");
    assert_eq!(after.allowed_addresses().ok(), config.allowed_addresses().ok());
}

fn addresses_that_are_set_are_read(config: &SshdConfig) {
    let mut after = config.clone();
    let addresses = ["192.0.2.7", "2001:db8::/32"].map(|address| address.parse().ok());
    let Some(addresses) = AllowedAddresses::new(addresses.into_iter().flatten()) else { return };
    if after.set_allowed_addresses(&addresses).is_err() {
        return assert!(config.allowed_addresses().is_err());
    }
    assert_eq!(after.allowed_addresses().ok(), Some(addresses));
    assert_eq!(others(&after), others(config));
    assert_eq!(after.port().ok(), config.port().ok());
}

/// All lines except `AllowUsers`, and the users other than root in those.
fn others(config: &SshdConfig) -> (Vec<&[u8]>, Vec<Vec<u8>>) {
    let directives = config.named("allowusers").unwrap_or_default();
    let mut ours = directives.iter().map(|directive| directive.line).peekable();
    let lines = config.lines.iter().enumerate().filter(|(at, _)| ours.next_if_eq(at).is_none());
    let users = directives.iter().flat_map(|directive| &directive.arguments).map(|user| user.value.clone());
    (
        lines.map(|(_, line)| line.as_slice()).collect(),
        users.filter(|user| root_host(user).is_none()).collect(),
    )
}
