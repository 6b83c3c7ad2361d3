//! Two servers that reach each other: each in network and mount namespaces of its own.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::Result;
use crate::volume::command;

/// The tests' machines are the same.
const BOOT: &str = include_str!("../../crates/bkctld/tests/e2e/support/machine.sh");

/// One server; it ends with this value.
#[derive(Debug)]
pub struct Machine {
    holder: Child,
    _dir: TempDir,
}

impl Machine {
    /// Two of them, at 10.9.0.1 and 10.9.0.2; root of the first may log into the second by ssh.
    pub fn pair(bkctld: &Path) -> Result<(Machine, Machine)> {
        let (first, second) = (Machine::boot(bkctld)?, Machine::boot(bkctld)?);
        first.sh(&format!("ip link add eth0 type veth peer name eth0 netns {}", second.holder.id()))?;
        for (machine, address) in [(&first, "10.9.0.1"), (&second, "10.9.0.2")] {
            machine.sh(&format!("ip addr add {address}/24 dev eth0; ip link set eth0 up"))?;
        }
        let keys = tempfile::tempdir()?;
        let at = keys.path().display();
        first.sh(&format!(
            "ssh-keygen -q -t ed25519 -N '' -f {at}/host; ssh-keygen -q -t ed25519 -N '' -f {at}/id
             cp {at}/id /root/.ssh/id_ed25519; echo \"10.9.0.2 $(cat {at}/host.pub)\" >/root/.ssh/known_hosts"
        ))?;
        second.sh(&format!(
            "cp {at}/host /run/host; cp {at}/id.pub /root/.ssh/authorized_keys
             printf '%s\\n' 'HostKey /run/host' 'UsePAM no' 'PermitRootLogin yes' >/run/sshd_config
             /usr/sbin/sshd -f /run/sshd_config"
        ))?;
        Ok((first, second))
    }

    fn boot(bkctld: &Path) -> Result<Machine> {
        let dir = tempfile::Builder::new().prefix("bkctld-bench-").tempdir()?;
        std::fs::create_dir(dir.path().join("over"))?;
        let entry_points: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/entry-points");
        let mut holder = Command::new("unshare")
            .args(["--net", "--mount", "--propagation", "private", "sh", "-c", BOOT, "sh"])
            .args([dir.path(), bkctld, &entry_points])
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        if let Some(output) = holder.stdout.take() {
            BufReader::new(output).read_line(&mut line)?;
        }
        let machine = Machine { holder, _dir: dir };
        if line == "ready\n" { Ok(machine) } else { Err("a machine in namespaces has not booted".into()) }
    }

    /// A shell command in the machine; it must succeed.
    pub fn sh(&self, script: &str) -> Result<()> {
        let pid = self.holder.id();
        command(
            Command::new("nsenter")
                .arg(format!("--net=/proc/{pid}/ns/net"))
                .arg(format!("--mount=/proc/{pid}/ns/mnt"))
                .args(["sh", "-euc", script])
                .stdin(Stdio::null()),
        )
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.sh("[ ! -e /run/sshd.pid ] || kill $(cat /run/sshd.pid)");
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}
