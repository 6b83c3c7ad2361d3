//! What sshd says, line by line, with the time and the session.

use std::fmt::Write;
use std::path::PathBuf;

use jiff::Timestamp;

use super::journal;
use crate::error::Result;
use crate::jail::Jail;
use crate::text;

/// The log's size in bytes at which it is put aside; one older file is kept.
const LOG_LIMIT: u64 = 1 << 20;
/// What one session may write into it, in bytes. A client can write to sshd's standard error, and
/// must not be able to push everything else out of the log.
const SESSION_LIMIT: usize = 64 << 10;
/// The longest line, in bytes; sshd's own are shorter than 1 KiB.
const LINE_LIMIT: usize = 1024;

/// Writes the lines of one session.
#[derive(Debug)]
pub struct LogWriter {
    path: PathBuf,
    session: String,
    left: usize,
}

impl LogWriter {
    /// For the session of this id.
    pub fn new(jail: &Jail, session: &str) -> LogWriter {
        LogWriter { path: path(jail), session: session.to_owned(), left: SESSION_LIMIT }
    }

    /// Appends a line, made printable and shortened, and returns it as it was written without time
    /// and session. `None` where the session has written too much already.
    pub fn append(&mut self, now: Timestamp, line: &[u8]) -> Result<Option<String>> {
        if self.left == 0 {
            return Ok(None);
        }
        let mut shown = text::printable(&line[..line.len().min(LINE_LIMIT)]).into_owned();
        if self.left <= shown.len() {
            self.left = 0;
            shown = "(this session has written too much: nothing more of it is kept)".to_owned();
        } else {
            self.left -= shown.len();
        }
        let mut entry = String::with_capacity(shown.len() + 64);
        // Writing to a String cannot fail.
        let _ = write!(entry, "{now:.3} {} {shown}", self.session);
        journal::append(&self.path, LOG_LIMIT, &entry)?;
        Ok(Some(shown))
    }
}

/// The jail's SSH log, newest line first: `TIME SESSION TEXT`, the time in UTC.
pub fn log_newest_first(jail: &Jail) -> Result<impl Iterator<Item = String> + use<>> {
    journal::newest_first(&path(jail))
}

fn path(jail: &Jail) -> PathBuf {
    jail.state_dir().join("ssh.log")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Settings;

    #[test]
    fn a_session_cannot_fill_the_log_or_steer_the_reader() {
        let dir = tempfile::tempdir().unwrap();
        let settings = Settings { data_dir: dir.path().into(), ..Settings::default() };
        let jail = Jail::new(&settings, "j".parse().unwrap());
        let mut writer = LogWriter::new(&jail, "1-2");
        writer.append(Timestamp::UNIX_EPOCH, b"a\x1b[2J\nb").unwrap();
        for _ in 0..200 {
            writer.append(Timestamp::UNIX_EPOCH, &[b'x'; 4000]).unwrap();
        }
        let lines: Vec<_> = log_newest_first(&jail).unwrap().collect();
        assert_eq!(lines.last().unwrap(), "1970-01-01T00:00:00.000Z 1-2 a\\u{1b}[2J\\nb");
        assert!(lines[0].ends_with("nothing more of it is kept)"));
        assert!(lines.iter().map(String::len).sum::<usize>() < 80 << 10);
        LogWriter::new(&jail, "3-4").append(Timestamp::UNIX_EPOCH, b"other").unwrap();
        assert!(log_newest_first(&jail).unwrap().next().unwrap().ends_with("3-4 other"));
    }
}
