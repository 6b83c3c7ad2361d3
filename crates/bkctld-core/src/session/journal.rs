//! A text file that lines are appended to by several processes, and that never outgrows its limit.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::error::{IoContext, Result};
use crate::file;
use crate::lock::Lock;

/// Appends one line (given without its end). When the file has reached `limit` bytes it becomes
/// `FILE.1`, replacing the one before, so that both together stay below twice the limit.
pub(super) fn append(path: &Path, limit: u64, line: &str) -> Result<()> {
    if let Some(dir) = path.parent() {
        file::make_private_dir(dir, 0o700)?;
    }
    // Whoever renames must not do so between another's open and write.
    let _lock = Lock::take(&path.with_extension("lock"), || {})?;
    let mut file = open(path)?;
    let len = file.seek(SeekFrom::End(0)).context("cannot read", path)?;
    if len >= limit {
        fs::rename(path, older(path)).context("cannot rename", path)?;
        file = open(path)?;
    }
    let mut text = String::with_capacity(line.len() + 2);
    // A crash of the machine may have left half a line; it must not swallow this one.
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
    fn half_a_line_left_by_a_crash_does_not_swallow_the_next() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.log");
        fs::write(&path, "whole\nhal").unwrap();
        append(&path, 1000, "next").unwrap();
        assert_eq!(newest_first(&path).unwrap().collect::<Vec<_>>(), ["next", "hal", "whole"]);
    }
}
