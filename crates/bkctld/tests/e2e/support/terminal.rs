//! A real pseudo-terminal, and what is left on its screen.

use std::fs::File;
use std::io::{Read, Write};
use std::num::NonZeroU16;
use std::process::{Child, Command};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags, open};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use super::run::wait_for;

const ROWS: NonZeroU16 = NonZeroU16::new(50).unwrap();
const COLUMNS: NonZeroU16 = NonZeroU16::new(200).unwrap();

/// A program that runs on a terminal of its own, which is all of its standard input, output and error.
pub struct OnTerminal {
    what: String,
    child: Child,
    keyboard: File,
    written: Arc<Mutex<Vec<u8>>>,
    reader: std::thread::JoinHandle<()>,
}

/// What a program has shown on its terminal until its end.
pub struct Shown {
    what: String,
    pub code: i32,
    /// Everything that was written, with what steers the terminal.
    pub written: String,
    /// What is left to be seen: the lines up to the last one that is not empty.
    pub screen: Vec<String>,
}

impl OnTerminal {
    /// Starts the program.
    pub fn start(mut command: Command) -> OnTerminal {
        let what = format!("{command:?}");
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).expect("openpt");
        grantpt(&master).expect("grantpt");
        unlockpt(&master).expect("unlockpt");
        let size = Winsize { ws_row: ROWS.get(), ws_col: COLUMNS.get(), ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&master, size).expect("size");
        let name = ptsname(&master, Vec::new()).expect("ptsname");
        let slave =
            || open(&name, OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty()).expect("open");
        command.env("TERM", "xterm");
        let child = command.stdin(slave()).stdout(slave()).stderr(slave()).spawn();
        let child = child.unwrap_or_else(|error| panic!("cannot run {what}: {error}"));
        // The command holds the terminal's other end; without it the end of the program is its end.
        drop(command);
        let keyboard = File::from(master);
        let written = Arc::new(Mutex::new(Vec::new()));
        let (mut from, to) = (keyboard.try_clone().expect("dup"), Arc::clone(&written));
        let reader = std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            // EIO tells that nobody holds the other end any more.
            while let Ok(count) = from.read(&mut buffer) {
                if count == 0 {
                    break;
                }
                to.lock().expect("lock").extend_from_slice(&buffer[..count]);
            }
        });
        OnTerminal { what, child, keyboard, written, reader }
    }

    /// Everything that was written so far.
    pub fn written(&self) -> String {
        String::from_utf8_lossy(&self.written.lock().expect("lock")).into_owned()
    }

    /// Waits until this is written, then types.
    #[track_caller]
    pub fn answers(&mut self, question: &str, typed: &str) {
        wait_for(question, || self.written().contains(question));
        self.keyboard.write_all(typed.as_bytes()).expect("type");
    }

    /// Waits for its end.
    #[track_caller]
    pub fn finish(mut self) -> Shown {
        let deadline = Instant::now() + Duration::from_secs(120);
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("wait") {
                break status;
            }
            if Instant::now() > deadline {
                let _ = self.child.kill();
                panic!("{} did not end: {}", self.what, self.written());
            }
            std::thread::sleep(Duration::from_millis(4));
        };
        self.reader.join().expect("reader");
        let written = self.written.lock().expect("lock").clone();
        let mut screen = vt100::Parser::new(ROWS, COLUMNS, 0);
        screen.process(&written);
        let mut lines: Vec<String> =
            screen.screen().rows(0, COLUMNS.get()).map(|line| line.trim_end().to_owned()).collect();
        let seen = lines.iter().rposition(|line| !line.is_empty()).map_or(0, |last| last + 1);
        lines.truncate(seen);
        Shown {
            what: self.what,
            code: status.code().unwrap_or(-1),
            written: String::from_utf8_lossy(&written).into_owned(),
            screen: lines,
        }
    }
}

impl Shown {
    /// Demands this exit code.
    #[track_caller]
    pub fn exits(self, code: i32) -> Shown {
        assert_eq!(self.code, code, "exit code of {}", self.told());
        self
    }

    /// Demands a piece of text on the screen.
    #[track_caller]
    pub fn shows(self, text: &str) -> Shown {
        assert!(
            self.screen.iter().any(|line| line.contains(text)),
            "'{text}' is not on the screen: {}",
            self.told()
        );
        self
    }

    /// For a failing test.
    pub fn told(&self) -> String {
        format!(
            "{}: exit {}\n-- screen:\n{}\n-- written:\n{:?}",
            self.what,
            self.code,
            self.screen.join("\n"),
            self.written
        )
    }
}
