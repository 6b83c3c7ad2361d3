//! Runs programs with a deadline and keeps everything they said.

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use super::schema;

/// A program that hangs fails its test after this long, unless the test allows more.
pub const LIMIT: Duration = Duration::from_secs(120);

/// A program that has ended.
pub struct Ran {
    what: String,
    pub code: i32,
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
}

impl Ran {
    /// Standard output as text.
    pub fn out(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Standard error as text.
    pub fn err(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }

    /// Lines of standard output.
    pub fn lines(&self) -> Vec<String> {
        self.out().lines().map(str::to_owned).collect()
    }

    /// Demands exit code 0.
    #[track_caller]
    pub fn ok(self) -> Ran {
        self.exits(0)
    }

    /// Demands this exit code.
    #[track_caller]
    pub fn exits(self, code: i32) -> Ran {
        assert_eq!(self.code, code, "exit code of {}", self.told());
        self
    }

    /// Demands that it failed.
    #[track_caller]
    pub fn fails(self) -> Ran {
        assert_ne!(self.code, 0, "this should have failed: {}", self.told());
        self
    }

    /// Demands a failure with exit code 1 and a clear message: one line, nothing for the terminal
    /// to act on, no panic, each of the words in it.
    #[track_caller]
    pub fn refuses(self, words: &[&str]) -> Ran {
        let ran = self.exits(1);
        let message = ran.err();
        assert_eq!(message.trim_end().lines().count(), 1, "not one line of error: {}", ran.told());
        assert!(!message.contains("panicked"), "{}", ran.told());
        let control = message.trim_end().chars().any(|c| c.is_control());
        assert!(!control, "control characters in the error of {}", ran.told());
        for word in words {
            assert!(message.contains(word), "the error does not name '{word}': {}", ran.told());
        }
        ran
    }

    /// Demands a word in standard output.
    #[track_caller]
    pub fn says(self, word: &str) -> Ran {
        assert!(self.out().contains(word), "'{word}' is not in the output of {}", self.told());
        self
    }

    /// Demands a word in standard error.
    #[track_caller]
    pub fn warns(self, word: &str) -> Ran {
        assert!(self.err().contains(word), "'{word}' is not in the errors of {}", self.told());
        self
    }

    /// Demands an empty standard output.
    #[track_caller]
    pub fn silent(self) -> Ran {
        assert!(self.stdout.is_empty(), "this should print nothing: {}", self.told());
        self
    }

    /// Standard output as JSON in the shape of the schema.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        let value: serde_json::Value = serde_json::from_slice(&self.stdout)
            .unwrap_or_else(|error| panic!("no JSON ({error}): {}", self.told()));
        let faults = schema::faults(&value);
        assert!(faults.is_empty(), "not as in docs/json.schema.json: {faults:#?}\n{}", self.told());
        value
    }

    /// Command, exit code and both outputs, for a failing test.
    pub fn told(&self) -> String {
        let mut told = format!("`{}`: exit {}", self.what, self.code);
        for (name, text) in [("stdout", self.out()), ("stderr", self.err())] {
            let shown: String = text.chars().take(4000).collect();
            let _ = write!(told, "\n-- {name}:\n{}", shown.trim_end());
        }
        told
    }
}

/// A program that is running, its outputs being read.
pub struct Running {
    what: String,
    pub child: Child,
    outputs: [Receiver<Vec<u8>>; 2],
}

/// Starts a program, with these bytes as its standard input.
pub fn start(mut command: Command, input: &[u8]) -> Running {
    let what = format!("{command:?}");
    command.stdin(if input.is_empty() { Stdio::null() } else { Stdio::piped() });
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("cannot run {what}: {error}"));
    if let Some(mut stdin) = child.stdin.take() {
        let input = input.to_vec();
        // A program that ends without reading all of it is no failure of ours.
        std::thread::spawn(move || drop(stdin.write_all(&input)));
    }
    let outputs = [
        read_all(child.stdout.take().expect("stdout is piped")),
        read_all(child.stderr.take().expect("stderr is piped")),
    ];
    Running { what, child, outputs }
}

impl Running {
    /// Waits for its end.
    pub fn finish(self) -> Ran {
        self.finish_within(LIMIT)
    }

    /// Waits for its end, at most this long.
    pub fn finish_within(mut self, limit: Duration) -> Ran {
        let deadline = Instant::now() + limit;
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("wait") {
                break status;
            }
            if Instant::now() > deadline {
                let _ = self.child.kill();
                let _ = self.child.wait();
                let said = self.outputs.map(|output| {
                    let bytes = output.recv_timeout(Duration::from_secs(1)).unwrap_or_default();
                    String::from_utf8_lossy(&bytes).into_owned()
                });
                panic!("{} did not end within {limit:?}: {said:?}", self.what);
            }
            std::thread::sleep(Duration::from_millis(4));
        };
        let code = {
            use std::os::unix::process::ExitStatusExt;
            status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
        };
        let what = self.what;
        // Whoever runs `x=$(bkctld start …)` must not wait for the background process.
        let [stdout, stderr] = self.outputs.map(|output| {
            output
                .recv_timeout(Duration::from_secs(10))
                .unwrap_or_else(|_| panic!("{what} has ended, but something holds its output open"))
        });
        Ran { what, code, stdout, stderr }
    }

    /// SIGKILL, then its end.
    pub fn kill(mut self) -> Ran {
        let _ = self.child.kill();
        self.finish()
    }
}

fn read_all(mut from: impl Read + Send + 'static) -> Receiver<Vec<u8>> {
    let (send, receive) = channel();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = from.read_to_end(&mut bytes);
        let _ = send.send(bytes);
    });
    receive
}

/// Runs a program to its end.
pub fn run(command: Command) -> Ran {
    start(command, b"").finish()
}

/// Runs a shell command of the host that must succeed; its output, trimmed.
#[track_caller]
pub fn sh(script: &str) -> String {
    let mut command = Command::new("sh");
    command.args(["-euc", script]);
    run(command).ok().out().trim().to_owned()
}

/// Polls until the condition holds; fails after 30 seconds.
#[track_caller]
pub fn wait_for(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !holds() {
        assert!(Instant::now() < deadline, "waited 30 s in vain for: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
