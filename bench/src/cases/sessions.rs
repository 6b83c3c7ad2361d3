//! Sessions through the sandbox against a bare sshd on the same machine.

use std::fs;
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::Result;
use crate::measure::{Times, print, print_cost};
use crate::server::Server;
use crate::volume::{Kind, Volume, command, many_files};

const BARE_PORT: u16 = 22222;
const LOGINS: usize = 40;
const PUSHES: usize = 5;

/// `ssh ... true`.
pub fn login() -> Result<()> {
    let setup = Setup::new()?;
    let (mut ours, mut bare) = (Times::default(), Times::default());
    for _ in 0..LOGINS {
        ours.take(|| command(setup.ssh(setup.jail_port).arg("true")))?;
        bare.take(|| command(setup.ssh(BARE_PORT).arg("true")))?;
    }
    print("through the sandbox", &ours);
    print("bare sshd", &bare);
    print_cost("1.15", &ours, &bare);
    Ok(())
}

/// rsync of many files, and of a large one.
pub fn push() -> Result<()> {
    let setup = Setup::new()?;
    let many = setup.volume.path().join("many");
    many_files(&many, 50_000, 1000)?;
    let large = setup.volume.path().join("large");
    fs::create_dir(&large)?;
    command(
        Command::new("dd")
            .args(["if=/dev/urandom", "bs=1M", "count=1000", "status=none"])
            .arg(format!("of={}/file", large.display())),
    )?;
    for (what, source) in [("50,000 small files", &many), ("one file of 1 GB", &large)] {
        println!("{what}:");
        let (mut ours, mut bare) = (Times::default(), Times::default());
        let bare_target = setup.volume.path().join("bare-target");
        for run in 0..=PUSHES {
            let (mut first, mut second) = (Times::default(), Times::default());
            // The first run of each fills the caches and does not count.
            let (ours, bare) = if run == 0 { (&mut first, &mut second) } else { (&mut ours, &mut bare) };
            let inside = setup.server.jail("a").join("data/pushed");
            for gone in [&inside, &bare_target] {
                if gone.exists() {
                    fs::remove_dir_all(gone)?;
                }
            }
            command(Command::new("sync").arg("-f").arg(setup.volume.path()))?;
            ours.take(|| setup.rsync(source, setup.jail_port, "/data/pushed"))?;
            command(Command::new("sync").arg("-f").arg(setup.volume.path()))?;
            bare.take(|| setup.rsync(source, BARE_PORT, &bare_target.to_string_lossy()))?;
        }
        print("through the sandbox", &ours);
        print("bare sshd", &bare);
        print_cost("1.05", &ours, &bare);
    }
    Ok(())
}

/// Memory and wake-ups of a started jail that nobody uses.
pub fn idle() -> Result<()> {
    let setup = Setup::new()?;
    std::thread::sleep(Duration::from_secs(2));
    let pids = processes_of(&setup.server)?;
    let before = switches(&pids)?;
    let mut pss = 0;
    for pid in &pids {
        let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
        let kib = field(&text, "Pss:").unwrap_or(0);
        println!("  process {pid}: {kib} KiB PSS");
        pss += kib;
    }
    println!("  -> {pss} KiB PSS in {} processes (goal: under 1024)", pids.len());
    std::thread::sleep(Duration::from_secs(10));
    println!("  -> {} wake-ups in 10 s (goal: 0)", switches(&pids)? - before);
    Ok(())
}

struct Setup {
    server: Server,
    volume: Volume,
    key: PathBuf,
    jail_port: u16,
    bare: Child,
}

impl Setup {
    fn new() -> Result<Setup> {
        let volume = Volume::new(Kind::Ext4, 12)?;
        let server = Server::on(&volume)?;
        server.run(&["init", "a"])?;
        let key = server.give_key("a")?;
        server.run(&["start", "a"])?;
        let bare = bare_sshd(&server, &key)?;
        Ok(Setup { server, volume, key, jail_port: 2222, bare })
    }

    fn ssh(&self, port: u16) -> Command {
        let mut ssh = Command::new("ssh");
        ssh.args(self.ssh_options(port)).arg("root@127.0.0.1").stdin(Stdio::null());
        ssh
    }

    fn ssh_options(&self, port: u16) -> Vec<String> {
        let known = self.server.root.join("known");
        let options = ["BatchMode=yes", "StrictHostKeyChecking=accept-new", "LogLevel=ERROR"];
        let mut words = vec![
            "-F".into(),
            "none".into(),
            "-p".into(),
            port.to_string(),
            "-i".into(),
            self.key.display().to_string(),
        ];
        words.extend(options.iter().flat_map(|option| ["-o".to_owned(), (*option).to_owned()]));
        words.extend(["-o".to_owned(), format!("UserKnownHostsFile={}", known.display())]);
        words
    }

    fn rsync(&self, source: &std::path::Path, port: u16, target: &str) -> Result<()> {
        command(
            Command::new("rsync")
                .args(["-aHAX", "--numeric-ids", "-e", &format!("ssh {}", self.ssh_options(port).join(" "))])
                .arg(format!("{}/", source.display()))
                .arg(format!("root@127.0.0.1:{target}")),
        )
    }
}

impl Drop for Setup {
    fn drop(&mut self) {
        let _ = self.bare.kill();
        let _ = self.bare.wait();
        let _ = command(Command::new("umount").arg("/etc/passwd"));
    }
}

/// An sshd as Debian starts it, with the jail's configuration but without a jail.
fn bare_sshd(server: &Server, key: &std::path::Path) -> Result<Child> {
    let dir = server.root.join("bare");
    fs::create_dir(&dir)?;
    give_root_the_jails_shell(&dir)?;
    let keys = server.jail("a").join("rootfs/etc/ssh");
    let public = key.with_extension("key.pub");
    fs::copy(&public, dir.join("authorized_keys"))?;
    fs::write(
        dir.join("config"),
        format!(
            "Port {BARE_PORT}\nListenAddress 127.0.0.1\nHostKey {keys}/ssh_host_ed25519_key\nPidFile none\nUsePAM no\n\
             UseDNS no\nPermitRootLogin yes\nStrictModes no\nMaxStartups 100\nAuthorizedKeysFile {dir}/authorized_keys\n",
            keys = keys.display(),
            dir = dir.display(),
        ),
    )?;
    fs::create_dir_all("/run/sshd")?;
    let child = Command::new("/usr/sbin/sshd")
        .arg("-D")
        .arg("-f")
        .arg(dir.join("config"))
        .stdin(Stdio::null())
        .spawn()?;
    let begin = Instant::now();
    while TcpStream::connect(("127.0.0.1", BARE_PORT)).is_err() {
        if begin.elapsed() > Duration::from_secs(20) {
            return Err("the bare sshd does not answer".into());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(child)
}

/// Root's shell may be one that reads files at its start; the jail's does not, and the comparison is
/// between servers. Only this process and its children see the change.
fn give_root_the_jails_shell(dir: &std::path::Path) -> Result<()> {
    let passwd = fs::read_to_string("/etc/passwd")?;
    let changed: String = passwd
        .lines()
        .map(|line| match line.rsplit_once(':') {
            Some((rest, _)) if line.starts_with("root:") => format!("{rest}:/bin/sh\n"),
            _ => format!("{line}\n"),
        })
        .collect();
    fs::write(dir.join("passwd"), changed)?;
    command(Command::new("mount").arg("--bind").arg(dir.join("passwd")).arg("/etc/passwd"))
}

/// The processes that were started with this server's configuration.
fn processes_of(server: &Server) -> Result<Vec<u32>> {
    let mark = format!("BKCTLD_CONFIG={}", server.root.join("config").display());
    let mut pids = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let Some(pid) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        if environment.split(|byte| *byte == 0).any(|word| word == mark.as_bytes()) {
            pids.push(pid);
        }
    }
    Ok(pids)
}

fn switches(pids: &[u32]) -> Result<u64> {
    let mut sum = 0;
    for pid in pids {
        let text = fs::read_to_string(format!("/proc/{pid}/status"))?;
        sum += field(&text, "voluntary_ctxt_switches:").unwrap_or(0);
    }
    Ok(sum)
}

fn field(text: &str, name: &str) -> Option<u64> {
    text.lines().find(|line| line.starts_with(name))?.split_whitespace().nth(1)?.parse().ok()
}
