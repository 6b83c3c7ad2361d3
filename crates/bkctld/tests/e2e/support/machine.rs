//! A whole server in namespaces: its own network, its own `/etc`, `/root`, `/usr/lib`, `/usr/sbin` and
//! `/run`, with `bkctld` installed as a package installs it. Two of them can talk to each other.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::run::{Ran, run};
use super::server::{BKCTLD, temp_dir};
use super::volume::{FsKind, Volume};

/// Makes the machine what it is, in namespaces of its own; then waits.
const BOOT: &str = include_str!("machine.sh");

/// See the module.
pub struct Machine {
    dir: TempDir,
    volume: Volume,
    holder: Child,
    settings: String,
    /// Its address in the network that it shares with the other one.
    pub address: String,
}

impl Machine {
    /// Two machines that reach each other; the second lets root of the first in by ssh, on port 22.
    pub fn pair(kind: FsKind) -> (Machine, Machine) {
        let (first, second) = (Machine::boot(kind, "10.9.0.1"), Machine::boot(kind, "10.9.0.2"));
        let peer = second.holder.id();
        first.sh(&format!("ip link add eth0 type veth peer name eth0 netns {peer}"));
        for machine in [&first, &second] {
            machine.sh(&format!("ip addr add {}/24 dev eth0; ip link set eth0 up", machine.address));
        }
        second.run_sshd();
        let key = first
            .sh("ssh-keygen -q -t ed25519 -N '' -f /root/.ssh/id_ed25519; cat /root/.ssh/id_ed25519.pub");
        second.sh(&format!("echo '{key}' > /root/.ssh/authorized_keys"));
        let host_key = second.sh("cat /etc/ssh/test_host_key.pub");
        first.sh(&format!("echo '{} {host_key}' > /root/.ssh/known_hosts", second.address));
        (first, second)
    }

    /// A machine that is alone.
    pub fn single(kind: FsKind) -> Machine {
        super::network::own_network();
        Machine::boot(kind, "127.0.0.1")
    }

    fn boot(kind: FsKind, address: &str) -> Machine {
        let dir = temp_dir();
        let at = dir.path().display().to_string();
        let volume = Volume::make(dir.path(), kind, 2 << 10);
        for made in ["over", "conf", "backup/jails", "backup/incs"] {
            fs::create_dir(dir.path().join(made)).expect("directory");
        }
        let entry_points = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/entry-points");
        let mut holder = Command::new("unshare")
            .args(["--net", "--mount", "--propagation", "private", "sh", "-euc", BOOT, "sh"])
            .args([at.as_str(), BKCTLD])
            .arg(entry_points)
            .stdout(Stdio::piped())
            .spawn()
            .expect("unshare");
        let mut line = String::new();
        BufReader::new(holder.stdout.take().expect("piped")).read_line(&mut line).expect("read");
        assert_eq!(line, "ready\n", "the machine has not booted");
        let settings = format!(
            "BACKUP_PARTITION={at}/backup\nCONFDIR={at}/conf\nDATADIR={at}/state\nSERVICE=background\n"
        );
        let machine = Machine { dir, volume, holder, settings, address: address.to_owned() };
        machine.set("");
        machine
    }

    fn run_sshd(&self) {
        self.sh("ssh-keygen -q -t ed25519 -N '' -f /etc/ssh/test_host_key
            printf '%s\n' 'HostKey /etc/ssh/test_host_key' 'PidFile /run/sshd.pid' 'UsePAM no' \
                'AuthorizedKeysFile /root/.ssh/authorized_keys' 'PermitRootLogin yes' > /run/sshd_config
            /usr/sbin/sshd -f /run/sshd_config -E /run/sshd.log");
    }

    /// Writes the configuration: what it needs here, and these lines.
    pub fn set(&self, lines: &str) {
        let text = format!("{}{lines}\n", self.settings);
        self.sh(&format!("cat > /etc/default/bkctld <<'END'\n{text}END"));
    }

    /// A program in the machine, with only this machine's environment.
    pub fn command(&self, program: &str, args: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        let pid = self.holder.id();
        command
            .env_clear()
            .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .env("LANG", "C.UTF-8")
            .env("TZ", "UTC")
            .arg(format!("--net=/proc/{pid}/ns/net"))
            .arg(format!("--mount=/proc/{pid}/ns/mnt"))
            .arg(program)
            .args(args);
        command
    }

    /// `bkctld` in the machine.
    pub fn bkctld(&self, args: &[&str]) -> Ran {
        run(self.command("/usr/sbin/bkctld", args))
    }

    /// A shell command in the machine, which must succeed; its output, trimmed.
    #[track_caller]
    pub fn sh(&self, script: &str) -> String {
        run(self.command("sh", &["-euc", script])).ok().out().trim().to_owned()
    }

    /// A place below the machine's directory, where its volume and its configuration are.
    pub fn path(&self, below: &str) -> PathBuf {
        self.dir.path().join(below)
    }

    /// A jail's directory.
    pub fn jail(&self, name: &str) -> PathBuf {
        self.path("backup/jails").join(name)
    }

    /// The port of a jail.
    #[track_caller]
    pub fn port(&self, name: &str) -> String {
        self.bkctld(&["port", name]).ok().out().trim().to_owned()
    }

    /// Whether the jail is on.
    #[track_caller]
    pub fn is_on(&self, name: &str) -> bool {
        let ran = self.bkctld(&["is-on", name]);
        assert!([0, 100].contains(&ran.code), "{}", ran.told());
        ran.code == 0
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let stopped = self.bkctld(&["-q", "stop", "all"]);
        // The sshd's own processes end with the connections that the other machine holds.
        let _ = run(self.command("sh", &["-c", "[ ! -e /run/sshd.pid ] || kill $(cat /run/sshd.pid)"]));
        let _ = self.holder.kill();
        let _ = self.holder.wait();
        if !std::thread::panicking() {
            assert!(stopped.code == 0, "stopping the jails at the end: {}", stopped.told());
        }
        self.volume.unmount();
    }
}
