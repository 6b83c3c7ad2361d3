//! Programs run on the machine that runs the tests.

use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// Runs it to its end; panics with what it printed unless it succeeds.
#[track_caller]
pub fn run(command: &mut Command) {
    drop(output_of(command));
}

/// What it prints; panics unless it succeeds.
#[track_caller]
pub fn output_of(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}\n{}", output.status, both(&output));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// All that it printed, standard output first.
pub fn both(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// Waits until it is so; panics when that takes longer. Times are bounds for a busy machine, not expectations.
#[track_caller]
pub fn within(seconds: u64, what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(seconds * 3);
    while !is_so() {
        assert!(Instant::now() < end, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}
