//! The log of sshd's messages, line by line, with the time and the session.

use std::fmt::Write;
use std::path::PathBuf;

use jiff::Timestamp;

use super::journal;
use crate::error::Result;
use crate::jail::Jail;
use crate::text;

/// The size in bytes at which the log is rotated; one older file is kept.
const LOG_LIMIT: u64 = 1 << 20;
/// The same limit for the log of connections without a login.
const LOG_LIMIT_WITHOUT_LOGIN: u64 = 256 << 10;
/// The maximum number of bytes that one session may write to the log. A client can write to sshd's standard
/// error, and must not be able to displace all other lines.
const SESSION_LIMIT: usize = 64 << 10;
/// The longest line, in bytes; sshd's own are shorter than 1 KiB.
const LINE_LIMIT: usize = 1024;

/// Writes the lines of one session.
#[derive(Debug)]
pub struct LogWriter {
    path: PathBuf,
    limit: u64,
    session: String,
    left: usize,
}

impl LogWriter {
    /// A log for the session with this id.
    pub fn new(jail: &Jail, session: &str) -> LogWriter {
        LogWriter { path: path(jail), limit: LOG_LIMIT, session: session.to_owned(), left: SESSION_LIMIT }
    }

    /// A log for a connection without a login, in a separate file, because there may be any number of them.
    pub fn without_login(jail: &Jail, session: &str) -> LogWriter {
        LogWriter {
            path: path_without_login(jail),
            limit: LOG_LIMIT_WITHOUT_LOGIN,
            ..LogWriter::new(jail, session)
        }
    }

    /// Appends a line, made printable and shortened, and returns it without time and session. `None` if the
    /// session has written too much already.
    pub fn append(&mut self, now: Timestamp, line: &[u8]) -> Result<Option<String>> {
        if self.left == 0 {
            return Ok(None);
        }
        let mut shown = text::printable(&line[..line.len().min(LINE_LIMIT)]).into_owned();
        if self.left <= shown.len() {
            self.left = 0;
            shown = "(this session has logged too much: the rest is not kept)".to_owned();
        } else {
            self.left -= shown.len();
        }
        let mut entry = String::with_capacity(shown.len() + 64);
        // Writing to a String cannot fail.
        let _ = write!(entry, "{now:.3} {} {shown}", self.session);
        journal::append(&self.path, self.limit, &entry)?;
        Ok(Some(shown))
    }
}

/// The jail's SSH log, newest line first: `TIME SESSION TEXT`, with the time in UTC. Lines of connections
/// without a login are merged in by time.
pub fn log_newest_first(jail: &Jail) -> Result<impl Iterator<Item = String> + use<>> {
    let others = journal::newest_first(&path_without_login(jail))?;
    let mut lines: Vec<String> = journal::newest_first(&path(jail))?.chain(others).collect();
    // The first lines of a session are written when it logs in or ends, possibly after later lines of others.
    lines.sort_by(|a, b| time_of(b).cmp(time_of(a)));
    Ok(lines.into_iter())
}

/// The time of a line; all times have the same format, so they compare as text.
fn time_of(line: &str) -> &str {
    line.split(' ').next().unwrap_or_default()
}

fn path_without_login(jail: &Jail) -> PathBuf {
    jail.state_dir().join("without-login.log")
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
        assert!(lines[0].ends_with("the rest is not kept)"));
        assert!(lines.iter().map(String::len).sum::<usize>() < 80 << 10);
        LogWriter::new(&jail, "3-4").append(Timestamp::UNIX_EPOCH, b"other").unwrap();
        assert!(log_newest_first(&jail).unwrap().next().unwrap().ends_with("3-4 other"));
    }
    #[test]
    fn what_has_no_login_pushes_no_session_out_of_the_log() {
        let dir = tempfile::tempdir().unwrap();
        let settings = Settings { data_dir: dir.path().into(), ..Settings::default() };
        let jail = Jail::new(&settings, "j".parse().unwrap());
        let second = |second| Timestamp::from_second(second).unwrap();
        for at in [5000, 15_000, 25_000] {
            LogWriter::new(&jail, "1-2").append(second(at), b"Accepted publickey").unwrap();
        }
        for at in 0..20_000 {
            let mut writer = LogWriter::without_login(&jail, &format!("{at}-3"));
            writer.append(second(at), &[b'x'; 100]).unwrap();
        }
        let lines: Vec<_> = log_newest_first(&jail).unwrap().collect();
        let sessions: Vec<_> = lines.iter().filter(|line| line.contains("Accepted")).collect();
        assert_eq!(sessions.len(), 3);
        assert!(lines.is_sorted_by(|newer, older| time_of(newer) >= time_of(older)));
        assert_eq!(&lines[0], sessions[0]);
        assert!((1000..6000).contains(&lines.len()), "{}", lines.len());
    }
}
