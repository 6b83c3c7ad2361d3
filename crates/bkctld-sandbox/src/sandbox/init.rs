//! Process 1 of a sandbox: it completes the sandbox from inside, starts sshd in it, reaps orphans, and ends
//! everything when sshd or the monitor is gone.

use std::ffi::OsString;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use bkctld_core::Jail;
use bkctld_core::config::Isolation;
use bkctld_core::error::Result;
use bkctld_sys::namespace::{Namespace, unshare};
use bkctld_sys::process::{close_on_exec_from_3, forget_environment, fork, signal_the_others};
use bkctld_sys::seccomp;
use bkctld_sys::signal::SignalFd;
use rustix::fs::Mode;
use rustix::io::Errno;
use rustix::process::{
    DumpableBehavior, Pid, Resource, Rlimit, Signal, WaitOptions, set_dumpable_behavior,
    set_parent_process_death_signal, setrlimit, setsid, umask,
};
use rustix::thread::{
    CapabilitySet, CapabilitySets, Gid, LinkNameSpaceType, Uid, move_into_link_name_space,
    remove_capability_from_bounding_set, set_capabilities, set_no_new_privs, set_thread_groups,
    set_thread_res_gid, set_thread_res_uid,
};

use super::Blueprint;
use super::link::{Link, Message};
use super::root::{self, Owner, Step};
use super::trees::Trees;
use super::{filter, sshd};
use crate::bounds::Bounds;
use crate::bounds::cgroup::Cgroup;
use crate::bounds::id_range::IdRange;
use crate::served::ServedJail;
use crate::wait;

/// What can happen to init while its sandbox runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    /// A process of the sandbox has ended.
    Child,
    /// The monitor has something to say, or has gone.
    Monitor,
}

/// What one init owns, and no other.
pub(super) struct Belongings {
    pub(super) trees: Trees,
    /// The end that the monitor listens to.
    pub(super) link: Link,
    /// The client's connection, which sshd gets.
    pub(super) socket: OwnedFd,
    /// Where sshd writes its log.
    pub(super) log: OwnedFd,
}

/// The time that programs get to end after sshd, so that rsync deletes its temporary files.
const GRACE: Duration = Duration::from_secs(5);

/// None is written with that little, and a handler of core files (a `core_pattern` that begins with `|`), which
/// would be started as root on the server, is not: 0 stops files only, 1 stops the handler too.
const CORE_BYTES: u64 = 1;
/// When memory runs out, sessions are killed before anything else on the server.
const OOM_SCORE: &str = "500";

/// Runs init; returns its exit code.
pub(super) fn run(blueprint: &Blueprint<'_>, belongings: Belongings) -> i32 {
    let Belongings { trees, link, socket, log } = belongings;
    let (children, _runtime) = match make_sandbox(blueprint, trees, &link) {
        Ok(made) => made,
        Err(error) => return fail(&link, &error.to_string()),
    };
    match fork(|| start_sshd(&link, socket, log, &blueprint.sshd_arguments)) {
        // Socket and log were moved into the closure, so init has closed them by now.
        Ok(sshd) => watch(&link, &children, sshd),
        Err(error) => fail(&link, &format!("cannot make the sandbox: fork: {error}")),
    }
}

/// Makes the sandbox around the calling process. Returns what tells of ended children, and the lock on the
/// runtime, which is held as long as init lives: the mounts are attached and need no descriptor.
fn make_sandbox(blueprint: &Blueprint<'_>, trees: Trees, link: &Link) -> Result<(SignalFd, File)> {
    let Blueprint { served: ServedJail { jail, .. }, isolation, ids, bounds, .. } = blueprint;
    let children = SignalFd::new(&[Signal::CHILD]).step("signals")?;
    // Otherwise the umask of whoever started the jail would change the modes of the client's files.
    umask(Mode::from_raw_mode(0o022));
    // Not fatal: a server in a container may not allow it.
    let _ = std::fs::write("/proc/self/oom_score_adj", OOM_SCORE);
    // The listener's, which a session in compat isolation could read.
    let _ = forget_environment();
    if let Some(Err(error)) = bounds.cgroup.as_ref().map(Cgroup::enter) {
        let _ = link.send(&Message::Warning(format!(
            "this session runs without the jail's limits of memory and processes: {error}"
        )));
    }
    enter_namespaces(jail)?;
    let owner = Owner(ids.map_or(0, IdRange::base));
    if !root::enter(jail, &trees, owner)? {
        let _ = link.send(&Message::Warning(
            "the client has replaced var/backup: this session has only /data".into(),
        ));
    }
    give_up_power(*isolation, *ids, bounds)?;
    Ok((children, trees.runtime))
}

fn fail(link: &Link, why: &str) -> i32 {
    let _ = link.send(&Message::Failed(why.to_owned()));
    1
}

/// Still root on the server: the namespaces belong to the server's user namespace, so that no
/// capability in the jail's own counts for them.
fn enter_namespaces(jail: &Jail) -> Result<()> {
    let kinds = [Namespace::Mount, Namespace::Net, Namespace::Ipc, Namespace::Uts, Namespace::Cgroup];
    unshare(&kinds).step("new namespaces")?;
    rustix::system::sethostname(jail.name().as_str().as_bytes()).step("host name")
}

/// The capabilities of a session: those to store files as any user, and those that sshd needs for a login.
const CAPABILITIES: CapabilitySet = CapabilitySet::CHOWN
    .union(CapabilitySet::DAC_OVERRIDE)
    .union(CapabilitySet::DAC_READ_SEARCH)
    .union(CapabilitySet::FOWNER)
    .union(CapabilitySet::FSETID)
    .union(CapabilitySet::SETFCAP)
    .union(CapabilitySet::SETUID)
    .union(CapabilitySet::SETGID)
    .union(CapabilitySet::SYS_CHROOT)
    .union(CapabilitySet::KILL);

/// Device nodes, and `trusted.*` attributes, which ask for this one.
const COMPAT_CAPABILITIES: CapabilitySet =
    CAPABILITIES.union(CapabilitySet::MKNOD).union(CapabilitySet::SYS_ADMIN);

fn give_up_power(isolation: Isolation, ids: Option<&IdRange>, bounds: &Bounds) -> Result<()> {
    let limit = |what, value| setrlimit(what, Rlimit { current: Some(value), maximum: Some(value) });
    limit(Resource::Core, CORE_BYTES).step("limits")?;
    limit(Resource::Nofile, bounds.files).step("limits")?;
    limit(Resource::Nproc, bounds.processes).step("limits")?;
    if let Some(ids) = ids {
        move_into_link_name_space(ids.namespace(), Some(LinkNameSpaceType::User)).step("user namespace")?;
    }
    set_thread_groups(&[]).step("groups")?;
    set_thread_res_gid(Gid::ROOT, Gid::ROOT, Gid::ROOT).step("gid")?;
    set_thread_res_uid(Uid::ROOT, Uid::ROOT, Uid::ROOT).step("uid")?;
    let kept = match isolation {
        Isolation::Full => CAPABILITIES,
        Isolation::Compat => COMPAT_CAPABILITIES,
    };
    for number in 0..64 {
        let one = CapabilitySet::from_bits_retain(1 << number);
        if !kept.contains(one) {
            match remove_capability_from_bounding_set(one) {
                // The first number that this kernel does not have.
                Err(Errno::INVAL) => break,
                other => other.step("capabilities")?,
            }
        }
    }
    // Inheritable none: what is started gets its capabilities as root of the bounding set only.
    let sets = CapabilitySets { effective: kept, permitted: kept, inheritable: CapabilitySet::empty() };
    set_capabilities(None, sets).step("capabilities")?;
    set_no_new_privs(true).step("no_new_privs")?;
    // After the changes of ids, which reset both. /proc/1 would else show the server's program and
    // its memory to the jail.
    set_dumpable_behavior(DumpableBehavior::NotDumpable).step("dumpable")?;
    set_parent_process_death_signal(Some(Signal::KILL)).step("death signal")?;
    seccomp::install(&filter::confinement(isolation)).step("seccomp")
}

/// The child that becomes sshd. Only this one is watched: if init were watched too and its monitor died,
/// nobody would let init exit.
fn start_sshd(link: &Link, socket: OwnedFd, log: OwnedFd, arguments: &[OsString]) -> i32 {
    let become_sshd = || -> Result<std::io::Error> {
        let _ = setsid();
        let output = socket.try_clone().step("socket")?;
        let notifications =
            seccomp::install_with_notifications(&filter::program_watch()).step("seccomp notifications")?;
        link.send(&Message::Notifications(notifications)).step("link")?;
        close_on_exec_from_3().step("descriptors")?;
        Ok(Command::new(sshd::PROGRAM)
            .args(arguments)
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .stdin(Stdio::from(socket))
            .stdout(Stdio::from(output))
            .stderr(Stdio::from(log))
            // This also unblocks the signals that init has blocked.
            .exec())
    };
    match become_sshd() {
        Ok(error) => fail(link, &format!("cannot start {} in the sandbox: {error}", sshd::PROGRAM)),
        Err(error) => fail(link, &error.to_string()),
    }
}

/// Reaps until sshd and all others are gone, or the monitor is.
fn watch(link: &Link, children: &SignalFd, sshd: Pid) -> i32 {
    let mut deadline: Option<Instant> = None;
    loop {
        if !reap(link, sshd, &mut deadline) {
            return 0;
        }
        if wait::is_over(deadline) {
            return 0;
        }
        let watched = [(Event::Child, children.as_fd()), (Event::Monitor, link.as_fd())];
        let Ok(happened) = wait::until(deadline, watched) else { return 1 };
        for happened in happened {
            match happened.event {
                // Which of them, `reap` finds out.
                Event::Child => while let Ok(Some(_)) = children.next() {},
                Event::Monitor => match link.receive() {
                    Ok(Some(Message::Stop)) => ask_to_end(&mut deadline),
                    // The monitor is gone: the kernel kills everything here once init exits.
                    _ => return 0,
                },
            }
        }
    }
}

fn ask_to_end(deadline: &mut Option<Instant>) {
    let _ = signal_the_others(Signal::TERM);
    deadline.get_or_insert_with(|| Instant::now() + GRACE);
}

/// Collects the children that have ended; false when none is left.
fn reap(link: &Link, sshd: Pid, deadline: &mut Option<Instant>) -> bool {
    loop {
        match rustix::process::wait(WaitOptions::NOHANG) {
            Ok(Some((pid, status))) if pid == sshd => {
                let _ = link.send(&Message::SshdEnded { killed: status.signaled() });
                ask_to_end(deadline);
            }
            Ok(Some(_)) | Err(Errno::INTR) => {}
            Ok(None) => return true,
            Err(_) => return false,
        }
    }
}
