//! How long each run of `inc` took: the files `DATADIR/time-inc_YYYY-MM-DD-HH`, which
//! `check-setup` and the administrator's own scripts read.

use std::fmt::Display;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::ToSpan;
use jiff::civil::Date;

use super::IncName;
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
        let finished = content.trim_ascii_end().ends_with(b";GLOBAL");
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

fn delete_old(dir: &Path, today: Date) -> Result<()> {
    let Ok(oldest) = today.checked_sub(KEEP_DAYS.days()) else {
        return Ok(());
    };
    for entry in fs::read_dir(dir).context("cannot read", dir)? {
        let entry = entry.context("cannot read", dir)?;
        let run =
            entry.file_name().to_str().and_then(|name| name.strip_prefix(PREFIX)?.parse::<IncName>().ok());
        if run.is_some_and(|run| run.date() < oldest) {
            fs::remove_file(entry.path()).context("cannot delete", entry.path())?;
        }
    }
    Ok(())
}

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
        let left = |name| dir.path().join(name).exists();
        assert!(left("time-inc_2026-02-27-03") && left("time-inc_notes") && left("other"));
        assert!(!left("time-inc_2026-02-26-23"));
    }
}
