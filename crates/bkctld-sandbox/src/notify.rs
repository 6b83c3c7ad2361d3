//! Reports the state of the listener: to systemd on its socket, to the caller on standard output, to the
//! journal on standard error.

use std::io::Write;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use bkctld_core::Jail;
use bkctld_core::session::LogWriter;
use jiff::Timestamp;
use jiff::civil::DateTime;

/// Sends a state such as `READY=1` to the manager that started us, if there is one.
pub(crate) fn systemd(state: &str) {
    let Some(path) = std::env::var_os("NOTIFY_SOCKET") else { return };
    let send = || -> std::io::Result<()> {
        let bytes = path.as_encoded_bytes();
        let address = match bytes.strip_prefix(b"@") {
            Some(name) => SocketAddr::from_abstract_name(name)?,
            None => SocketAddr::from_pathname(&path)?,
        };
        UnixDatagram::unbound()?.send_to_addr(state.as_bytes(), &address)?;
        Ok(())
    };
    // A manager that cannot be reached will report that the start timed out.
    let _ = send();
}

/// Tells the manager that a reload begins; it wants to know when, by its own clock.
pub(crate) fn reloading() {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let microseconds = now.tv_sec * 1_000_000 + now.tv_nsec / 1000;
    systemd(&format!("RELOADING=1\nMONOTONIC_USEC={microseconds}"));
}

/// The time for syslog. By libc, as the time zones of jiff would be two fifths of an idle listener's
/// memory.
pub(crate) fn local_time() -> DateTime {
    bkctld_sys::clock::local_time(Timestamp::now().as_second())
        .ok()
        .and_then(|now| DateTime::new(now.year, now.month, now.day, now.hour, now.minute, now.second, 0).ok())
        .unwrap_or_default()
}

/// A line to standard error. A journal that is gone must not end a session.
pub(crate) fn to_stderr(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// A line about the listener, in the jail's own log.
pub(crate) fn say(jail: &Jail, text: &str) {
    // If the log cannot be written, nobody can be informed.
    let _ = LogWriter::new(jail, "listener").append(Timestamp::now(), text.as_bytes());
}

/// A line about connections that got no session, likewise.
pub(crate) fn say_without_login(jail: &Jail, text: &str) {
    let _ = LogWriter::without_login(jail, "listener").append(Timestamp::now(), text.as_bytes());
}
