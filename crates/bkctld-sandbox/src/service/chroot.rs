//! Ending what the original runs of a jail of the first format: an sshd in a chroot.

use bkctld_core::Jail;
use bkctld_core::error::{IoContext, Result};
use bkctld_core::original::chroot::{self, Mount};
use rustix::mount::{UnmountFlags, unmount};
use rustix::process::{PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::control;

/// Ends the jail's sshd and its sessions, and returns when the last process is gone and what the
/// original had mounted in the jail is unmounted.
pub fn stop(jail: &Jail) -> Result<()> {
    control::end(jail, &|signal| signal_all(jail, signal), &|| Ok(chroot::processes(jail)?.is_empty()))?;
    for mount in chroot::mounts(jail)?.iter().rev().filter(|mount| mount.is_the_originals()) {
        let Mount { place, .. } = mount;
        unmount(place, UnmountFlags::NOFOLLOW).context("cannot unmount", place)?;
    }
    Ok(())
}

fn signal_all(jail: &Jail, signal: Signal) -> Result<()> {
    for pid in chroot::processes(jail)? {
        let Ok(process) = pidfd_open(pid, PidfdFlags::empty()) else { continue };
        // After the descriptor was opened, so that it is of the process that is looked at.
        if chroot::is_in(jail, pid) {
            // Gone already is as good.
            let _ = pidfd_send_signal(&process, signal);
        }
    }
    Ok(())
}
