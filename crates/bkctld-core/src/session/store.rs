//! Records on disk, below the jail's state directory: `active/ID.json` while a session lasts, then a line of
//! `finished.jsonl`. Sessions without a login are only counted at their end.
//!
//! The session's monitor holds a lock on its active record. A record that nobody holds belongs to a dead
//! monitor, so whoever reads it moves it to the finished ones, as killed.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::journal;
use super::record::{Ending, SessionRecord};
use super::without_login;
use crate::error::{Error, IoContext, Result};
use crate::file;
use crate::jail::Jail;

/// The size in bytes at which the finished records are rotated: some thousand sessions.
const FINISHED_LIMIT: u64 = 1 << 20;

/// The record of an active session, held by its monitor.
#[derive(Debug)]
pub struct ActiveSession {
    finished: PathBuf,
    path: PathBuf,
    /// The file whose lock says that the session is active.
    held: File,
}

impl ActiveSession {
    /// Writes the first state of the record.
    pub fn begin(jail: &Jail, record: &SessionRecord) -> Result<ActiveSession> {
        file::make_private_dir(jail.state_dir(), 0o700)?;
        let dir = active_dir(jail);
        file::make_private_dir(&dir, 0o700)?;
        let path = dir.join(format!("{}.json", record.id));
        let file = write_locked(&path, record)?;
        Ok(ActiveSession { finished: finished_path(jail), path, held: file })
    }

    /// Replaces the record on disk.
    pub fn update(&mut self, record: &SessionRecord) -> Result<()> {
        self.held = write_locked(&self.path, record)?;
        Ok(())
    }

    /// Moves the record to the finished ones.
    pub fn finish(self, record: &SessionRecord) -> Result<()> {
        finish(&self.finished, record)?;
        fs::remove_file(&self.path).context("cannot remove", &self.path)
    }
}

/// The active sessions, oldest first. Moves the records of dead monitors to the finished ones.
pub fn active(jail: &Jail) -> Result<Vec<SessionRecord>> {
    let dir = active_dir(jail);
    let entries = match fs::read_dir(&dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).context("cannot read", &dir),
    };
    let mut records = Vec::new();
    for entry in entries {
        let path = entry.context("cannot read", &dir)?.path();
        if path.extension().is_some_and(|extension| extension == "json")
            && let Some(record) = read_active(jail, &path)?
        {
            records.push(record);
        }
    }
    records.sort_by(|a, b| (a.begin, &a.id).cmp(&(b.begin, &b.id)));
    Ok(records)
}

/// The last finished session with a login.
pub fn last_finished(jail: &Jail) -> Result<Option<SessionRecord>> {
    active(jail)?;
    // A line that cannot be parsed was left by a crash of the machine.
    journal::find_newest(&finished_path(jail), |line| serde_json::from_str(line).ok())
}

/// The state of a jail's backups according to the records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pushes {
    /// The end of the last successful push.
    pub last_successful: Option<Timestamp>,
    /// Whether a push has failed since, or ever if none has succeeded.
    pub failed: bool,
}

/// Searches the finished records, newest first, for the last successful push. A monitor that died leaves its
/// record to [`active`]; one more killed session changes nothing here.
pub fn pushes(jail: &Jail) -> Result<Pushes> {
    let mut failed = false;
    let found = journal::find_newest(&finished_path(jail), |line| {
        let record: SessionRecord = serde_json::from_str(line).ok()?;
        let success = record.is_successful_push();
        failed |= record.is_failed_push();
        success.then_some(record)
    })?;
    let last = found.map_or_else(|| kept_push(jail), |record| Ok(Some(record)))?;
    Ok(Pushes { last_successful: last.map(|record| record.end.unwrap_or(record.begin)), failed })
}

/// The last successful push, however many sessions followed it.
pub fn last_push(jail: &Jail) -> Result<Option<SessionRecord>> {
    if let Some(record) = kept_push(jail)? {
        return Ok(Some(record));
    }
    // For sessions before this file existed, or after a crash of the machine damaged it.
    journal::find_newest(&finished_path(jail), |line| {
        let record: SessionRecord = serde_json::from_str(line).ok()?;
        record.is_successful_push().then_some(record)
    })
}

fn kept_push(jail: &Jail) -> Result<Option<SessionRecord>> {
    let kept = file::read_if_there(&last_push_path(&finished_path(jail)))?;
    Ok(kept.and_then(|content| serde_json::from_slice(&content).ok()))
}

/// The separate file of the last successful push. The finished records are bounded, and anybody who can
/// connect can make enough sessions to displace it there.
fn last_push_path(finished: &Path) -> PathBuf {
    finished.with_file_name("last-push.json")
}

fn active_dir(jail: &Jail) -> PathBuf {
    jail.state_dir().join("active")
}

fn finished_path(jail: &Jail) -> PathBuf {
    jail.state_dir().join("finished.jsonl")
}

/// Writes a temporary file, locks it and renames it into place, so that whoever opens the record finds it
/// complete and locked. It is not synced, because after a crash of the machine the session is over.
fn write_locked(path: &Path, record: &SessionRecord) -> Result<File> {
    let new = path.with_extension("new");
    let write = || -> std::io::Result<File> {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        file.lock()?;
        file.write_all(&serde_json::to_vec(record)?)?;
        fs::rename(&new, path)?;
        Ok(file)
    };
    write().context("cannot write", path)
}

/// Moves the record of an ended session to the finished ones.
fn finish(finished: &Path, record: &SessionRecord) -> Result<()> {
    match finished.parent() {
        Some(dir) if !record.had_login() => {
            without_login::count_connection(dir, record.end.unwrap_or(record.begin), record.source)
        }
        _ => append_finished(finished, record),
    }
}

fn append_finished(path: &Path, record: &SessionRecord) -> Result<()> {
    let line = serde_json::to_string(record)
        .map_err(|error| Error::internal("cannot write the record of a session").because(error))?;
    journal::append(path, FINISHED_LIMIT, &line)?;
    if record.is_successful_push() {
        file::replace_with(&last_push_path(path), 0o600, line.as_bytes(), file::Sync::Later)?;
    }
    Ok(())
}

/// The record, if its session is active.
fn read_active(jail: &Jail, path: &Path) -> Result<Option<SessionRecord>> {
    let gone = |error: &std::io::Error| error.kind() == std::io::ErrorKind::NotFound;
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if gone(&error) => return Ok(None),
        Err(error) => return Err(error).context("cannot open", path),
    };
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => {
            let content = fs::read(path);
            return match content {
                Ok(content) => Ok(serde_json::from_slice(&content).ok()),
                Err(error) if gone(&error) => Ok(None),
                Err(error) => Err(error).context("cannot read", path),
            };
        }
        Err(TryLockError::Error(error)) => return Err(error).context("cannot lock", path),
        Ok(()) => {}
    }
    // An update may have replaced the file at this path since it was opened, so the lock of the old one means
    // nothing. The same is true if another reader has moved it.
    let here = file.metadata().context("cannot read", path)?;
    match fs::metadata(path) {
        Ok(now)
            if std::os::unix::fs::MetadataExt::ino(&now) == std::os::unix::fs::MetadataExt::ino(&here) => {}
        Ok(_) => return read_active(jail, path),
        Err(error) if gone(&error) => return Ok(None),
        Err(error) => return Err(error).context("cannot read", path),
    }
    let last_sign = here.modified().ok().and_then(|time| Timestamp::try_from(time).ok());
    let content = fs::read(path).context("cannot read", path)?;
    if let Ok(record) = serde_json::from_slice::<SessionRecord>(&content) {
        let end = last_sign.map(|sign| sign.max(record.begin));
        let record = SessionRecord { end, ending: Some(Ending::Killed), ..record };
        finish(&finished_path(jail), &record)?;
    }
    fs::remove_file(path).context("cannot remove", path)?;
    Ok(None)
}

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod properties;

#[cfg(test)]
mod tests {
    use super::super::record::Kind;
    use super::*;
    use crate::Settings;

    fn fixture(dir: &Path) -> (Jail, SessionRecord) {
        let settings = Settings { data_dir: dir.into(), ..Settings::default() };
        let source = "192.0.2.1:4".parse().unwrap();
        let record = SessionRecord::begun("1-2".into(), Timestamp::UNIX_EPOCH, source);
        let record = SessionRecord { login: Some(record.begin), ..record };
        (Jail::new(&settings, "j".parse().unwrap()), record)
    }

    #[test]
    fn a_session_is_active_until_its_monitor_finishes_it() {
        let dir = tempfile::tempdir().unwrap();
        let (jail, mut record) = fixture(dir.path());
        assert!(active(&jail).unwrap().is_empty());
        let mut session = ActiveSession::begin(&jail, &record).unwrap();
        assert_eq!(active(&jail).unwrap(), std::slice::from_ref(&record));
        record.bytes_in = 7;
        session.update(&record).unwrap();
        assert_eq!(active(&jail).unwrap(), std::slice::from_ref(&record));
        assert_eq!(last_finished(&jail).unwrap(), None);
        record.ending = Some(Ending::Closed);
        session.finish(&record).unwrap();
        assert!(active(&jail).unwrap().is_empty());
        assert_eq!(last_finished(&jail).unwrap(), Some(record));
    }

    #[test]
    fn the_last_push_is_the_last_that_brought_files_and_ended_well() {
        let dir = tempfile::tempdir().unwrap();
        let (jail, record) = fixture(dir.path());
        assert_eq!(pushes(&jail).unwrap(), Pushes::default());
        let finish = |kind, exit, second, bytes_in| {
            let end = Some(Timestamp::from_second(second).unwrap());
            let record =
                SessionRecord { kind: Some(kind), exit, end, bytes_in, bytes_out: 9, ..record.clone() };
            ActiveSession::begin(&jail, &record).unwrap().finish(&record).unwrap();
            let pushes = pushes(&jail).unwrap();
            (pushes.last_successful.map(Timestamp::as_second), pushes.failed)
        };
        let sessions = [
            (Kind::Shell, Some(0), 99, (None, false)),
            (Kind::RsyncPush, Some(12), 99, (None, true)),
            (Kind::RsyncPush, None, 99, (None, true)),
            (Kind::RsyncPush, Some(0), 99, (Some(3), false)),
            (Kind::RsyncPull, Some(0), 99, (Some(3), false)),
            (Kind::RsyncPush, Some(23), 99, (Some(3), true)),
            (Kind::RsyncPush, Some(24), 99, (Some(6), false)),
            (Kind::Sftp, Some(0), 9, (Some(6), false)),
            (Kind::Sftp, Some(0), 10, (Some(8), false)),
            (Kind::Scp, Some(1), 10, (Some(8), false)),
        ];
        for (at, (kind, exit, bytes_in, expected)) in sessions.into_iter().enumerate() {
            assert_eq!(finish(kind, exit, at as i64, bytes_in), expected, "record {at}");
        }
    }

    #[test]
    fn a_record_whose_monitor_died_is_finished_as_killed_once() {
        let dir = tempfile::tempdir().unwrap();
        let (jail, record) = fixture(dir.path());
        drop(ActiveSession::begin(&jail, &record).unwrap());
        for _ in 0..2 {
            assert!(active(&jail).unwrap().is_empty());
            assert_eq!(last_finished(&jail).unwrap().unwrap().ending, Some(Ending::Killed));
        }
        assert_eq!(journal::newest_first(&finished_path(&jail)).unwrap().count(), 1);
    }

    #[test]
    fn what_had_no_login_is_counted_and_pushes_no_session_out() {
        let dir = tempfile::tempdir().unwrap();
        let (jail, session) = fixture(dir.path());
        ActiveSession::begin(&jail, &session).unwrap().finish(&session).unwrap();
        let stranger = SessionRecord { login: None, ending: Some(Ending::Refused), ..session.clone() };
        for _ in 0..9000 {
            finish(&finished_path(&jail), &stranger).unwrap();
        }
        drop(ActiveSession::begin(&jail, &stranger).unwrap());
        assert!(active(&jail).unwrap().is_empty());
        assert_eq!(last_finished(&jail).unwrap(), Some(session));
        assert_eq!(without_login::without_login(&jail).unwrap().unwrap().connections, 9001);
    }

    #[test]
    fn the_last_push_is_known_however_many_sessions_follow() {
        let dir = tempfile::tempdir().unwrap();
        let (jail, record) = fixture(dir.path());
        let push = SessionRecord { kind: Some(Kind::RsyncPush), exit: Some(0), ..record.clone() };
        append_finished(&finished_path(&jail), &push).unwrap();
        let failed = SessionRecord { exit: Some(12), ..push.clone() };
        // More than both files of finished records can hold.
        let many = 2 * FINISHED_LIMIT as usize / serde_json::to_string(&failed).unwrap().len() + 2;
        for _ in 0..many {
            append_finished(&finished_path(&jail), &failed).unwrap();
        }
        assert_eq!(last_push(&jail).unwrap(), Some(push.clone()));
        assert_eq!(pushes(&jail).unwrap(), Pushes { last_successful: Some(push.begin), failed: true });
        fs::remove_file(last_push_path(&finished_path(&jail))).unwrap();
        assert_eq!(last_push(&jail).unwrap(), None);
    }
}
