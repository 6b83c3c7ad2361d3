//! A text file to which several processes append lines, and which never exceeds its limit.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::error::{IoContext, Result};
use crate::file;
use crate::lock::Lock;

/// The number of bytes that are read at once in search of the newest lines.
const BLOCK: u64 = 32 << 10;

/// Appends one line (without its line end). A file that has reached `limit` bytes becomes `FILE.1` and
/// replaces the previous one, so that both together stay below twice the limit.
pub(super) fn append(path: &Path, limit: u64, line: &str) -> Result<()> {
    if let Some(dir) = path.parent() {
        file::make_private_dir(dir, 0o700)?;
    }
    // No process may rename the file between another's open and write.
    let _lock = Lock::take_beside(&path.with_extension("lock"))?;
    let mut file = open(path)?;
    let len = file.seek(SeekFrom::End(0)).context("cannot read", path)?;
    if len >= limit {
        fs::rename(path, older(path)).context("cannot rename", path)?;
        file = open(path)?;
    }
    let mut text = String::with_capacity(line.len() + 2);
    // A crash of the machine may have left half a line, to which this one must not be joined.
    if len > 0 && len < limit && last_byte(&mut file, len).context("cannot read", path)? != b'\n' {
        text.push('\n');
    }
    text.push_str(line);
    text.push('\n');
    file.write_all(text.as_bytes()).context("cannot write", path)
}

/// All lines, newest first, as long as they are text.
pub(super) fn newest_first(path: &Path) -> Result<impl Iterator<Item = String> + use<>> {
    let newer = lines(path)?;
    let older = lines(&older(path))?;
    Ok(older.into_iter().chain(newer).rev())
}

/// The first result that `look` returns, beginning with the newest line. Reads only as far as needed: usually
/// the result is among the last lines of megabytes, and there are hundreds of jails.
pub(super) fn find_newest<T>(path: &Path, mut look: impl FnMut(&str) -> Option<T>) -> Result<Option<T>> {
    for path in [path, &older(path)] {
        let mut file = match File::open(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            file => file.context("cannot read", path)?,
        };
        if let Some(found) = find_backwards(&mut file, &mut look).context("cannot read", path)? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

fn find_backwards<T>(file: &mut File, look: &mut impl FnMut(&str) -> Option<T>) -> io::Result<Option<T>> {
    let mut before = file.seek(SeekFrom::End(0))?;
    // The end of a line whose beginning has not been read yet.
    let mut rest = Vec::new();
    while before > 0 {
        let start = before.saturating_sub(BLOCK);
        let mut bytes = vec![0; (before - start) as usize];
        file.seek(SeekFrom::Start(start))?;
        file.read_exact(&mut bytes)?;
        before = start;
        bytes.append(&mut rest);
        let mut end = bytes.len();
        while let Some(newline) = bytes[..end].iter().rposition(|byte| *byte == b'\n') {
            if let Some(found) = look(&String::from_utf8_lossy(&bytes[newline + 1..end])) {
                return Ok(Some(found));
            }
            end = newline;
        }
        bytes.truncate(end);
        rest = bytes;
    }
    Ok(look(&String::from_utf8_lossy(&rest)))
}

fn open(path: &Path) -> Result<File> {
    OpenOptions::new()
        .read(true)
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)
        .context("cannot open", path)
}

fn last_byte(file: &mut File, len: u64) -> std::io::Result<u8> {
    let mut byte = [0];
    file.seek(SeekFrom::Start(len - 1))?;
    file.read_exact(&mut byte)?;
    Ok(byte[0])
}

fn older(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".1");
    name.into()
}

fn lines(path: &Path) -> Result<Vec<String>> {
    match fs::read(path) {
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).lines().map(str::to_owned).collect()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error).context("cannot read", path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_back_newest_first_over_the_change_of_files() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state/x.log");
        for number in 0..25 {
            append(&path, 50, &format!("line {number}")).unwrap();
        }
        let all: Vec<_> = newest_first(&path).unwrap().collect();
        assert_eq!(all[0], "line 24");
        assert!(all.len() < 25 && all.len() > 5, "{all:?}");
        for (pair, number) in all.windows(2).zip((0..25).rev()) {
            assert_eq!(pair[0], format!("line {number}"));
            assert_eq!(pair[1], format!("line {}", number - 1));
        }
        let bytes: u64 = ["x.log", "x.log.1"]
            .iter()
            .map(|name| fs::metadata(path.with_file_name(name)).unwrap().len())
            .sum();
        assert!(bytes < 120, "{bytes}");
    }

    #[test]
    fn the_newest_is_found_wherever_a_block_begins() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.log");
        let find = |wanted: &str| {
            let mut seen = Vec::new();
            let found = find_newest(&path, |line| {
                seen.push(line.to_owned());
                (line == wanted).then(|| line.to_owned())
            });
            seen.retain(|line| !line.is_empty());
            (found.unwrap(), seen)
        };
        assert_eq!(find("x"), (None, Vec::new()));
        let line = |number: usize| format!("{number}:{}", "x".repeat(number * 97 % 5000));
        for number in 0..60 {
            append(&path, 100_000, &line(number)).unwrap();
        }
        assert!(older(&path).exists());
        let all: Vec<_> = newest_first(&path).unwrap().collect();
        assert_eq!(find("none"), (None, all.clone()));
        for at in [0, 1, all.len() - 1] {
            assert_eq!(find(&all[at]), (Some(all[at].clone()), all[..=at].to_vec()));
        }
        // A line that is longer than a block.
        fs::write(&path, format!("first\n{}\nlast", "y".repeat(100_000))).unwrap();
        let (found, seen) = find("first");
        assert_eq!((found.as_deref(), seen.len(), seen[1].len()), (Some("first"), 3, 100_000));
    }

    #[test]
    fn half_a_line_left_by_a_crash_does_not_swallow_the_next() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.log");
        fs::write(&path, "whole\nhal").unwrap();
        append(&path, 1000, "next").unwrap();
        assert_eq!(newest_first(&path).unwrap().collect::<Vec<_>>(), ["next", "hal", "whole"]);
    }
}
