//! Whether somebody can still write to a file through what is open now.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use linux_raw_sys::general::F_SETSIG;

/// Whether the file, which the descriptor has open for reading only, is open for writing anywhere, or
/// mapped writable and shared. A `write` that is under way counts, be its file closed meanwhile.
///
/// The kernel tells by granting a read lease, which is given back at once: who opens the file for
/// writing in this moment waits for no longer than that.
///
/// Errors: `EINVAL` where the file system has no leases or `fs.leases-enable` is 0; `EACCES` where the
/// file is another user's and the process lacks `CAP_LEASE`.
pub fn has_writers(file: impl AsFd) -> io::Result<bool> {
    let fd = file.as_fd();
    // Who breaks the lease has a signal sent here. SIGIO, the usual one, would end the process; this one
    // is ignored unless somebody asks for it.
    call(fd, F_SETSIG as i32, libc::SIGURG)?;
    match call(fd, libc::F_SETLEASE, libc::F_RDLCK) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(true),
        Err(error) => return Err(error),
    }
    call(fd, libc::F_SETLEASE, libc::F_UNLCK)?;
    Ok(false)
}

fn call(fd: BorrowedFd<'_>, command: i32, argument: i32) -> io::Result<()> {
    // SAFETY: both commands take a number and touch no memory of the process; the descriptor is open as
    // long as it is borrowed.
    match unsafe { libc::fcntl(fd.as_raw_fd(), command, argument) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{File, OpenOptions};

    #[test]
    fn an_open_writer_is_seen_and_one_that_has_gone_is_not() {
        // Where the build is: /tmp may be of a kind that has no leases.
        let dir = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        let path = dir.path().join("f");
        let writer = File::create(&path).unwrap();
        let file = File::open(&path).unwrap();
        assert!(has_writers(&file).unwrap());
        drop(writer);
        assert!(!has_writers(&file).unwrap());
        // Nobody who reads is in the way, nor is the lease left behind.
        let _reader = File::open(&path).unwrap();
        assert!(!has_writers(&file).unwrap());
        OpenOptions::new().write(true).open(&path).unwrap();
        assert!(!has_writers(&file).unwrap());
    }

    #[test]
    fn one_who_opens_the_file_meanwhile_ends_nobody() {
        let dir = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        let path = dir.path().join("f");
        File::create(&path).unwrap();
        let file = File::open(&path).unwrap();
        std::thread::scope(|scope| {
            let opens = scope.spawn(|| {
                for _ in 0..20_000 {
                    OpenOptions::new().write(true).open(&path).unwrap();
                }
            });
            while !opens.is_finished() {
                has_writers(&file).unwrap();
            }
        });
    }
}
