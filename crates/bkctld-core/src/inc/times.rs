//! The duration of each run of `inc`: the files `DATADIR/time-inc_YYYY-MM-DD-HH`, which `check-setup` and the
//! administrator's own scripts read.

use std::fmt::Display;
use std::fs::{self, DirEntry, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::ToSpan;
use jiff::civil::Date;

use super::IncName;
use super::list::entries;
use crate::config::Settings;
use crate::error::{IoContext, Result};
use crate::file;

const PREFIX: &str = "time-inc_";
const KEEP_DAYS: i64 = 30;

/// The file of one run: a line for each jail as it is done, and one for the whole run at its end.
/// A file without that last line is of a run that is not finished.
#[derive(Debug)]
pub struct TimeFile {
    path: PathBuf,
    /// How many lines this run has written; held while one is.
    written: Mutex<usize>,
}

impl TimeFile {
    /// Begins the file of this run, or goes on with that of an earlier one of the same hour, and
    /// deletes those that are older than 30 days.
    pub fn begin(settings: &Settings, run: IncName) -> Result<TimeFile> {
        file::make_dir(&settings.data_dir)?;
        delete_old(&settings.data_dir, run.date())?;
        let path = settings.data_dir.join(format!("{PREFIX}{run}"));
        if file::read_if_there(&path)?.is_none() {
            file::replace(&path, 0o644, b"# seconds ;jail\n")?;
        }
        Ok(TimeFile { path, written: Mutex::new(0) })
    }

    /// A jail's inc is there.
    pub fn jail(&self, jail: &impl Display, took: Duration) -> Result<()> {
        self.line(took, jail)
    }

    /// The run is over. One that found every inc there says nothing about how long a run takes,
    /// unless the one before it never came to its end.
    pub fn finish(self, took: Duration) -> Result<()> {
        let content = file::read_if_there(&self.path)?.unwrap_or_default();
        let finished = whole_time(&content).is_some();
        let idle = self.written.lock().is_ok_and(|written| *written == 0);
        if finished && idle { Ok(()) } else { self.line(took, &"GLOBAL") }
    }

    fn line(&self, took: Duration, what: &dyn Display) -> Result<()> {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        let mut file =
            OpenOptions::new().append(true).open(&self.path).context("cannot write", &self.path)?;
        writeln!(file, "{} ;{what}", took.as_secs()).context("cannot write", &self.path)?;
        *written += 1;
        Ok(())
    }
}

/// The times of one run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimedRun {
    /// The hour in which it began.
    pub run: IncName,
    /// Its duration; none if it has not finished.
    pub took: Option<Duration>,
}

/// The runs on this day and later, oldest first.
pub fn timed_runs(settings: &Settings, since: Date) -> Result<Vec<TimedRun>> {
    let dir = &settings.data_dir;
    let mut runs = Vec::new();
    for entry in entries(dir)? {
        if let Some(run) = run_of(&entry)
            && run.date() >= since
            && let Some(content) = file::read_if_there(&entry.path())?
        {
            runs.push(TimedRun { run, took: whole_time(&content) });
        }
    }
    runs.sort_by_key(|run| run.run);
    Ok(runs)
}

/// What the last line says, if that is the one for the whole run.
fn whole_time(content: &[u8]) -> Option<Duration> {
    let last = content.trim_ascii_end().rsplit(|byte| *byte == b'\n').next()?;
    let (seconds, what) = std::str::from_utf8(last).ok()?.split_once(';')?;
    let seconds = seconds.trim().parse().ok().filter(|_| what.trim() == "GLOBAL")?;
    Some(Duration::from_secs(seconds))
}

fn run_of(entry: &DirEntry) -> Option<IncName> {
    entry.file_name().to_str()?.strip_prefix(PREFIX)?.parse().ok()
}

fn delete_old(dir: &Path, today: Date) -> Result<()> {
    let Ok(oldest) = today.checked_sub(KEEP_DAYS.days()) else {
        return Ok(());
    };
    for entry in entries(dir)? {
        if run_of(&entry).is_some_and(|run| run.date() < oldest) {
            fs::remove_file(entry.path()).context("cannot delete", entry.path())?;
        }
    }
    Ok(())
}

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod properties;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_leaves_a_line_for_each_jail_and_takes_old_files_along() {
        let dir = tempfile::tempdir().unwrap();
        let settings = Settings { data_dir: dir.path().to_path_buf(), ..Settings::default() };
        for name in ["time-inc_2026-02-27-03", "time-inc_2026-02-26-23", "time-inc_notes", "other"] {
            fs::write(dir.path().join(name), "").unwrap();
        }
        let times = TimeFile::begin(&settings, "2026-03-29-04".parse().unwrap()).unwrap();
        times.jail(&"web", Duration::from_millis(2900)).unwrap();
        times.finish(Duration::from_secs(61)).unwrap();
        let text = fs::read_to_string(dir.path().join("time-inc_2026-03-29-04")).unwrap();
        assert_eq!(text, "# seconds ;jail\n2 ;web\n61 ;GLOBAL\n");
        // A second run in the same hour that finds everything there adds nothing.
        let again = TimeFile::begin(&settings, "2026-03-29-04".parse().unwrap()).unwrap();
        again.finish(Duration::ZERO).unwrap();
        assert_eq!(fs::read_to_string(dir.path().join("time-inc_2026-03-29-04")).unwrap(), text);
        fs::write(dir.path().join("time-inc_2026-03-01-02"), "# \n7 ;web\n").unwrap();
        fs::write(dir.path().join("time-inc_2026-03-02-02"), "# \n9 ; GLOBAL\n").unwrap();
        let runs = timed_runs(&settings, "2026-03-01".parse().unwrap()).unwrap();
        let runs: Vec<_> =
            runs.iter().map(|run| (run.run.to_string(), run.took.map(|took| took.as_secs()))).collect();
        let expected = [("2026-03-01-02", None), ("2026-03-02-02", Some(9)), ("2026-03-29-04", Some(61))];
        assert_eq!(runs, expected.map(|(run, took)| (run.to_owned(), took)));
        let left = |name| dir.path().join(name).exists();
        assert!(left("time-inc_2026-02-27-03") && left("time-inc_notes") && left("other"));
        assert!(!left("time-inc_2026-02-26-23"));
    }
}
