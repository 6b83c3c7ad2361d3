//! A run leaves nothing behind, however it ends.
//!
//! The tests run in a mount and a PID namespace, so that the kernel unmounts and kills whatever is left when
//! they end. Outside of it waits this process: it ends them on a signal, and then removes what no namespace
//! holds: directories, control groups, and the kernel's pattern for core files. Should it be killed itself, the
//! next run removes that.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, ExitStatus};

use bkctld_sys::process::die_with_the_caller;
use bkctld_sys::signal::SignalFd;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Signal, geteuid};

use crate::{cgroup, host};

const RUN: &str = "BKCTLD_MACHINES_RUN";
/// Where the kernel's pattern for core files is: one for all containers.
const CORE_PATTERN: &str = "/proc/sys/kernel/core_pattern";
/// Where a run keeps the pattern that it has replaced.
const BEFORE: &str = "core_pattern";

/// Whether this process is the one that runs the tests.
pub fn is_confined() -> bool {
    std::env::var_os(RUN).is_some()
}

/// The directory of this run, which is removed after it.
pub fn run_directory() -> PathBuf {
    PathBuf::from(std::env::var_os(RUN).expect("confined"))
}

/// The control group of this run, which is removed after it.
pub fn control_group() -> String {
    control_group_of(&run_directory())
}

fn control_group_of(run: &Path) -> String {
    format!("bkctld-machines.{}", run.file_name().unwrap().display())
}

/// Sets the kernel's pattern for core files to one that names a program of this run, and keeps the one before.
pub fn set_core_pattern(pattern: &str) {
    fs::copy(CORE_PATTERN, run_directory().join(BEFORE)).unwrap();
    fs::write(CORE_PATTERN, pattern).unwrap();
}

/// Restores the pattern if it is the run's: that of another run is for that one to restore.
pub fn restore_core_pattern(run: &Path) {
    let is_ours = fs::read_to_string(CORE_PATTERN).is_ok_and(|now| now.contains(&*run.to_string_lossy()));
    if is_ours && let Ok(before) = fs::read(run.join(BEFORE)) {
        drop(fs::write(CORE_PATTERN, before));
    }
}

/// Runs the tests, and cleans up after them.
pub fn run_again_confined() -> ExitCode {
    if !geteuid().is_root() {
        eprintln!("machines: must be run as root: it boots containers");
        return ExitCode::FAILURE;
    }
    clean_up_after_killed_runs();
    let run = tempfile::Builder::new().prefix("run.").tempdir_in(host::cache()).unwrap().keep();
    let lock = File::create(run.join("lock")).unwrap();
    lock.lock().unwrap();
    let status = start(&run).and_then(wait_or_end);
    clean_up(&run);
    match status {
        Ok(status) if status.success() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("machines: {error}");
            ExitCode::FAILURE
        }
    }
}

/// A shell is process 1, because it waits for orphans, as an init does.
fn start(run: &Path) -> io::Result<Child> {
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "--propagation", "private", "--pid", "--fork", "--kill-child", "--mount-proc"])
        .args(["sh", "-c", "\"$@\"; exit $?", "sh"])
        .arg(std::env::current_exe()?)
        .args(std::env::args_os().skip(1))
        .env(RUN, run);
    die_with_the_caller(&mut command);
    command.spawn()
}

/// Waits for the end of the tests, or ends them when a signal asks for it.
fn wait_or_end(mut tests: Child) -> io::Result<ExitStatus> {
    let signals = SignalFd::new(&[Signal::INT, Signal::TERM, Signal::HUP])?;
    loop {
        if let Some(status) = tests.try_wait()? {
            return Ok(status);
        }
        if signals.next()?.is_some() {
            tests.kill()?;
            return tests.wait();
        }
        let second = Timespec { tv_sec: 0, tv_nsec: 200_000_000 };
        match poll(&mut [PollFd::new(&signals, PollFlags::IN)], Some(&second)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Cleans up where nobody holds the lock of a run any more.
fn clean_up_after_killed_runs() {
    for entry in fs::read_dir(host::cache()).unwrap().flatten() {
        let run = entry.path();
        let is_run = entry.file_name().to_string_lossy().starts_with("run.");
        if is_run && File::open(run.join("lock")).is_ok_and(|lock| lock.try_lock().is_ok()) {
            clean_up(&run);
        }
    }
}

fn clean_up(run: &Path) {
    cgroup::remove(&control_group_of(run));
    restore_core_pattern(run);
    // Ended processes may still let go of their files.
    for _ in 0..50 {
        if fs::remove_dir_all(run).is_ok() || !run.exists() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    eprintln!("machines: {} is left", run.display());
}
