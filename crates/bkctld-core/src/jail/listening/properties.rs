//! Properties of every table of sockets.

use super::*;

pub(crate) fn hold(bytes: &[u8]) {
    let table = String::from_utf8_lossy(bytes);
    let ports: Vec<Port> = ports_of(&table).collect();
    assert!(ports.len() < table.lines().count().max(1));
    for port in ports {
        let line = format!("head\n 0: 0100007F:{:04X} 00000000:0000 {LISTEN} 0:0 0:0 0 0 0 1\n", port.get());
        assert_eq!(ports_of(&line).collect::<Vec<_>>(), [port]);
    }
}
