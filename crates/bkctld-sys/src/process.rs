//! Making processes, and leaving them.

use std::io;
use std::os::unix::fs::MetadataExt;

use rustix::process::{Pid, Signal};

/// Forks; the child runs `child` and exits with what it returns, without running destructors or
/// exit handlers of the parent.
///
/// # Errors
/// Refuses when the process has more than one thread: a lock that another thread held at that
/// moment would stay locked in the child for ever.
pub fn fork(child: impl FnOnce() -> i32) -> io::Result<Pid> {
    // A directory has one link for each directory in it, and two of its own.
    let threads = std::fs::metadata("/proc/self/task")?.nlink().saturating_sub(2);
    if threads != 1 {
        return Err(io::Error::other("a process with several threads cannot fork safely"));
    }
    // SAFETY: this is the only thread, as just checked, so no lock is held by one that is missing in
    // the child.
    match unsafe { libc::fork() } {
        0 => {
            let _bomb = AbortOnUnwind;
            exit_now(child())
        }
        pid => Pid::from_raw(pid).filter(|_| pid > 0).ok_or_else(io::Error::last_os_error),
    }
}

/// Keeps a panic of a child from running on in the parent's code.
struct AbortOnUnwind;

impl Drop for AbortOnUnwind {
    fn drop(&mut self) {
        std::process::abort();
    }
}

/// Ends the process at once.
pub fn exit_now(code: i32) -> ! {
    // SAFETY: `_exit` takes any number and touches no memory of the process.
    unsafe { libc::_exit(code) }
}

/// Marks every descriptor from 3 on to be closed by `exec`, including those that some library
/// opened without that mark.
pub fn close_on_exec_from_3() -> io::Result<()> {
    // SAFETY: with CLOEXEC the call closes nothing, so no descriptor that somebody owns vanishes.
    let result = unsafe { libc::syscall(libc::SYS_close_range, 3_u32, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Sends the signal to every process of this PID namespace but the caller, which must be process 1
/// of it: anywhere else that would be the whole server.
pub fn signal_the_others(signal: Signal) -> io::Result<()> {
    if !rustix::process::getpid().is_init() {
        return Err(io::Error::other("only process 1 of a PID namespace may signal all others"));
    }
    // SAFETY: `kill` touches no memory; -1 means everyone but process 1, which is the caller.
    match unsafe { libc::kill(-1, signal.as_raw()) } {
        0 => Ok(()),
        _ => match io::Error::last_os_error() {
            error if error.raw_os_error() == Some(libc::ESRCH) => Ok(()),
            error => Err(error),
        },
    }
}

/// Lets go of the memory that maps the program's code, for a process that is about to wait for long.
/// What it needs next is mapped again from the file, a few pages at a time.
pub fn release_code() -> io::Result<()> {
    for line in std::fs::read_to_string("/proc/self/maps")?.lines() {
        if let Some((start, end)) = code_mapping(line) {
            // SAFETY: the range is a private mapping of a file's code, as just read, and nothing unmaps
            // code. Its pages cannot be written, so they are those of the file, and the kernel reads
            // them from there again when they are next used.
            let result = unsafe {
                libc::madvise(std::ptr::without_provenance_mut(start), end - start, libc::MADV_DONTNEED)
            };
            if result != 0 {
                return Err(io::Error::last_os_error());
            }
        }
    }
    Ok(())
}

/// The range of a line of `/proc/PID/maps`, if that is code of a file.
fn code_mapping(line: &str) -> Option<(usize, usize)> {
    let mut fields = line.split_ascii_whitespace();
    let (range, permissions, path) = (fields.next()?, fields.next()?, fields.nth(3)?);
    let (start, end) = range.split_once('-')?;
    let address = |text| usize::from_str_radix(text, 16).ok();
    (permissions == "r-xp" && path.starts_with('/')).then_some((address(start)?, address(end)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_code_of_files_is_let_go() {
        let line = |permissions, path| format!("7f00-7f10 {permissions} 00001000 fe:00 1234 {path}");
        assert_eq!(code_mapping(&line("r-xp", "/usr/bin/x")), Some((0x7f00, 0x7f10)));
        for (permissions, path) in
            [("r--p", "/usr/bin/x"), ("rw-p", "/usr/bin/x"), ("r-xp", "[vdso]"), ("r-xp", "")]
        {
            assert_eq!(code_mapping(&line(permissions, path)), None);
        }
    }

    #[test]
    fn a_program_goes_on_without_its_code_in_memory() {
        release_code().unwrap();
        assert_eq!("7".parse::<i32>().unwrap(), 7);
    }

    #[test]
    fn a_process_with_threads_does_not_fork() {
        // The test harness runs each test in a thread.
        assert!(fork(|| 0).unwrap_err().to_string().contains("several threads"));
    }
}
