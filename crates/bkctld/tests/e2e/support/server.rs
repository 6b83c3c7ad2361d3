//! A backup server below a temporary directory: its own volume, its own configuration, its own
//! network. Everything in it is real.

use std::cell::{Cell, RefCell};
use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use super::client::Client;
use super::digest::Digest;
use super::processes::{self, Process};
use super::run::{Ran, Running, run, start, wait_for};
use super::volume::{FsKind, Volume};

/// The program under test.
pub const BKCTLD: &str = env!("CARGO_BIN_EXE_bkctld");

/// A volume that holds whatever a test writes: the image is sparse.
const ROOMY_MIB: u64 = 8 << 10;

/// What the runtime gets beside its own programs, to do damage with.
pub const TOOLS: &str = "/usr/bin/perl /usr/bin/dd /usr/bin/truncate /usr/bin/chmod /usr/bin/chown \
                         /usr/bin/ln /usr/bin/setfattr /usr/bin/sleep /usr/bin/cp /usr/bin/id";

/// See the module.
pub struct Server {
    dir: TempDir,
    volume: Option<Volume>,
    settings: RefCell<Vec<(String, String)>>,
    // A test that breaks the server on purpose says so, and cleans up by itself.
    pub lenient: Cell<bool>,
}

impl Server {
    /// With a backup partition of this kind.
    pub fn on(kind: FsKind) -> Server {
        Server::sized(kind, ROOMY_MIB)
    }

    /// With a backup partition of this kind and size.
    pub fn sized(kind: FsKind, mib: u64) -> Server {
        let dir = temp_dir();
        let volume = Volume::make(dir.path(), kind, mib);
        Server::new(dir, Some(volume))
    }

    /// With the backup partition in a plain directory: for what never starts a session.
    pub fn plain() -> Server {
        let dir = temp_dir();
        fs::create_dir(dir.path().join("backup")).expect("backup directory");
        Server::new(dir, None)
    }

    fn new(dir: TempDir, volume: Option<Volume>) -> Server {
        super::network::own_network();
        let server = Server { dir, volume, settings: RefCell::default(), lenient: Cell::new(false) };
        let below = |name: &str| server.dir.path().join(name).display().to_string();
        server.set("BACKUP_PARTITION", &below("backup"));
        server.set("CONFDIR", &below("conf"));
        server.set("DATADIR", &below("state"));
        server.set("LOCKDIR", &below("lock"));
        server.set("TPLDIR", &below("tpl"));
        server.set("LOCALTPLDIR", &below("localtpl"));
        server.set("SERVICE", "background");
        // Nothing for the log of the machine that runs the tests.
        server.set("LOGLEVEL", "0");
        for made in ["backup/jails", "backup/incs", "conf"] {
            fs::create_dir(server.dir.path().join(made)).expect("directory");
        }
        server.make_no_rsa_keys();
        server
    }

    /// A local template that asks for one kind of host key: making RSA keys would take most of the time
    /// of all tests together.
    fn make_no_rsa_keys(&self) {
        let text = include_str!("../../../../../templates/sshd_config");
        let lines = text.lines().filter(|line| !line.contains("_rsa_") && !line.contains("_ecdsa_"));
        let text: String = lines.map(|line| format!("{line}\n")).collect();
        fs::create_dir(self.path("localtpl")).expect("directory");
        fs::write(self.path("localtpl/sshd_config"), text).expect("template");
    }

    /// Takes that back: jails are made as on a server without templates of its own.
    pub fn use_built_in_templates(&self) {
        fs::remove_dir_all(self.path("localtpl")).expect("templates");
    }

    /// Sets a variable of the configuration.
    pub fn set(&self, name: &str, value: &str) {
        self.settings.borrow_mut().retain(|(known, _)| known != name);
        self.settings.borrow_mut().push((name.to_owned(), value.to_owned()));
        let lines = self.settings.borrow().iter().map(|(n, v)| format!("{n}=\"{v}\"\n")).collect::<String>();
        self.write_config(&lines);
    }

    /// Writes the configuration file as it is given.
    pub fn write_config(&self, text: &str) {
        fs::write(self.config_file(), text).expect("configuration");
    }

    pub fn config_file(&self) -> PathBuf {
        self.path("bkctld.conf")
    }

    /// A place below the temporary directory.
    pub fn path(&self, below: &str) -> PathBuf {
        self.dir.path().join(below)
    }

    /// The backup partition.
    pub fn backup(&self) -> PathBuf {
        self.path("backup")
    }

    pub fn jail(&self, name: &str) -> PathBuf {
        self.path("backup/jails").join(name)
    }

    pub fn data(&self, name: &str) -> PathBuf {
        self.jail(name).join("data")
    }

    pub fn volume(&self) -> &Volume {
        self.volume.as_ref().expect("this server has a volume")
    }

    /// The incs of a jail: everything in its `INCDIR` whose name is an inc's, sorted.
    pub fn incs(&self, name: &str) -> Vec<PathBuf> {
        let Ok(entries) = fs::read_dir(self.path("backup/incs").join(name)) else { return Vec::new() };
        let mut incs: Vec<PathBuf> = entries
            .map(|entry| entry.expect("entry").path())
            .filter(|path| path.file_name().is_some_and(|n| is_inc_name(&n.to_string_lossy())))
            .collect();
        incs.sort();
        incs
    }

    /// Everything in the `INCDIR` of a jail, sorted.
    pub fn inc_dir_entries(&self, name: &str) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.path("backup/incs").join(name)) else { return Vec::new() };
        let mut names: Vec<String> =
            entries.map(|entry| entry.expect("entry").file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    /// The only inc of a jail.
    #[track_caller]
    pub fn only_inc(&self, name: &str) -> PathBuf {
        let mut incs = self.incs(name);
        assert_eq!(incs.len(), 1, "{incs:?}");
        incs.remove(0)
    }

    /// `bkctld` with these arguments, not yet started.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(BKCTLD);
        self.environment(&mut command);
        command.args(args);
        command
    }

    /// Clears the environment but for what every command of this server needs.
    pub fn environment(&self, command: &mut Command) {
        command
            .env_clear()
            .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .env("LANG", "C.UTF-8")
            .env("TZ", "UTC")
            .env("BKCTLD_CONFIG", self.config_file());
    }

    /// Runs `bkctld` to its end.
    pub fn bkctld(&self, args: &[&str]) -> Ran {
        run(self.command(args))
    }

    /// Runs `bkctld` with something on standard input.
    pub fn bkctld_reading(&self, input: &[u8], args: &[&str]) -> Ran {
        start(self.command(args), input).finish()
    }

    /// Starts `bkctld`, to look at it while it runs.
    pub fn begin(&self, args: &[&str]) -> Running {
        start(self.command(args), b"")
    }

    /// Runs `bkctld` where the local time is that many hours ahead, so that a test can take several
    /// incs within one hour.
    pub fn bkctld_ahead(&self, hours: i8, args: &[&str]) -> Ran {
        run(self.command_ahead(hours, args))
    }

    /// See [`Server::bkctld_ahead`].
    pub fn command_ahead(&self, hours: i8, args: &[&str]) -> Command {
        let mut command = self.command(args);
        // POSIX counts west of Greenwich as positive.
        command.env("TZ", format!("TST{:+}", -hours));
        command
    }

    /// Makes one inc of a jail and gives its place; the n-th call with a higher hour is a later inc.
    #[track_caller]
    pub fn take_inc(&self, hours: i8, name: &str) -> PathBuf {
        let before = self.incs(name);
        self.bkctld_ahead(hours, &["inc", name]).ok();
        let new: Vec<PathBuf> = self.incs(name).into_iter().filter(|inc| !before.contains(inc)).collect();
        assert_eq!(new.len(), 1, "one new inc beside {before:?}: {new:?}");
        new[0].clone()
    }

    /// Waits until what was written so far is so old that the next inc can tell it from what is
    /// written after it, by the file system's clock: only then is it shared between incs.
    pub fn settle(&self) {
        std::thread::sleep(Duration::from_millis(2500));
    }

    /// Digests of all incs of a jail.
    pub fn digests(&self, name: &str) -> Vec<(PathBuf, Digest)> {
        self.incs(name).into_iter().map(|inc| (inc.clone(), Digest::of(&inc))).collect()
    }

    /// Demands that each inc still is what it was.
    #[track_caller]
    pub fn assert_unchanged(&self, before: &[(PathBuf, Digest)], after_what: &str) {
        for (inc, digest) in before {
            digest.assert_same(&Digest::of(inc), &format!("{} after {after_what}", inc.display()));
        }
    }

    /// Makes a jail with a client that may log in; does not start it.
    #[track_caller]
    pub fn init(&self, name: &str) -> Client<'_> {
        self.bkctld(&["init", name]).ok();
        Client::new(self, name)
    }

    /// Makes and starts a jail.
    #[track_caller]
    pub fn started(&self, name: &str) -> Client<'_> {
        let client = self.init(name);
        self.bkctld(&["start", name]).ok();
        client
    }

    /// The port of a jail.
    #[track_caller]
    pub fn port(&self, name: &str) -> u16 {
        let ran = self.bkctld(&["port", name]).ok();
        ran.out().trim().parse().unwrap_or_else(|_| panic!("no port: {}", ran.told()))
    }

    /// Sets the retention policy of a jail.
    pub fn policy(&self, name: &str, text: &str) {
        fs::write(self.path("conf").join(format!("{name}.d/incs_policy")), text).expect("policy");
    }

    /// `status --json` of one jail.
    #[track_caller]
    pub fn status(&self, name: &str) -> Value {
        let json = self.bkctld(&["--json", "status", name]).ok().json();
        json["jails"][0].clone()
    }

    /// The last finished session of a jail, once there is one after so many.
    #[track_caller]
    pub fn last_session(&self, name: &str) -> Value {
        wait_for("the session has ended", || self.active_sessions(name) == 0);
        self.status(name)["sessions"]["last"].clone()
    }

    /// How many sessions of a jail are active.
    #[track_caller]
    pub fn active_sessions(&self, name: &str) -> usize {
        self.status(name)["sessions"]["active"].as_array().map_or(0, Vec::len)
    }

    /// What runs for this server now.
    pub fn processes(&self) -> Vec<Process> {
        let device = self.volume.as_ref().map_or("none", |volume| volume.device.as_str());
        processes::of_volume(device)
    }

    /// What runs inside of sessions now.
    pub fn session_processes(&self) -> Vec<Process> {
        self.processes().into_iter().filter(|process| process.in_session).collect()
    }

    /// The listener of a jail.
    #[track_caller]
    pub fn listener(&self, name: &str) -> Process {
        let port = self.port(name);
        let pid = super::run::sh(&format!(
            "ss -Htlnp 'sport = :{port}' | sed -n 's/.*pid=\\([0-9]*\\).*/\\1/p' | head -n1"
        ));
        let pid: i32 = pid.parse().unwrap_or_else(|_| panic!("nothing listens on port {port}"));
        let found = self.processes().into_iter().find(|process| process.pid == pid);
        found.unwrap_or_else(|| panic!("the listener {pid} is not a process of bkctld"))
    }

    /// Demands that nothing runs for this server any more, zombies included.
    #[track_caller]
    pub fn assert_quiet(&self) {
        let mut left = Vec::new();
        for _ in 0..500 {
            left = self.processes();
            if left.is_empty() {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("processes are left: {left:#?}");
    }

    /// Whether an SSH server greets on this port.
    pub fn greets(&self, port: u16) -> bool {
        use std::io::Read;
        let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else { return false };
        stream.set_read_timeout(Some(Duration::from_secs(10))).expect("timeout");
        let mut banner = [0; 8];
        stream.read_exact(&mut banner).is_ok() && &banner == b"SSH-2.0-"
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let failing = std::thread::panicking();
        if failing || self.lenient.get() {
            // Best effort: nothing of a broken server may outlive its test.
            let _ = self.command(&["stop", "all"]).output();
            for process in self.processes() {
                processes::kill(process.pid);
            }
        } else {
            let ran = self.bkctld(&["-q", "stop", "all"]);
            assert!(ran.code == 0, "stopping the jails at the end: {}", ran.told());
            self.assert_quiet();
        }
        if let Some(volume) = &self.volume {
            volume.unmount();
        }
    }
}

/// Where images and state go: not in `/tmp`, which may be memory.
pub fn temp_dir() -> TempDir {
    let base = std::env::var_os("BKCTLD_TEST_DIR").map_or_else(|| PathBuf::from("/var/tmp"), PathBuf::from);
    tempfile::Builder::new().prefix("bkctld-test-").tempdir_in(base).expect("temporary directory")
}

/// Whether this is `YYYY-MM-DD-HH`.
pub fn is_inc_name(name: &str) -> bool {
    name.len() == 13
        && name.bytes().enumerate().all(|(at, byte)| match at {
            4 | 7 | 10 => byte == b'-',
            _ => byte.is_ascii_digit(),
        })
}

/// Takes a port of the test's network, as another program of the server would.
pub fn occupy(port: u16) -> TcpListener {
    TcpListener::bind(("0.0.0.0", port)).expect("bind")
}

/// A program, with its parents. Another process writes it: this one's descriptor might be open for a
/// moment in the child of another test, and what is open for writing cannot be run ("text file busy").
#[track_caller]
pub fn write_program(path: &Path, content: impl AsRef<[u8]>) {
    fs::create_dir_all(path.parent().expect("parent")).expect("directory");
    let mut command = Command::new("sh");
    command.args(["-c", "cat >\"$1\" && chmod 755 \"$1\"", "sh"]).arg(path);
    start(command, content.as_ref()).finish().ok();
}

/// A file below a directory, with its parents.
pub fn write(path: &Path, content: impl AsRef<[u8]>) {
    fs::create_dir_all(path.parent().expect("parent")).expect("directory");
    fs::write(path, content).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}
