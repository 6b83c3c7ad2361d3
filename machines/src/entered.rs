//! A tree entered without booting it: a script runs in it as root, in mount, PID, IPC and UTS namespaces of its
//! own. When its first process ends, the kernel ends and unmounts the rest.
//!
//! The program runs itself for that: what a process does to its own mounts, it does after it has been started.

use std::fs;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use rustix::mount::{
    MountFlags, UnmountFlags, mount, mount_bind, mount_bind_recursive, mount_remount, unmount,
};

use crate::run::both;

/// The first argument of the process that enters.
const ENTER: &str = "--enter-tree";
/// How a directory of the outside is seen, before it in the arguments.
const READ_ONLY: &str = "ro";
const WRITABLE: &str = "rw";
const OUTSIDE: &str = ".outside";

/// A tree to enter, what of the outside is seen in it, and the environment there.
pub struct Entered {
    pub tree: PathBuf,
    pub binds: Vec<Bind>,
    pub environment: Vec<(String, String)>,
}

/// A directory of the outside with its place in the tree.
pub struct Bind {
    from: PathBuf,
    to: PathBuf,
    is_read_only: bool,
}

impl Bind {
    /// A directory that is written from both sides.
    pub fn writable(from: impl Into<PathBuf>, to: &str) -> Bind {
        Bind { from: from.into(), to: to.into(), is_read_only: false }
    }

    /// A directory that is only read inside.
    pub fn read_only(from: impl Into<PathBuf>, to: &str) -> Bind {
        Bind { is_read_only: true, ..Bind::writable(from, to) }
    }

    fn mount_in(&self, tree: &Path) -> io::Result<()> {
        let to = tree.join(self.to.strip_prefix("/").unwrap_or(&self.to));
        fs::create_dir_all(&to)?;
        mount_bind(&self.from, &to)?;
        if self.is_read_only {
            mount_remount(&to, MountFlags::BIND | MountFlags::RDONLY, "")?;
        }
        Ok(())
    }
}

impl Entered {
    /// Runs the script with `sh -eu`; panics with all output unless it succeeds.
    #[track_caller]
    pub fn run(&self, script: &str) -> String {
        let mut command = Command::new("unshare");
        command
            .args([
                "--mount",
                "--propagation",
                "private",
                "--pid",
                "--fork",
                "--kill-child",
                "--ipc",
                "--uts",
            ])
            .arg(std::env::current_exe().unwrap())
            .arg(ENTER)
            .arg(&self.tree)
            .arg(script);
        for bind in &self.binds {
            command.arg(if bind.is_read_only { READ_ONLY } else { WRITABLE }).arg(&bind.from).arg(&bind.to);
        }
        command.env_clear().env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        let output = command.stdin(Stdio::null()).output().unwrap();
        assert!(output.status.success(), "in {}: {script}\n{}", self.tree.display(), both(&output));
        both(&output)
    }
}

/// Becomes the script, where this process was started for that.
pub fn enter_if_asked() -> Option<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next()? != ENTER {
        return None;
    }
    let (tree, script) = (PathBuf::from(arguments.next()?), arguments.next()?);
    let mut binds = Vec::new();
    while let (Some(access), Some(from), Some(to)) = (arguments.next(), arguments.next(), arguments.next()) {
        binds.push(Bind { from: from.into(), to: to.into(), is_read_only: access == READ_ONLY });
    }
    let error = match enter(&tree, &binds) {
        Ok(()) => Command::new("/bin/sh").arg("-euc").arg(script).exec(),
        Err(error) => error,
    };
    eprintln!("machines: cannot enter {}: {error}", tree.display());
    Some(ExitCode::FAILURE)
}

/// `pivot_root` and not `chroot`, in which no user namespace can be made.
fn enter(tree: &Path, binds: &[Bind]) -> io::Result<()> {
    mount_bind(tree, tree)?;
    fs::create_dir_all(tree.join(OUTSIDE))?;
    binds.iter().try_for_each(|bind| bind.mount_in(tree))?;
    mount_bind_recursive("/dev", tree.join("dev"))?;
    let none = None::<&std::ffi::CStr>;
    mount("sysfs", tree.join("sys"), "sysfs", MountFlags::empty(), none)?;
    mount("tmpfs", tree.join("run"), "tmpfs", MountFlags::empty(), none)?;
    mount("proc", tree.join("proc"), "proc", MountFlags::empty(), none)?;
    std::env::set_current_dir(tree)?;
    rustix::process::pivot_root(".", OUTSIDE)?;
    unmount(OUTSIDE, UnmountFlags::DETACH)?;
    fs::remove_dir(OUTSIDE)?;
    rustix::system::sethostname(b"bare")?;
    std::env::set_current_dir("/")
}
