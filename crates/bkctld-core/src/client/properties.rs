//! What holds of every file of a host key.

use super::*;
use crate::fuzzing::{assert_shown, put, with_jail};

pub(crate) fn hold(bytes: &[u8]) {
    let config = SshdConfig::parse(std::path::Path::new("/sshd_config"), b"HostKey /etc/ssh/key\n");
    with_jail(|jail, _| {
        let dir = jail.rootfs().join("etc/ssh");
        put(&dir.join("key"), bytes);
        put(&dir.join("key.pub"), bytes);
        match host_keys(jail, &config) {
            Err(error) => assert_shown(error),
            Ok(keys) => {
                for key in keys {
                    // A line of known_hosts, within a here-document of the script.
                    assert_shown(&key);
                    assert_eq!(key.split(' ').count(), 2, "{key}");
                    let again = PublicKey::from_openssh(&key).ok().and_then(|key| key.to_openssh().ok());
                    assert_eq!(again, Some(key));
                }
            }
        }
    });
}
