//! Paths that only root can change: what is there, and every directory on the way to it. Root writes to
//! such a path, or goes by what it finds there.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{
    AtFlags, CWD, FileType, Mode, OFlags, Stat, fchmod, fstat, mkdirat, openat, readlinkat, statat,
};
use rustix::io::Errno;

use crate::error::{IoContext, Result};
use crate::text;

/// The mode of a directory that is made, and of what is made on the way to it.
const MODE: Mode = Mode::RWXU;
const MODE_ON_THE_WAY: Mode = Mode::from_raw_mode(0o755);

/// Write permission of others than the owner.
const OTHERS_WRITE: u32 = 0o022;
const STICKY: u32 = 0o1000;

/// So many links may be on the way, as in the kernel.
const MOST_LINKS: usize = 40;

/// Why others than root could change what is at a path: at which of its components, and by what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    path: PathBuf,
    what: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", text::path(&self.path), self.what)
    }
}

/// What a path leads to.
pub(crate) enum Found {
    /// A directory or a file, by a descriptor that only names it (`O_PATH`).
    Own(OwnedFd, Stat),
    /// Something that others than root could change, and how.
    Others(Fault),
    /// Nothing has this name, and only root could make it.
    Nothing,
}

/// Why others could change what is at the path; none where they cannot, or where there is nothing.
pub fn fault(path: &Path) -> Result<Option<Fault>> {
    match find(path, false)? {
        Found::Others(fault) => Ok(Some(fault)),
        Found::Own(..) | Found::Nothing => Ok(None),
    }
}

/// Whether others than its owner may write to it.
pub(crate) fn others_write(stat: &Stat) -> bool {
    stat.st_mode & OTHERS_WRITE != 0
}

/// Root's, or whoever's who runs this: a test of the library.
pub(crate) fn is_ours(stat: &Stat) -> bool {
    stat.st_uid == 0 || stat.st_uid == rustix::process::geteuid().as_raw()
}

/// What is on the way, with its name for messages.
struct Step {
    fd: OwnedFd,
    path: PathBuf,
    stat: Stat,
}

impl Step {
    fn look(fd: OwnedFd, path: PathBuf) -> Result<Step> {
        let stat = fstat(&fd).context("cannot look at", &path)?;
        Ok(Step { fd, path, stat })
    }

    fn root() -> Result<Step> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Step::look(openat(CWD, "/", flags, Mode::empty()).context("cannot open", "/")?, "/".into())
    }

    /// Why others could change what is in it, if they could. On the way a directory that everybody may write
    /// to will do if it is sticky, as `/tmp` is: what root has there, others can neither rename nor delete.
    fn fault(&self, is_last: bool) -> Option<Fault> {
        let fault = |what: String| Some(Fault { path: self.path.clone(), what });
        if !is_ours(&self.stat) {
            return fault(format!("belongs to uid {}", self.stat.st_uid));
        }
        let sticky = !is_last && self.stat.st_mode & STICKY != 0;
        if others_write(&self.stat) && !sticky {
            fault("may be written to by others".to_owned())
        } else {
            None
        }
    }
}

/// Goes to the path component by component and by descriptor, so that what was looked at is what is used,
/// and makes the directories that are missing, where it is asked to. A link is followed where nobody but root
/// could have made it.
pub(crate) fn find(path: &Path, make: bool) -> Result<Found> {
    let mut way = vec![Step::root()?];
    let mut left = names_of(path);
    let mut links = 0;
    while let Some(name) = left.pop() {
        let Some(at) = way.last() else { break };
        if name == ".." {
            way.truncate(way.len().saturating_sub(1).max(1));
            continue;
        }
        let path = at.path.join(&name);
        let is_last = left.is_empty();
        match statat(&at.fd, &name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Symlink => {
                links += 1;
                if !is_ours(&stat) || others_write(&at.stat) || links > MOST_LINKS {
                    let what = "is a link that others could have made".to_owned();
                    return Ok(Found::Others(Fault { path, what }));
                }
                let target = readlinkat(&at.fd, &name, Vec::new()).context("cannot read", &path)?;
                let target = PathBuf::from(OsString::from_vec(target.into_bytes()));
                if target.is_absolute() {
                    way = vec![Step::root()?];
                }
                left.extend(names_of(&target));
                continue;
            }
            Ok(_) => {}
            Err(Errno::NOENT | Errno::NOTDIR) if !make => return Ok(Found::Nothing),
            Err(Errno::NOENT) => make_dir(&at.fd, &name, &path, is_last)?,
            Err(error) => return Err(error).context("cannot look at", &path),
        }
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let step =
            Step::look(openat(&at.fd, &name, flags, Mode::empty()).context("cannot open", &path)?, path)?;
        if let Some(fault) = step.fault(is_last) {
            return Ok(Found::Others(fault));
        }
        way.push(step);
    }
    Ok(way.pop().map_or(Found::Nothing, |step| Found::Own(step.fd, step.stat)))
}

/// The components, the last first.
fn names_of(path: &Path) -> Vec<OsString> {
    let names = path.components().filter(|part| matches!(part, Component::Normal(_) | Component::ParentDir));
    let mut names: Vec<OsString> = names.map(|part| part.as_os_str().to_owned()).collect();
    names.reverse();
    names
}

fn make_dir(at: &OwnedFd, name: &OsStr, path: &Path, is_last: bool) -> Result<()> {
    let mode = if is_last { MODE } else { MODE_ON_THE_WAY };
    match mkdirat(at, name, mode) {
        // Another process was faster: it is looked at like any other.
        Err(Errno::EXIST) => return Ok(()),
        made => made.context("cannot create directory", path)?,
    }
    // The umask took bits away.
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let made = openat(at, name, flags, Mode::empty()).context("cannot open", path)?;
    fchmod(&made, mode).context("cannot set the mode of", path)
}
