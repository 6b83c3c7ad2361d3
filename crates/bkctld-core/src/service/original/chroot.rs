//! The sshd of a jail of the first format: a process of the server whose root is the jail's directory.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::mount::{UnmountFlags, unmount};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::error::{IoContext, Result};
use crate::jail::Jail;
use crate::service::end::end;

/// The processes whose root is the jail's directory or a directory in it: sshd, its sessions and their
/// children. The client was root there and could change its root again.
///
/// The original used the pid in the jail's `run/sshd.pid`, which the client could write, and which is missing
/// for the sessions of an sshd that died.
pub fn processes(jail: &Jail) -> Result<Vec<Pid>> {
    let proc = Path::new("/proc");
    let dir = jail.dir().canonicalize().context("cannot read", jail.dir())?;
    let mut found = Vec::new();
    for entry in fs::read_dir(proc).context("cannot read", proc)? {
        let entry = entry.context("cannot read", proc)?;
        let pid = entry.file_name().to_str().and_then(|name| name.parse().ok()).and_then(Pid::from_raw);
        if let Some(pid) = pid
            && has_root_in(pid, &dir)
        {
            found.push(pid);
        }
    }
    Ok(found)
}

/// Ends the jail's sshd and its sessions, and returns when the last process is gone and what the
/// original had mounted in the jail is unmounted.
pub fn stop(jail: &Jail) -> Result<()> {
    end(jail, &|signal| signal_all(jail, signal), &|| Ok(processes(jail)?.is_empty()))?;
    for Mount { place, .. } in mounts(jail)?.iter().rev().filter(|mount| mount.is_the_originals()) {
        unmount(place, UnmountFlags::NOFOLLOW).context("cannot unmount", place)?;
    }
    Ok(())
}

fn signal_all(jail: &Jail, signal: Signal) -> Result<()> {
    for pid in processes(jail)? {
        let Ok(process) = pidfd_open(pid, PidfdFlags::empty()) else { continue };
        // After the descriptor was opened, so that it is of the process that is looked at.
        if is_in(jail, pid) {
            // Gone already is as good.
            let _ = pidfd_send_signal(&process, signal);
        }
    }
    Ok(())
}

/// Whether the process has its root in the jail's directory. A process that has ended does not.
fn is_in(jail: &Jail, pid: Pid) -> bool {
    jail.dir().canonicalize().is_ok_and(|dir| has_root_in(pid, &dir))
}

/// Checks the path, which the kernel reports from our point of view, and the directory itself, to which the
/// link leads even if the process has its own mount namespace.
fn has_root_in(pid: Pid, dir: &Path) -> bool {
    let root = PathBuf::from(format!("/proc/{}/root", pid.as_raw_nonzero()));
    let same = |a: fs::Metadata, b: fs::Metadata| (a.dev(), a.ino()) == (b.dev(), b.ino());
    fs::read_link(&root).is_ok_and(|path| path.starts_with(dir))
        || fs::metadata(&root).is_ok_and(|root| fs::metadata(dir).is_ok_and(|dir| same(root, dir)))
}

/// A mount inside of a jail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// The mount point.
    pub place: PathBuf,
    /// The type of its file system.
    pub kind: String,
}

impl Mount {
    /// Whether the original made the mount, because its sshd needed `/proc` and `/dev`. These file systems
    /// store nothing.
    pub fn is_the_originals(&self) -> bool {
        const KINDS: [&str; 5] = ["proc", "devpts", "devtmpfs", "sysfs", "tmpfs"];
        KINDS.contains(&self.kind.as_str())
    }
}

/// The mounts below the jail's directory, outer ones first.
pub fn mounts(jail: &Jail) -> Result<Vec<Mount>> {
    let table = Path::new("/proc/self/mountinfo");
    let content = fs::read(table).context("cannot read", table)?;
    let dir = jail.dir().canonicalize().context("cannot read", jail.dir())?;
    Ok(parse_mounts(&content).filter(|mount| mount.place.starts_with(&dir) && mount.place != dir).collect())
}

/// Parses the lines of mountinfo, proc_pid_mountinfo(5): the fifth field is the mount point, and the type
/// follows a lone `-`.
fn parse_mounts(table: &[u8]) -> impl Iterator<Item = Mount> {
    table.split(|byte| *byte == b'\n').filter_map(|line| {
        let mut fields = line.split(|byte| *byte == b' ');
        let place = PathBuf::from(OsString::from_vec(unescaped(fields.nth(4)?)));
        let kind = String::from_utf8_lossy(fields.skip_while(|field| *field != b"-").nth(1)?).into_owned();
        Some(Mount { place, kind })
    })
}

/// Decodes escapes of the table, such as `\040` for a blank.
fn unescaped(field: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(field.len());
    let mut rest = field;
    while let [first, after @ ..] = rest {
        let octal = after.get(..3).and_then(|digits| std::str::from_utf8(digits).ok());
        match octal.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) if *first == b'\\' => {
                out.push(byte);
                rest = &after[3..];
            }
            _ => {
                out.push(*first);
                rest = after;
            }
        }
    }
    out
}

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod properties;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_mounts_is_read_with_its_escapes() {
        let table = b"36 35 98:0 / /mnt/a\\040b/proc rw,noatime master:1 shared:2 - proc proc rw\n\
                      37 35 98:0 /x / ro - ext4 /dev/a ro\nnonsense\n";
        let found: Vec<Mount> = parse_mounts(table).collect();
        let mount = |place: &str, kind: &str| Mount { place: place.into(), kind: kind.into() };
        assert_eq!(found, [mount("/mnt/a b/proc", "proc"), mount("/", "ext4")]);
        assert!(found[0].is_the_originals() && !found[1].is_the_originals());
    }
}
