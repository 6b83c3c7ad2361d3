//! Making processes, and leaving them.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::process::Command;

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

/// Has the kernel kill the command's process when the calling thread dies: an orphan must not go on
/// with work whose result nobody awaits.
pub fn die_with_the_caller(command: &mut Command) {
    // SAFETY: between fork and exec only this one system call is made, which takes no lock.
    unsafe {
        command.pre_exec(|| Ok(rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?));
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

/// Lets go of the memory that maps files unchanged (the program's code and constants), for a process
/// that is about to wait for long. What it needs next is mapped again from the file, a few pages at a
/// time.
pub fn release_code() -> io::Result<()> {
    for (start, end) in unchanged_mappings(&std::fs::read_to_string("/proc/self/smaps")?) {
        // SAFETY: the range is a private mapping of a file that cannot be written and of which no page
        // was (it has no anonymous memory, as just read; relocated data does). So all of its pages are
        // those of the file, and the kernel reads them from there again when they are next used.
        // Nothing unmaps such a range.
        let result = unsafe {
            libc::madvise(std::ptr::without_provenance_mut(start), end - start, libc::MADV_DONTNEED)
        };
        if result != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// The ranges in the text of `/proc/PID/smaps` that are private, of a file, not writable, and hold no
/// page of their own.
fn unchanged_mappings(smaps: &str) -> Vec<(usize, usize)> {
    let mut ranges = Vec::new();
    let mut candidate = None;
    for line in smaps.lines() {
        if let Some(range) = mapping(line) {
            candidate = range;
        } else if let Some(rest) = line.strip_prefix("Anonymous:") {
            ranges.extend(candidate.take().filter(|_| rest.split_ascii_whitespace().next() == Some("0")));
        }
    }
    ranges
}

/// The range of a line that heads a mapping, if that one is private, of a file, and not writable.
fn mapping(line: &str) -> Option<Option<(usize, usize)>> {
    let mut fields = line.split_ascii_whitespace();
    let (start, end) = fields.next()?.split_once('-')?;
    let address = |text| usize::from_str_radix(text, 16).ok();
    let range = (address(start)?, address(end)?);
    let permissions = fields.next()?;
    let of_a_file = fields.nth(3).is_some_and(|path| path.starts_with('/'));
    Some((of_a_file && matches!(permissions, "r-xp" | "r--p")).then_some(range))
}

/// Forgets the environment that this process was started with, and leaves zeros in its place, which
/// `/proc/PID/environ` shows: newer kernels let CAP_SYS_ADMIN read that of any process.
pub fn forget_environment() -> io::Result<()> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    // `env_start` and `env_end` are fields 50 and 51. The program's name, field 2, ends with the last
    // parenthesis.
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
    let mut places = fields.split_whitespace().skip(50 - 3).map(str::parse::<usize>);
    let (Some(Ok(start)), Some(Ok(end))) = (places.next(), places.next()) else {
        return Err(io::Error::other("/proc/self/stat does not say where the environment is"));
    };
    // SAFETY: the kernel has put the strings between these two places of the stack, above all frames, where they
    // are this process's to write to. Only libc's list of variables points there, which is emptied before,
    // and no other thread reads it: the caller is a fork, which has one.
    unsafe {
        libc::clearenv();
        std::ptr::write_bytes(
            std::ptr::with_exposed_provenance_mut::<u8>(start),
            0,
            end.saturating_sub(start),
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_file_still_holds_is_let_go() {
        let mapping = |range, permissions, path, anonymous| {
            format!(
                "{range} {permissions} 00001000 fe:00 1234 {path}\nRss: 8 kB\nAnonymous: {anonymous} kB\n"
            )
        };
        let smaps = [
            mapping("1000-2000", "r--p", "/usr/bin/x", 0),
            mapping("2000-3000", "r-xp", "/usr/bin/x", 0),
            // Relocated, then made read-only.
            mapping("3000-4000", "r--p", "/usr/bin/x", 4),
            mapping("4000-5000", "rw-p", "/usr/bin/x", 0),
            mapping("5000-6000", "r--s", "/usr/bin/x", 0),
            mapping("7f00-7f10", "r-xp", "[vdso]", 0),
            mapping("8000-9000", "r--p", "", 0),
        ]
        .concat();
        assert_eq!(unchanged_mappings(&smaps), [(0x1000, 0x2000), (0x2000, 0x3000)]);
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
