//! A file that the client can write, seen from the server: its name may refer to a link, a fifo, a device, a
//! directory, or a file of any size, and to something else a moment later.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use bkctld_tree::{hold, open_held};
use jiff::Timestamp;
use rustix::fs::{CWD, FileType, Mode, OFlags, Stat, fstat, openat};
use rustix::io::Errno;

use super::Jail;
use crate::error::{IoContext, Result};

/// A regular file, held by descriptor.
#[derive(Debug)]
pub struct ClientFile {
    held: OwnedFd,
    stat: Stat,
    path: PathBuf,
}

/// What lies under the name.
#[derive(Debug)]
pub enum Lookup {
    /// A regular file, which can be opened.
    File(ClientFile),
    /// Nothing, or a missing directory in its path.
    Missing,
    /// Something that must not be opened.
    NotAFile(NotAFile),
}

impl Lookup {
    /// The file, where it is one.
    pub fn file(self) -> Option<ClientFile> {
        match self {
            Lookup::File(file) => Some(file),
            Lookup::Missing | Lookup::NotAFile(_) => None,
        }
    }
}

/// What is no regular file; prints as what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAFile {
    /// A symbolic link, or one in its path. It is not followed, because it may lead anywhere.
    #[error("a symbolic link, which is not followed")]
    Link,
    /// A directory, which has nothing to read.
    #[error("a directory, not a file")]
    Directory,
    /// A fifo, which would hold whoever opens it.
    #[error("a fifo, not a file")]
    Fifo,
    /// A device or a socket.
    #[error("a device or a socket, not a file")]
    Special,
}

impl ClientFile {
    /// Opens a handle to the file at `below`, a path below the jail's directory.
    pub fn find(jail: &Jail, below: &Path) -> Result<Lookup> {
        let path = jail.dir().join(below);
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        // Only root writes in JAILDIR.
        let dir = match openat(CWD, jail.dir(), flags, Mode::empty()) {
            Err(Errno::NOENT) => return Ok(Lookup::Missing),
            dir => dir.context("cannot open", jail.dir())?,
        };
        let held = match hold(&dir, below.as_os_str().as_bytes()) {
            Ok(held) => held,
            Err(error) => match error.raw_os_error().map(Errno::from_raw_os_error) {
                Some(Errno::NOENT | Errno::NOTDIR) => return Ok(Lookup::Missing),
                Some(Errno::LOOP) => return Ok(Lookup::NotAFile(NotAFile::Link)),
                _ => return Err(error).context("cannot look at", &path),
            },
        };
        let stat = fstat(&held).context("cannot look at", &path)?;
        Ok(match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => Lookup::File(ClientFile { held, stat, path }),
            FileType::Symlink => Lookup::NotAFile(NotAFile::Link),
            FileType::Directory => Lookup::NotAFile(NotAFile::Directory),
            FileType::Fifo => Lookup::NotAFile(NotAFile::Fifo),
            _ => Lookup::NotAFile(NotAFile::Special),
        })
    }

    /// `var/log/lastlog`, in every jail format: its modification time is the time of the last login.
    pub fn lastlog(jail: &Jail) -> Result<Lookup> {
        ClientFile::find(jail, Path::new("var/log/lastlog"))
    }

    /// The time of the last change, which the client can set. A time outside the calendar becomes its
    /// earliest or latest time.
    pub fn modified(&self) -> Timestamp {
        let (seconds, nanoseconds) = (self.stat.st_mtime, self.stat.st_mtime_nsec as i32);
        let end = if seconds < 0 { Timestamp::MIN } else { Timestamp::MAX };
        Timestamp::new(seconds, nanoseconds).unwrap_or(end)
    }

    /// The size in bytes when it was found.
    pub fn size(&self) -> u64 {
        self.stat.st_size as u64
    }

    /// Opens the file for reading. Never blocks: a lease that the client holds on the file is an error.
    pub fn open(&self) -> Result<File> {
        Ok(open_held(&self.held).context("cannot read", &self.path)?.into())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Read;
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::Settings;

    /// The text of the file; else what is there instead, which is nothing where it is missing.
    fn find(jail: &Jail, below: &str) -> Result<String, Option<NotAFile>> {
        match ClientFile::find(jail, Path::new(below)).unwrap() {
            Lookup::File(file) => {
                let mut text = String::new();
                file.open().unwrap().read_to_string(&mut text).unwrap();
                assert_eq!(file.size(), text.len() as u64);
                Ok(text)
            }
            Lookup::Missing => Err(None),
            Lookup::NotAFile(what) => Err(Some(what)),
        }
    }

    #[test]
    fn only_a_regular_file_that_no_link_leads_to_is_one() {
        let dir = tempfile::tempdir().unwrap();
        let jail = Jail::new(&Settings::on_partition(dir.path()), "j".parse().unwrap());
        assert_eq!(find(&jail, "data/file"), Err(None));
        let data = jail.data();
        fs::create_dir_all(data.join("dir")).unwrap();
        fs::write(data.join("file"), "text").unwrap();
        fs::write(dir.path().join("secret"), "secret").unwrap();
        symlink("file", data.join("link")).unwrap();
        symlink("dir", data.join("linked")).unwrap();
        fs::write(data.join("dir/file"), "deep").unwrap();
        rustix::fs::mknodat(CWD, data.join("fifo"), FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(data.join("socket")).unwrap();
        for (below, found) in [
            ("data/file", Ok("text")),
            ("data/dir/file", Ok("deep")),
            ("data//dir/file", Ok("deep")),
            ("data/file/", Err(None)),
            ("data/none", Err(None)),
            ("data/none/file", Err(None)),
            ("data/link", Err(Some(NotAFile::Link))),
            ("data/linked/file", Err(Some(NotAFile::Link))),
            ("data/dir", Err(Some(NotAFile::Directory))),
            ("data/fifo", Err(Some(NotAFile::Fifo))),
            ("data/socket", Err(Some(NotAFile::Special))),
        ] {
            assert_eq!(find(&jail, below), found.map(str::to_owned), "{below}");
        }
        assert!(ClientFile::find(&jail, Path::new("../../secret")).is_err());
    }
}
