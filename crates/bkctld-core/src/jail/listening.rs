//! The ports on which programs of this server listen, as the kernel lists its sockets: proc_pid_net(5).

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;

use super::Port;
use crate::error::{IoContext, Result};

/// `TCP_LISTEN` in the kernel's `tcp_states.h`.
const LISTEN: &str = "0A";

/// One table for each version of IP, of this thread, whose network may differ from that of the process.
const TABLES: [&str; 2] = ["/proc/thread-self/net/tcp", "/proc/thread-self/net/tcp6"];

/// The ports on which any program listens, on any address, because a jail listens on all addresses. Binding
/// each port as a trial was rejected: for that moment nobody else could use it.
///
/// # Errors
/// An existing table cannot be read.
pub fn listening_ports() -> Result<BTreeSet<Port>> {
    let mut ports = BTreeSet::new();
    for table in TABLES {
        match fs::read_to_string(table) {
            Ok(text) => ports.extend(ports_of(&text)),
            // The kernel does not support IPv6.
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error).context("cannot read", table),
        }
    }
    Ok(ports)
}

/// The ports of the listening sockets in such a table: number, local address and port in hexadecimal, the
/// peer's, state, and more.
fn ports_of(table: &str) -> impl Iterator<Item = Port> + '_ {
    table.lines().skip(1).filter_map(|line| {
        let mut columns = line.split_ascii_whitespace().skip(1);
        let (local, state) = (columns.next()?, columns.nth(1)?);
        let (_, port) = local.rsplit_once(':')?;
        if state == LISTEN { Port::new(u16::from_str_radix(port, 16).ok()?) } else { None }
    })
}

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod properties;

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn of_a_table_the_listening_sockets_count() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
                     \x20  0: 0100007F:08AE 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1\n\
                     \x20  1: 0100007F:08AF 0100007F:1234 01 00000000:00000000 00:00000000 00000000     0        0 2 1\n\
                     \x20  2: 00000000000000000000000001000000:08B0 00000000000000000000000000000000:0000 0A 0:0 0:0 0 0 0 3\n\
                     \x20  3: broken\n\n";
        let found: Vec<u16> = ports_of(table).map(Port::get).collect();
        assert_eq!(found, [2222, 2224]);
        assert_eq!(ports_of("").count(), 0);
    }

    #[test]
    fn a_listener_on_any_address_is_found() {
        for address in ["127.0.0.1:0", "0.0.0.0:0", "[::1]:0", "[::]:0"] {
            let Ok(listener) = TcpListener::bind(address) else { continue };
            let port = Port::new(listener.local_addr().unwrap().port()).unwrap();
            assert!(listening_ports().unwrap().contains(&port), "{address}");
        }
    }
}
