//! `LOCKDIR`: the directory of the locks. Root writes there under names that everybody can guess, and
//! believes what it finds there, so nobody else may be able to change it, or what is on the way to it.

use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{
    AtFlags, CWD, FileType, Mode, OFlags, Stat, fchmod, fstat, mkdirat, openat, readlinkat, statat,
};
use rustix::io::Errno;

use crate::error::{Error, IoContext, Result};
use crate::text;

/// Where the locks are, unless the configuration says otherwise. Only root may make names in `/run`.
pub const PLACE: &str = "/run/bkctld";

/// Where they were before. Everybody may make names in `/run/lock`, so it was whoever's came first.
pub const EARLIER_PLACE: &str = "/run/lock/bkctld";

/// The mode of a directory that is made for locks, and of what is made on the way to it.
const MODE: Mode = Mode::RWXU;
const MODE_ON_THE_WAY: Mode = Mode::from_raw_mode(0o755);

/// Write permission of others than the owner.
const OTHERS_WRITE: u32 = 0o022;
const STICKY: u32 = 0o1000;

/// So many links may be on the way, as in the kernel.
const MOST_LINKS: usize = 40;

/// Where the locks are on a server whose configuration does not say it.
///
/// Once for each boot: processes that looked in two places would not see each other's locks. So where a
/// program of before has made the earlier place, and it is root's own, that stays in use; listeners that
/// run since before an upgrade hold their locks there. It is gone after a boot.
pub fn usual() -> PathBuf {
    usual_of(Path::new(PLACE), Path::new(EARLIER_PLACE))
}

fn usual_of(place: &Path, earlier: &Path) -> PathBuf {
    let decided = place.symlink_metadata().is_ok();
    let used = !decided && matches!(open(earlier), Ok(Some(_)));
    if used { earlier } else { place }.to_path_buf()
}

/// Opens the directory; none where it does not exist.
///
/// # Errors
/// [`Error::Refused`], where others than root may change it or what is on the way to it: a directory of
/// somebody else's, one that others may write to, a link that others could have made. On the way a
/// directory that everybody may write to will do if it is sticky, as `/tmp` is: what root has there,
/// others can neither rename nor delete.
pub fn open(dir: &Path) -> Result<Option<OwnedFd>> {
    walk(dir, false)
}

/// Opens the directory, and makes it where it does not exist.
///
/// # Errors
/// As [`open`].
pub fn open_or_make(dir: &Path) -> Result<OwnedFd> {
    let none = std::io::Error::from(std::io::ErrorKind::NotFound);
    walk(dir, true)?.ok_or(none).context("cannot make", dir)
}

/// Whether somebody else could make the directory first when it is gone, as after a boot.
pub fn anyone_could_make(dir: &Path) -> bool {
    let parent = dir.parent().and_then(|parent| parent.canonicalize().ok());
    parent.and_then(|parent| rustix::fs::stat(&parent).ok()).is_some_and(|stat| others_write(&stat))
}

/// A directory on the way, and its name for messages.
struct Step {
    fd: OwnedFd,
    path: PathBuf,
    stat: Stat,
}

impl Step {
    fn of(fd: OwnedFd, path: PathBuf) -> Result<Step> {
        let stat = fstat(&fd).context("cannot look at", &path)?;
        Ok(Step { fd, path, stat })
    }

    /// Why others could change what is in it, if they could. What root has in a sticky directory is safe
    /// from them.
    fn fault(&self, is_last: bool) -> Option<String> {
        if !is_ours(&self.stat) {
            return Some(format!("belongs to uid {}", self.stat.st_uid));
        }
        let sticky = self.stat.st_mode & STICKY != 0;
        (others_write(&self.stat) && (is_last || !sticky)).then(|| "may be written to by others".to_owned())
    }
}

/// Component by component and by descriptor, so that what was looked at is what is used.
fn walk(dir: &Path, make: bool) -> Result<Option<OwnedFd>> {
    let root = || -> Result<Step> {
        let fd = openat(CWD, "/", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
            .context("cannot open", "/")?;
        Step::of(fd, "/".into())
    };
    let mut way = vec![root()?];
    let mut left = names_of(dir);
    let mut links = 0;
    while let Some(name) = left.pop() {
        let Some(at) = way.last() else { break };
        let path = at.path.join(&name);
        if name == ".." {
            if way.len() > 1 {
                way.pop();
            }
            continue;
        }
        let is_last = left.is_empty();
        match statat(&at.fd, &name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Symlink => {
                links += 1;
                if !is_ours(&stat) || others_write(&at.stat) || links > MOST_LINKS {
                    return Err(refused(dir, &path, "is a link that others could have made"));
                }
                let target = readlinkat(&at.fd, &name, Vec::new()).context("cannot read", &path)?;
                let target = PathBuf::from(OsString::from_vec(target.into_bytes()));
                if target.is_absolute() {
                    way = vec![root()?];
                }
                left.extend(names_of(&target));
                continue;
            }
            Ok(_) => {}
            Err(Errno::NOENT) if !make => return Ok(None),
            Err(Errno::NOENT) => make_dir(&at.fd, &name, &path, is_last)?,
            Err(error) => return Err(error).context("cannot look at", &path),
        }
        let step = Step::of(open_dir(&at.fd, &name, dir, &path)?, path)?;
        if let Some(fault) = step.fault(is_last) {
            return Err(refused(dir, &step.path, &fault));
        }
        way.push(step);
    }
    Ok(way.pop().map(|step| step.fd))
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

fn open_dir(at: impl AsFd, name: &OsStr, dir: &Path, path: &Path) -> Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match openat(at, name.as_bytes(), flags, Mode::empty()) {
        Err(Errno::NOTDIR | Errno::LOOP) => Err(refused(dir, path, "is no directory")),
        opened => opened.context("cannot open", path),
    }
}

/// Root's, or whoever's who runs this: a test of the library.
pub(crate) fn is_ours(stat: &Stat) -> bool {
    stat.st_uid == 0 || stat.st_uid == rustix::process::geteuid().as_raw()
}

fn others_write(stat: &Stat) -> bool {
    stat.st_mode & OTHERS_WRITE != 0
}

fn refused(dir: &Path, path: &Path, fault: &str) -> Error {
    Error::Refused(format!(
        "locks cannot be kept in {}: {} {fault}; mend that, or set LOCKDIR to a directory that only root can write to, such as {PLACE}",
        text::path(dir),
        text::path(path)
    ))
}

#[cfg(test)]
mod tests;
