//! A container that boots systemd, with the real sshd in it: the machine of one test.

use std::cell::{Cell, RefCell};
use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use tempfile::TempDir;

use crate::run::{both, run, within};
use crate::suite::Suite;
use crate::{built, cgroup, confine, host};

/// Far more than any command takes on a busy machine: a test that hangs ends.
const PATIENCE: &str = "600";

pub struct Machine {
    tree: PathBuf,
    /// What this machine sees below `/mnt/volume`.
    volume: PathBuf,
    control_group: String,
    /// systemd-nspawn, and the container's first process as its outside numbers it.
    nspawn: RefCell<Child>,
    init: Cell<u32>,
    work: TempDir,
}

impl Machine {
    /// A machine with the program and an empty place for backups, but without the package: the program makes
    /// what else it needs.
    pub fn with_program(suite: &Suite) -> Machine {
        Machine::boot_with(suite, |work| {
            let tree = work.join("tree");
            fs::copy(built::program(), tree.join("usr/sbin/bkctld")).unwrap();
            for directory in ["backup/jails", "backup/incs"] {
                fs::create_dir_all(tree.join(directory)).unwrap();
            }
        })
    }

    /// A machine with the package as a file, [`Machine::PACKAGE`], that is not installed.
    pub fn with_package_at_hand(suite: &Suite) -> Machine {
        Machine::boot_with(suite, |work| {
            fs::copy(built::package(), work.join("tree").join(&Machine::PACKAGE[1..])).unwrap();
        })
    }

    /// A machine with the package installed and an empty place for backups.
    pub fn with_package(suite: &Suite) -> Machine {
        let machine = Machine::with_package_at_hand(suite);
        machine.run("mkdir -p /backup/jails /backup/incs");
        machine.install(Machine::PACKAGE);
        machine
    }

    /// Where the package is in a machine that has it at hand.
    pub const PACKAGE: &str = "/root/bkctld.deb";

    /// A machine with the package at hand, and a fresh ext4 in `/mnt/volume`. It is made outside: the machine
    /// has no loop devices.
    pub fn with_package_at_hand_and_fresh_partition(suite: &Suite) -> Machine {
        Machine::boot_with(suite, |work| {
            fs::copy(built::package(), work.join("tree").join(&Machine::PACKAGE[1..])).unwrap();
            let image = work.join("image");
            run(Command::new("truncate").args(["--size", "512M"]).arg(&image));
            run(Command::new("mkfs.ext4").arg("-q").arg(&image));
            run(Command::new("mount").args(["-o", "loop"]).arg(image).arg(work.join("volume")));
        })
    }

    /// A machine whose directory, with its `tree` and its `volume`, is changed before it boots.
    fn boot_with(suite: &Suite, change: impl FnOnce(&Path)) -> Machine {
        let base = suite.booting();
        let work = tempfile::Builder::new().prefix("machine.").tempdir_in(confine::run_directory()).unwrap();
        let name = work.path().file_name().unwrap().display().to_string();
        let (tree, volume) = (work.path().join("tree"), work.path().join("volume"));
        fs::create_dir(&volume).unwrap();
        make_tree(&base, &tree, work.path());
        change(work.path());
        let control_group = format!("{}/{name}", confine::control_group());
        let nspawn = RefCell::new(start(&tree, &volume, &control_group, &console(work.path())));
        let machine = Machine { tree, volume, control_group, nspawn, init: Cell::new(0), work };
        machine.wait_for_boot();
        machine.make_client();
        machine
    }

    /// The tree, as it is seen outside.
    pub fn tree(&self) -> &Path {
        &self.tree
    }

    /// The PID namespace of its first process.
    pub fn pid_namespace(&self) -> String {
        fs::read_link(format!("/proc/{}/ns/pid", self.init.get())).unwrap().display().to_string()
    }

    /// The control group of everything that its systemd has started.
    pub fn control_group(&self) -> &str {
        &self.control_group
    }

    /// Writes a file, with mode 755 if it begins as a script does.
    pub fn write(&self, path: &str, text: &str) {
        let file = self.tree.join(path.trim_start_matches('/'));
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, text).unwrap();
        if text.starts_with("#!") {
            run(Command::new("chmod").arg("755").arg(file));
        }
    }

    /// What a shell script prints on standard output, without the last newline; panics unless it succeeds.
    #[track_caller]
    pub fn run(&self, script: &str) -> String {
        let output = self.attempt(script);
        assert!(output.status.success(), "{script}: {}\n{}", output.status, both(&output));
        String::from_utf8_lossy(&output.stdout).trim_end_matches('\n').to_owned()
    }

    /// All that a script prints that must fail.
    #[track_caller]
    pub fn fail(&self, script: &str) -> String {
        let output = self.attempt(script);
        assert!(!output.status.success(), "it did not fail: {script}\n{}", both(&output));
        both(&output)
    }

    /// Whether a script succeeds.
    pub fn succeeds(&self, script: &str) -> bool {
        self.attempt(script).status.success()
    }

    /// Runs a shell script to its end, whatever that is.
    pub fn attempt(&self, script: &str) -> Output {
        self.command(script).stdin(Stdio::null()).output().unwrap()
    }

    /// Starts a script with pipes for what it reads and writes.
    pub fn spawn(&self, script: &str) -> Child {
        let mut command = self.command(script);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap()
    }

    /// Waits until a script succeeds.
    #[track_caller]
    pub fn within(&self, seconds: u64, script: &str) {
        within(seconds, script, || self.succeeds(script));
    }

    /// Panics unless a script fails, says why in what it prints, and takes no longer than that.
    #[track_caller]
    pub fn refuses(&self, seconds: u64, why: &str, script: &str) {
        let begin = Instant::now();
        let words = self.fail(script);
        assert!(begin.elapsed() < Duration::from_secs(seconds * 3), "{script}: took {:?}", begin.elapsed());
        assert!(words.contains(why), "{script}: it does not say '{why}':\n{words}");
    }

    /// Powers off and boots again.
    pub fn reboot(&self) {
        // `systemctl poweroff` would look for logind.
        self.run("systemctl --no-block start poweroff.target");
        drop(self.nspawn.borrow_mut().wait());
        *self.nspawn.borrow_mut() =
            start(&self.tree, &self.volume, &self.control_group, &console(self.work.path()));
        self.wait_for_boot();
    }

    fn command(&self, script: &str) -> Command {
        let mut command = Command::new("timeout");
        command
            .args(["--kill-after=5", PATIENCE, "nsenter", "--target", &self.init.get().to_string()])
            .args(["--mount", "--uts", "--ipc", "--net", "--pid", "--root"])
            .arg(format!("--wd={}", self.tree.display()))
            .args(["setsid", "--wait", "sh", "-euc", script])
            .env_clear()
            .envs([("HOME", "/root"), ("TERM", "dumb"), ("DEBIAN_FRONTEND", "noninteractive")])
            .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        command
    }

    fn wait_for_boot(&self) {
        let end = Instant::now() + Duration::from_secs(300);
        loop {
            let nspawn = self.nspawn.borrow().id();
            let children = fs::read_to_string(format!("/proc/{nspawn}/task/{nspawn}/children"));
            if let Some(init) = children.unwrap_or_default().split_whitespace().next() {
                self.init.set(init.parse().unwrap());
                let state = self.attempt("systemctl is-system-running");
                if matches!(state.stdout.trim_ascii(), b"running" | b"degraded") {
                    return;
                }
            }
            let has_ended = self.nspawn.borrow_mut().try_wait().unwrap().is_some();
            let console = || fs::read_to_string(console(self.work.path())).unwrap_or_default();
            assert!(!has_ended && Instant::now() < end, "it does not boot:\n{}", console());
            std::thread::sleep(Duration::from_millis(300));
        }
    }

    /// A client on the machine itself: root, with a key, who accepts what host key a server shows first.
    fn make_client(&self) {
        self.write(
            "/root/.ssh/config",
            "IdentityFile /root/client_key\nStrictHostKeyChecking accept-new\nBatchMode yes\nConnectTimeout 20\n",
        );
        self.run("chmod 700 /root/.ssh; ssh-keygen -q -t ed25519 -N '' -C web01 -f /root/client_key");
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // Everything in it is in the PID namespace of its init; then nspawn clears away its own.
        let init = self.init.get();
        if init != 0 {
            drop(Command::new("kill").arg("-KILL").arg(init.to_string()).stderr(Stdio::null()).status());
        } else {
            drop(self.nspawn.borrow_mut().kill());
        }
        drop(self.nspawn.borrow_mut().wait());
        cgroup::remove(&self.control_group);
        for mounted in [&self.volume, &self.tree.join("usr")] {
            // Where nothing is mounted, nothing is to be unmounted.
            let _ = unmount(mounted.as_path(), UnmountFlags::DETACH);
        }
    }
}

/// A copy of the prepared tree. `/usr`, which is nearly all of it, is an overlay; jails and what sessions run
/// must be on a file system that takes ID-mapped mounts, which an overlay is not.
fn make_tree(base: &Path, tree: &Path, work: &Path) {
    fs::create_dir(tree).unwrap();
    for entry in fs::read_dir(base).unwrap() {
        let name = entry.unwrap().file_name();
        if name != "usr" {
            host::copy_tree(&base.join(&name), &tree.join(&name));
        }
    }
    let (upper, scratch, usr) = (work.join("upper"), work.join("scratch"), tree.join("usr"));
    for directory in [&upper, &scratch, &usr] {
        fs::create_dir(directory).unwrap();
    }
    let options = format!(
        "lowerdir={},upperdir={},workdir={}",
        base.join("usr").display(),
        upper.display(),
        scratch.display()
    );
    let options = std::ffi::CString::new(options).unwrap();
    mount("overlay", &usr, "overlay", MountFlags::empty(), Some(options.as_c_str())).unwrap();
}

fn console(work: &Path) -> PathBuf {
    work.join("console")
}

fn start(tree: &Path, volume: &Path, control_group: &str, console: &Path) -> Child {
    let groups = cgroup::make(control_group);
    let console = File::create(console).unwrap();
    // The shell enters the control groups, and becomes nspawn.
    let mut command = Command::new("sh");
    command
        .args([
            "-euc",
            "while [ \"$1\" != -- ]; do echo $$ >\"$1/cgroup.procs\"; shift; done; shift; exec \"$@\"",
            "sh",
        ])
        .args(groups)
        .args([
            "--",
            "systemd-nspawn",
            "--quiet",
            "--boot",
            "--register=no",
            "--keep-unit",
            "--private-network",
        ])
        .args(["--console=pipe", "--capability=all", "--system-call-filter=@known", "--link-journal=no"])
        .args(["--resolv-conf=off", "--timezone=off", "--notify-ready=yes", "--hostname=machine"])
        .arg(format!("--directory={}", tree.display()))
        .arg(format!("--bind={}:/mnt/volume", volume.display()))
        .env("SYSTEMD_NSPAWN_API_VFS_WRITABLE", "yes")
        // Ctrl-C is for the tests, not for the machine.
        .process_group(0)
        .stdin(Stdio::null())
        .stderr(console.try_clone().unwrap())
        .stdout(console);
    if !cgroup::is_unified() {
        command.env("SYSTEMD_NSPAWN_UNIFIED_HIERARCHY", "0");
    }
    command.spawn().unwrap()
}

/// A session that repeats what it is told, to show that it lives.
pub struct Session {
    client: Child,
    tell: Option<ChildStdin>,
    hear: std::io::BufReader<ChildStdout>,
}

impl Session {
    /// Opens a session on a port of the machine.
    pub fn open(machine: &Machine, port: u16) -> Session {
        let mut client = machine.spawn(&format!("exec ssh -4 -p {port} root@localhost cat"));
        let (tell, hear) = (client.stdin.take(), client.stdout.take().unwrap());
        let mut session = Session { client, tell, hear: std::io::BufReader::new(hear) };
        session.assert_alive();
        session
    }

    /// Panics unless it answers.
    #[track_caller]
    pub fn assert_alive(&mut self) {
        use std::io::{BufRead, Write};
        let mut heard = String::new();
        writeln!(self.tell.as_ref().unwrap(), "are you there?").unwrap();
        self.hear.read_line(&mut heard).unwrap();
        assert_eq!(heard, "are you there?\n", "the session has ended");
    }

    /// Ends it; panics unless it was alive until now.
    #[track_caller]
    pub fn close(mut self) {
        drop(self.tell.take());
        assert!(self.client.wait().unwrap().success(), "the session did not end well");
    }
}

/// Lets a script hold a port of the machine until it is dropped.
pub struct PortThief(Child);

impl PortThief {
    /// Listens on the port.
    pub fn take(machine: &Machine, port: u16) -> PortThief {
        let thief = machine.spawn(&format!(
            "exec perl -MIO::Socket::INET -e '
                my $s = IO::Socket::INET->new(LocalPort => {port}, Listen => 1, ReuseAddr => 1) or die;
                <STDIN>'"
        ));
        machine.within(10, &format!("ss -ltn | grep -q ':{port} '"));
        PortThief(thief)
    }
}

impl Drop for PortThief {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        drop(self.0.wait());
    }
}
