//! Records on disk, below the jail's state directory: `active/ID.json` as long as a session lasts,
//! a line of `finished.jsonl` afterwards. What had no login is only counted then.
//!
//! The session's monitor holds a lock on its active record. A record that nobody holds belongs to
//! a monitor that died, so whoever reads it moves it to the finished ones as killed.

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

/// The size in bytes at which the finished records are put aside: some thousand sessions.
const FINISHED_LIMIT: u64 = 1 << 20;

/// The record of a session that is going on, in the hands of its monitor.
#[derive(Debug)]
pub struct ActiveSession {
    finished: PathBuf,
    path: PathBuf,
    /// Whose lock says that the session goes on.
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

    /// Replaces the record.
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

/// The sessions that are going on, oldest first. Moves what dead monitors left to the finished ones.
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

/// The session with a login that ended last.
pub fn last_finished(jail: &Jail) -> Result<Option<SessionRecord>> {
    active(jail)?;
    // A line that is no record is what a crash of the machine left of one.
    journal::find_newest(&finished_path(jail), |line| serde_json::from_str(line).ok())
}

/// What the records tell of a jail's backups.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pushes {
    /// When the last session ended that brought files and whose program ended well.
    pub last_successful: Option<Timestamp>,
    /// Whether an rsync that was to bring files has failed since, or ever where none has succeeded.
    pub failed: bool,
}

/// Looks through the finished records, newest first, for the last push that worked. A monitor that
/// died leaves its record to [`active`]; one more killed session changes nothing here.
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

/// The last session that brought files and whose program ended well, however many followed.
pub fn last_push(jail: &Jail) -> Result<Option<SessionRecord>> {
    if let Some(record) = kept_push(jail)? {
        return Ok(Some(record));
    }
    // Of sessions before it was kept by itself, or when a crash of the machine spoilt it.
    journal::find_newest(&finished_path(jail), |line| {
        let record: SessionRecord = serde_json::from_str(line).ok()?;
        record.is_successful_push().then_some(record)
    })
}

fn kept_push(jail: &Jail) -> Result<Option<SessionRecord>> {
    let kept = file::read_if_there(&last_push_path(&finished_path(jail)))?;
    Ok(kept.and_then(|content| serde_json::from_slice(&content).ok()))
}

/// Where the last push that worked is kept by itself: whoever can connect can make so many sessions that
/// it is lost from the finished ones, which are bounded.
fn last_push_path(finished: &Path) -> PathBuf {
    finished.with_file_name("last-push.json")
}

fn active_dir(jail: &Jail) -> PathBuf {
    jail.state_dir().join("active")
}

fn finished_path(jail: &Jail) -> PathBuf {
    jail.state_dir().join("finished.jsonl")
}

/// Writes the file beside its place, locks it, and renames it there, so that whoever opens the
/// record finds it whole and locked. Not synced: after a crash of the machine the session is over.
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

/// Keeps what is left of a session that has ended.
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
        .map_err(|error| Error::Invalid(format!("cannot write the record of a session: {error}")))?;
    journal::append(path, FINISHED_LIMIT, &line)?;
    if record.is_successful_push() {
        file::replace_with(&last_push_path(path), 0o600, line.as_bytes(), file::Sync::Later)?;
    }
    Ok(())
}

/// The record if its session goes on.
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
    // An update may have put a new file at this path since it was opened; the lock of the old one
    // then says nothing. The same after another reader has moved it.
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
        // More than both files of the finished ones hold.
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
