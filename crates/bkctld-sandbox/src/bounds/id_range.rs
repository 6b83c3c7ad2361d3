//! The server's ids of a jail's users, and the user namespace that maps them.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use bkctld_core::Port;
use bkctld_core::error::{Error, IoContext, Result};
use bkctld_core::lock::Lock;
use bkctld_sys::namespace::{Namespace, unshare};
use bkctld_sys::process::fork;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, Resource, Rlimit, Signal, WaitOptions, kill_process, setrlimit, waitpid};
use rustix::thread::{
    CapabilitySet, CapabilitySets, Gid, Uid, capabilities, set_capabilities, set_keep_capabilities,
    set_thread_groups, set_thread_res_gid, set_thread_res_uid,
};

/// The lowest id for jails: above all ids that distributions, containers and directory services assign.
const FIRST: u32 = 0x8000_0000;
/// How many ids a range has: as many as a distribution expects.
const LEN: u32 = 0x1_0000;
/// The number of ranges. One less than would fit, because the last would contain 4294967295, which is not an
/// id.
const SLOTS: u16 = 0x7fff;

/// A range that no other running jail uses, and its user namespace.
#[derive(Debug)]
pub(crate) struct IdRange {
    base: u32,
    namespace: OwnedFd,
    /// The lock, inherited by monitors and inits, so that the range stays reserved while one of them lives.
    _lock: Lock,
}

impl IdRange {
    /// Takes a free range, if possible the same one for the same port. The limit applies to the processes of
    /// all users of the range together.
    pub(crate) fn take(lock_dir: &Path, port: Port, processes: u64) -> Result<IdRange> {
        for step in 0..SLOTS {
            let slot = ((u32::from(port.get()) + u32::from(step)) % u32::from(SLOTS)) as u16;
            if let Some(lock) = Lock::try_take(&lock_dir.join(format!("idrange.{slot}")))? {
                let base = FIRST + u32::from(slot) * LEN;
                let namespace = make_namespace(base, processes)?;
                return Ok(IdRange { base, namespace, _lock: lock });
            }
        }
        Err(Error::refused(format!("all {SLOTS} ranges of ids are in use")))
    }

    /// Makes another namespace of this range, with another limit.
    pub(crate) fn bounded(&self, processes: u64) -> Result<OwnedFd> {
        make_namespace(self.base, processes)
    }

    /// Lets new sessions enter this namespace. Processes of running sessions count for both.
    pub(crate) fn change_to(&mut self, bounded: OwnedFd) {
        self.namespace = bounded;
    }

    /// The namespace that new sessions enter.
    pub(crate) fn namespace(&self) -> BorrowedFd<'_> {
        self.namespace.as_fd()
    }

    /// The server's id of the jail's root.
    pub(crate) fn base(&self) -> u32 {
        self.base
    }
}

/// Lines for `uid_map` and `gid_map`: in-jail 0 to 65535 are the range, every other id is itself, so
/// that a client can store files of any owner; only the range's own ids are left out.
fn map(base: u32) -> String {
    let above = base + LEN;
    format!("0 {base} {LEN}\n{LEN} {LEN} {}\n{above} {above} {}\n", base - LEN, u32::MAX - above)
}

/// Makes the namespace in a child, which it outlives as a descriptor.
///
/// The child becomes the range's root first: the kernel counts all processes of a user namespace, whichever
/// users they have in it, as processes of the user who made it, and applies the limit that this user had then
/// (RLIMIT_NPROC; `user_namespaces(7)`). Made by root, the namespace would have no limit: one that a session
/// sets for itself applies to each user separately, and the jail has four billion.
fn make_namespace(base: u32, processes: u64) -> Result<OwnedFd> {
    let fail = |what: &str, error: std::io::Error| {
        Error::kernel(format!("cannot make a user namespace: {what}"), error)
    };
    let pipe = || pipe_with(PipeFlags::CLOEXEC).map_err(|error| fail("pipe", error.into()));
    let (ready, tell_ready) = pipe()?;
    let (wait, let_go) = pipe()?;
    let mut ends = Some((ready, let_go));
    let child = fork(|| {
        ends.take();
        let entered = become_bounded(base, processes).and_then(|()| unshare(&[Namespace::User]));
        let code = entered.as_ref().err().and_then(std::io::Error::raw_os_error).unwrap_or(0);
        let _ = File::from(tell_ready).write_all(&[code as u8]);
        let _ = File::from(wait).read(&mut [0]);
        0
    })
    .map_err(|error| fail("fork", error))?;
    let Some((ready, let_go)) = ends else {
        return Err(Error::internal("the pipe to the maker of a user namespace is gone"));
    };
    let mut code = [0];
    let told = File::from(ready).read_exact(&mut code);
    let namespace = match (told, code[0]) {
        (Ok(()), 0) => open_mapped(child, base),
        (Ok(()), code) => Err(fail("unshare", std::io::Error::from_raw_os_error(code.into()))),
        (Err(error), _) => Err(fail("its process died", error)),
    };
    drop(let_go);
    // The child ends when the pipe closes, at the latest now.
    let _ = kill_process(child, Signal::KILL);
    let _ = waitpid(Some(child), WaitOptions::empty());
    namespace
}

/// Gives up root, but not the capabilities, because some servers do not let users make namespaces.
fn become_bounded(base: u32, processes: u64) -> std::io::Result<()> {
    setrlimit(Resource::Nproc, Rlimit { current: Some(processes), maximum: Some(processes) })?;
    let sets = capabilities(None)?;
    set_keep_capabilities(true)?;
    let (uid, gid) = (Uid::from_raw(base), Gid::from_raw(base));
    set_thread_groups(&[])?;
    set_thread_res_gid(gid, gid, gid)?;
    set_thread_res_uid(uid, uid, uid)?;
    set_capabilities(None, CapabilitySets { inheritable: CapabilitySet::empty(), ..sets })?;
    Ok(())
}

fn open_mapped(child: Pid, base: u32) -> Result<OwnedFd> {
    let proc = Path::new("/proc").join(child.as_raw_nonzero().to_string());
    for file in ["uid_map", "gid_map"] {
        let path = proc.join(file);
        fs::write(&path, map(base)).context("cannot write", path)?;
    }
    let path = proc.join("ns/user");
    Ok(File::open(&path).context("cannot open", path)?.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_id_but_those_of_the_range_is_mapped_exactly_once() {
        for slot in [0, 1, 2222, SLOTS - 1] {
            let base = FIRST + u32::from(slot) * LEN;
            let extents: Vec<[u64; 3]> = map(base)
                .lines()
                .map(|line| {
                    let numbers: Vec<u64> = line.split(' ').map(|n| n.parse().unwrap()).collect();
                    numbers.try_into().unwrap()
                })
                .collect();
            let outside = |inside: u64| {
                let hits: Vec<u64> = extents
                    .iter()
                    .filter(|[first, _, len]| (*first..first + len).contains(&inside))
                    .map(|[first, outside, _]| outside + inside - first)
                    .collect();
                assert!(hits.len() < 2);
                hits.first().copied()
            };
            let base = u64::from(base);
            for id in [0, 33, 65534, 65535] {
                assert_eq!(outside(id), Some(base + id));
            }
            for id in [65536, 70000, 165536, 2_000_000_001, base - 1, base + 65536, 0xffff_fffe] {
                let expected = (id < base || id >= base + 65536).then_some(id);
                assert_eq!(outside(id), expected, "{id} with {base}");
            }
            assert_eq!((outside(base), outside(base + 65535), outside(0xffff_ffff)), (None, None, None));
        }
    }
}
