//! Connections without a login. Anybody who reaches the port can make many of them, so they are only counted,
//! and have their own log, in which they cannot displace the lines of real sessions.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::file;
use crate::jail::Jail;
use crate::lock::Lock;

/// Counts of a jail's connections without a login.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WithoutLogin {
    /// The end of the first counted connection.
    pub since: Timestamp,
    /// The number of connections that reached sshd and ended without a login.
    pub connections: u64,
    /// The number of connections that were refused earlier: an address that is not allowed, a limit, a
    /// penalty.
    pub refused: u64,
    /// The end of the last connection of either kind.
    pub last: Timestamp,
    /// The address of that last connection.
    pub last_source: IpAddr,
}

/// Reads the counts; none if there was no such connection.
pub fn without_login(jail: &Jail) -> Result<Option<WithoutLogin>> {
    read(&path(jail.state_dir()))
}

/// Counts connections that the listener has refused, the last of them from this address.
pub fn count_refused(jail: &Jail, number: u64, now: Timestamp, source: IpAddr) -> Result<()> {
    file::make_private_dir(jail.state_dir(), 0o700)?;
    add(jail.state_dir(), [0, number], now, source)
}

/// Counts a connection that reached sshd.
pub(super) fn count_connection(state_dir: &Path, now: Timestamp, source: IpAddr) -> Result<()> {
    add(state_dir, [1, 0], now, source)
}

fn add(state_dir: &Path, [connections, refused]: [u64; 2], now: Timestamp, source: IpAddr) -> Result<()> {
    let path = path(state_dir);
    // Each monitor is a separate process.
    let _lock = Lock::take_beside(&path.with_extension("lock"))?;
    let before = read(&path)?;
    let count = WithoutLogin {
        since: before.map_or(now, |before| before.since),
        connections: before.map_or(0, |before| before.connections).saturating_add(connections),
        refused: before.map_or(0, |before| before.refused).saturating_add(refused),
        last: now,
        last_source: source,
    };
    let text = serde_json::to_vec(&count)
        .map_err(|error| Error::internal("cannot write the count of connections").because(error))?;
    file::replace_with(&path, 0o600, &text, file::Sync::Later)
}

/// If a crash of the machine has damaged the file, counting starts again.
fn read(path: &Path) -> Result<Option<WithoutLogin>> {
    let text = file::read_if_there(path)?;
    Ok(text.and_then(|text| serde_json::from_slice(&text).ok()))
}

fn path(state_dir: &Path) -> PathBuf {
    state_dir.join("without-login.json")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Settings;

    /// The lock beside the count is not in `LOCKDIR`, which must be root's alone.
    #[test]
    fn connections_are_counted_where_a_group_may_write_to_the_state_too() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o775)).unwrap();
        let settings = Settings { data_dir: dir.path().into(), ..Settings::default() };
        let jail = Jail::new(&settings, "j".parse().unwrap());
        count_refused(&jail, 1, Timestamp::UNIX_EPOCH, "192.0.2.1".parse().unwrap()).unwrap();
        assert_eq!(without_login(&jail).unwrap().unwrap().refused, 1);
    }

    #[test]
    fn connections_are_counted_and_only_the_last_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let settings = Settings { data_dir: dir.path().into(), ..Settings::default() };
        let jail = Jail::new(&settings, "j".parse().unwrap());
        assert_eq!(without_login(&jail).unwrap(), None);
        let second = |second| Timestamp::from_second(second).unwrap();
        let [a, b]: [IpAddr; 2] = ["192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap()];
        count_refused(&jail, 7, second(1), a).unwrap();
        count_connection(jail.state_dir(), second(2), b).unwrap();
        count_connection(jail.state_dir(), second(3), b).unwrap();
        let expected =
            WithoutLogin { since: second(1), connections: 2, refused: 7, last: second(3), last_source: b };
        assert_eq!(without_login(&jail).unwrap(), Some(expected));
        std::fs::write(path(jail.state_dir()), "{").unwrap();
        assert_eq!(without_login(&jail).unwrap(), None);
        count_connection(jail.state_dir(), second(4), a).unwrap();
        assert_eq!(without_login(&jail).unwrap().unwrap().connections, 1);
    }
}
