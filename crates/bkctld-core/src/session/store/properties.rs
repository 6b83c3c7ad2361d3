//! Properties of the files of a jail's sessions, whatever they contain.

use super::*;
use crate::fuzzing::{assert_shown, put, with_jail};

pub(crate) fn hold(bytes: &[u8]) {
    of_record(bytes);
    with_jail(|jail, _| {
        let finished = finished_path(jail);
        put(&finished, bytes);
        let _ = fs::remove_file(last_push_path(&finished));
        the_same_lines_from_both_ends(&finished);
        of_finished(jail);
        put(&last_push_path(&finished), bytes);
        of_finished(jail);
        of_active(jail, bytes);
    });
}

fn of_record(bytes: &[u8]) {
    for line in bytes.split(|byte| *byte == b'\n') {
        let Ok(record) = serde_json::from_slice::<SessionRecord>(line) else { continue };
        assert_shown(record.summary());
        let again = serde_json::to_vec(&record).ok().and_then(|text| serde_json::from_slice(&text).ok());
        assert_eq!(again, Some(record));
    }
}

fn the_same_lines_from_both_ends(path: &Path) {
    let mut seen = Vec::new();
    let found = journal::find_newest::<()>(path, |line| {
        seen.push(line.strip_suffix('\r').unwrap_or(line).to_owned());
        None
    });
    assert!(found.is_ok_and(|found| found.is_none()));
    let all: Option<Vec<String>> = journal::newest_first(path).ok().map(Iterator::collect);
    // Text after the last line end is not a line in one view, and an empty line in the other.
    if seen.first().is_some_and(String::is_empty) {
        seen.remove(0);
    }
    assert_eq!(all, Some(seen));
}

fn of_finished(jail: &Jail) {
    let (pushes, last) = (pushes(jail), last_push(jail));
    assert!(last_finished(jail).is_ok());
    let (Ok(pushes), Ok(last)) = (pushes, last) else { unreachable!("records cannot be read") };
    let ended = last.map(|record| record.end.unwrap_or(record.begin));
    assert!(pushes.last_successful.is_none() || ended.is_some(), "{pushes:?}");
}

/// The record of a dead monitor.
fn of_active(jail: &Jail, bytes: &[u8]) {
    let made = fs::create_dir_all(active_dir(jail));
    assert!(made.is_ok());
    let path = active_dir(jail).join("1-2.json");
    put(&path, bytes);
    assert_eq!(active(jail).ok(), Some(Vec::new()));
    assert!(!path.exists());
    let last = last_finished(jail).ok().flatten();
    let given = serde_json::from_slice::<SessionRecord>(bytes).ok();
    if let Some(given) = given.filter(SessionRecord::had_login) {
        assert_eq!(last.map(|last| (last.id, last.ending)), Some((given.id, Some(Ending::Killed))));
    }
}
