//! Finds files of a collection that have changed on the server.

use std::fs::{self, Metadata};
use std::io::{self, BufRead, BufReader};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::RuntimeStore;
use crate::error::{IoContext, Result};

impl RuntimeStore {
    /// The server's files that differ from their copies in the current runtime, after an upgrade of packages.
    /// Files that the server no longer has are not included.
    pub fn changed_on_the_server(&self) -> Result<Vec<PathBuf>> {
        let mut changed = Vec::new();
        changed_below(&self.current(), Path::new("usr"), &mut changed)?;
        changed.sort();
        Ok(changed)
    }
}

fn changed_below(root: &Path, below: &Path, changed: &mut Vec<PathBuf>) -> Result<()> {
    let dir = root.join(below);
    for entry in fs::read_dir(&dir).context("cannot read", &dir)? {
        let entry = entry.context("cannot read", &dir)?;
        let below = below.join(entry.file_name());
        let meta = entry.metadata().context("cannot read", entry.path())?;
        if meta.is_dir() {
            changed_below(root, &below, changed)?;
        } else if meta.is_file()
            && let Some((path, source)) = on_the_server(&below)
            && differs((&entry.path(), &meta), (&path, &source)).context("cannot read", &path)?
        {
            changed.push(path);
        }
    }
    Ok(())
}

/// The file from which the copy was made: at the same path, or directly below the root if the server has not
/// merged its `/usr`.
fn on_the_server(below: &Path) -> Option<(PathBuf, Metadata)> {
    let candidates = [Some(below), below.strip_prefix("usr").ok()];
    candidates.into_iter().flatten().find_map(|below| {
        let path = Path::new("/").join(below);
        let meta = fs::metadata(&path).ok()?;
        meta.is_file().then_some((path, meta))
    })
}

fn differs(copy: (&Path, &Metadata), source: (&Path, &Metadata)) -> io::Result<bool> {
    if copy.1.len() != source.1.len() {
        return Ok(true);
    }
    // Installing a file sets its ctime, whatever its mtime is. A file that is older than its copy is the
    // copied one, so in most cases nothing has to be read.
    if (source.1.ctime(), source.1.ctime_nsec()) < (copy.1.mtime(), copy.1.mtime_nsec()) {
        return Ok(false);
    }
    let open = |path: &Path| fs::File::open(path).map(BufReader::new);
    let (mut copy, mut source) = (open(copy.0)?, open(source.0)?);
    loop {
        let (one, other) = (copy.fill_buf()?, source.fill_buf()?);
        let len = one.len().min(other.len());
        if one[..len] != other[..len] || one.is_empty() != other.is_empty() {
            return Ok(true);
        }
        if len == 0 {
            return Ok(false);
        }
        copy.consume(len);
        source.consume(len);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_differs_by_its_content_and_not_by_its_time() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, content: &[u8]| {
            let path = dir.path().join(name);
            fs::write(&path, content).unwrap();
            path
        };
        let differs = |copy: &Path, source: &Path| {
            let (copy_meta, source_meta) = (fs::metadata(copy).unwrap(), fs::metadata(source).unwrap());
            super::differs((copy, &copy_meta), (source, &source_meta)).unwrap()
        };
        let long = vec![7; 100_000];
        let mut other = long.clone();
        other[99_999] = 8;
        let copy = write("copy", &long);
        // Later than the copy, so the contents are compared.
        assert!(!differs(&copy, &write("same", &long)));
        assert!(differs(&copy, &write("other", &other)));
        assert!(differs(&copy, &write("longer", &[long.clone(), vec![1]].concat())));
        // Earlier than the copy: not read.
        assert!(!differs(&write("later copy", &long), &copy));
    }
}
