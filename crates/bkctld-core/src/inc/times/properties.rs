//! Properties of every file of a run's times.

use super::*;
use crate::fuzzing::{put, with_jail};

pub(crate) fn hold(bytes: &[u8]) {
    let Ok(run) = "2026-03-01-07".parse::<IncName>() else { return };
    with_jail(|_, settings| {
        let path = settings.data_dir.join(format!("{PREFIX}{run}"));
        put(&path, bytes);
        let runs = timed_runs(settings, run.date()).ok();
        assert_eq!(runs, Some(vec![TimedRun { run, took: whole_time(bytes) }]));
        // The next run of the same hour goes on with it.
        let Ok(times) = TimeFile::begin(settings, run) else { unreachable!("cannot go on") };
        assert!(times.jail(&"web", Duration::from_secs(1)).is_ok());
        assert!(times.finish(Duration::from_secs(7)).is_ok());
        let runs = timed_runs(settings, run.date()).ok();
        assert_eq!(runs, Some(vec![TimedRun { run, took: Some(Duration::from_secs(7)) }]));
        let _ = fs::remove_file(path);
    });
}
