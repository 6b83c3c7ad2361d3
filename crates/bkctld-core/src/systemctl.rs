//! Asking systemd about its units, and telling it what to do with them.

use std::path::Path;
use std::process::Output;

use crate::error::Result;
use crate::program::SYSTEMCTL;
use crate::text;

/// Whether systemd is this server's init: sd_booted(3).
pub fn is_init() -> bool {
    Path::new("/run/systemd/system").is_dir()
}

/// Runs `systemctl` with these arguments, whatever its exit status.
pub fn output<const N: usize>(arguments: [&str; N]) -> Result<Output> {
    SYSTEMCTL.output(SYSTEMCTL.command().args(arguments))
}

/// Runs `systemctl` with these arguments, the first of which is the command.
///
/// # Errors
/// What it says where it does not succeed.
pub fn run<const N: usize>(arguments: [&str; N]) -> Result<()> {
    check(arguments.first().copied().unwrap_or_default(), &output(arguments)?)
}

/// Makes a failure of `systemctl COMMAND` an error.
pub fn check(command: &str, output: &Output) -> Result<()> {
    SYSTEMCTL.check(command, output)
}

/// What a unit is up to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It runs, or is about to ("activating" is also one that is restarted).
    Up,
    /// On its way down: it serves nobody any more, but may be so for minutes.
    Ending,
    /// Stopped, failed, or unknown to systemd.
    Down,
}

/// What the unit is up to.
pub fn state(unit: &str) -> Result<State> {
    // An inactive unit's state goes with exit status 3.
    Ok(match output(["is-active", unit])?.stdout.trim_ascii() {
        b"active" | b"activating" | b"reloading" => State::Up,
        b"deactivating" => State::Ending,
        _ => State::Down,
    })
}

/// A property of the unit, fit for a terminal; empty where it has none.
pub fn property(unit: &str, name: &str) -> Result<String> {
    let output = output(["show", "--property", name, "--value", unit])?;
    Ok(text::printable(output.stdout.trim_ascii()).into_owned())
}
