//! `var/log/lastlog`, whose modification time is the time of the last login.

use std::os::fd::{AsFd, AsRawFd};

use bkctld_core::Jail;
use bkctld_core::error::{Error, IoContext, Result};
use rustix::fs::{
    AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags, Timespec, Timestamps, UTIME_NOW, fstat, openat,
    openat2, utimensat,
};
use rustix::io::Errno;

use crate::sandbox::trees::beneath;

/// Sets the time to now, making the file where it is missing.
///
/// The client owns the directory: what lies there may be a link, a fifo or a directory. It is looked
/// at without being opened, and only a regular file is touched.
pub(crate) fn touch(jail: &Jail) -> Result<()> {
    let path = jail.var().join("log/lastlog");
    let var = openat(CWD, jail.var(), OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        .context("cannot open", jail.var())?;
    let log = beneath(var.as_fd(), "log").context("cannot open", jail.var().join("log"))?;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    let look = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = match openat2(&log, "lastlog", look, Mode::empty(), resolve) {
        Err(Errno::NOENT) => {
            let make = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            openat2(&log, "lastlog", make, Mode::from_raw_mode(0o644), resolve)
        }
        other => other,
    }
    .context("cannot open", &path)?;
    let stat = fstat(&file).context("cannot read", &path)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        let what = "is not a regular file, so the time of the login is not stored there";
        return Err(Error::untrusted(&path, what));
    }
    let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
    let times = Timestamps { last_access: now, last_modification: now };
    // An O_PATH descriptor takes no times itself; its name in /proc leads to this very inode.
    let itself = format!("/proc/self/fd/{}", file.as_raw_fd());
    utimensat(CWD, itself, &times, AtFlags::empty()).context("cannot set the time of", &path)
}
