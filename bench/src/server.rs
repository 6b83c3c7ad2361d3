//! A server of our own on a volume, driven through the release binary as an administrator would.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::Result;
use crate::volume::{Volume, command};

/// `bkctld` with all its directories on one volume.
#[derive(Debug)]
pub struct Server {
    /// The volume's mount point.
    pub root: PathBuf,
    /// The release binary.
    pub program: PathBuf,
}

impl Server {
    /// Writes the configuration.
    pub fn on(volume: &Volume) -> Result<Server> {
        let root = volume.path();
        for dir in ["jails", "incs", "archives", "etc", "data", "lock"] {
            fs::create_dir(root.join(dir))?;
        }
        let at = root.display();
        fs::write(
            root.join("config"),
            format!(
                "BACKUP_PARTITION={at}\nCONFDIR={at}/etc\nDATADIR={at}/data\nLOCKDIR={at}/lock\nLOCALTPLDIR={at}/templates\nSERVICE=background\n"
            ),
        )?;
        let program = std::env::current_exe()?.with_file_name("bkctld");
        if !program.is_file() {
            return Err("no bkctld beside this program: run 'cargo build --release' first".into());
        }
        Ok(Server { root, program })
    }

    /// The command with these arguments.
    pub fn command(&self, arguments: &[&str]) -> Command {
        self.command_of(&self.program, arguments)
    }

    /// The same of another build of the program.
    pub fn command_of(&self, program: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(arguments).env("BKCTLD_CONFIG", self.root.join("config")).stdin(Stdio::null());
        command
    }

    /// Runs it; it must succeed.
    pub fn run(&self, arguments: &[&str]) -> Result<()> {
        command(&mut self.command(arguments))
    }

    /// A jail's directory.
    pub fn jail(&self, name: &str) -> PathBuf {
        self.root.join("jails").join(name)
    }

    /// A jail's incs.
    pub fn incs(&self, name: &str) -> PathBuf {
        self.root.join("incs").join(name)
    }

    /// Makes jails that differ from `model` in name and port only, quicker than `init` would.
    pub fn copy_jail(&self, model: &str, count: usize) -> Result<Vec<String>> {
        let mut names = vec![model.to_owned()];
        for number in 1..count {
            let name = format!("{model}{number:04}");
            command(Command::new("cp").arg("-a").arg(self.jail(model)).arg(self.jail(&name)))?;
            let config = self.jail(&name).join("rootfs/etc/ssh/sshd_config");
            let text = fs::read_to_string(&config)?.replace("Port 2222", &format!("Port {}", 2222 + number));
            fs::write(&config, text)?;
            let policies = self.root.join("etc");
            command(
                Command::new("cp")
                    .arg("-a")
                    .arg(policies.join(format!("{model}.d")))
                    .arg(policies.join(format!("{name}.d"))),
            )?;
            fs::create_dir_all(self.incs(&name))?;
            names.push(name);
        }
        Ok(names)
    }

    /// A key pair that may log into the jail.
    pub fn give_key(&self, name: &str) -> Result<PathBuf> {
        let key = self.root.join(format!("{name}.key"));
        if !key.exists() {
            command(Command::new("ssh-keygen").args(["-q", "-N", "", "-t", "ed25519", "-f"]).arg(&key))?;
        }
        self.run(&["key", name, &key.with_extension("key.pub").to_string_lossy()])?;
        Ok(key)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.run(&["stop", "all"]);
    }
}
