//! Has the listener of a jail read its configuration again, whoever started it.

use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Signal, pidfd_send_signal};

use super::holder;
use super::state::ListenerState;
use crate::error::{Error, Result};
use crate::jail::Jail;

const PATIENCE: Duration = Duration::from_secs(15);
/// How long between two looks whether the listener has answered.
const STEP: Duration = Duration::from_millis(5);

/// Signals the listener, and waits until it has read its configuration.
///
/// # Errors
/// Why the listener could not change to it; it goes on with the old one then.
pub(super) fn reload(jail: &Jail) -> Result<()> {
    let before = ListenerState::read(jail)?.map_or(0, |state| state.generation);
    let Some(listener) = holder::find(&jail.listener_lock())? else {
        return Err(Error::service("the jail is off, so there is nothing to reload").in_jail(jail.name()));
    };
    let _ = pidfd_send_signal(&listener, Signal::HUP);
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        // Before the state is read, so that what a listener wrote before it went is seen.
        let alive = jail.is_listening()?;
        match ListenerState::read(jail)? {
            Some(ListenerState { generation, error, .. }) if generation > before => {
                return match error {
                    None => Ok(()),
                    Some(why) => Err(Error::service(why)),
                };
            }
            _ if !alive => {
                return Err(Error::service("the listener died while it was reloading"));
            }
            _ => sleep(STEP),
        }
    }
    Err(Error::service("the listener did not answer the reload in time"))
}
