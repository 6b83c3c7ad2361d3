//! A client machine of one jail: stock ssh, sftp, scp and rsync.

use std::ffi::OsStr;
use std::fs;
use std::marker::PhantomData;
use std::path::PathBuf;
use std::process::Command;

use super::run::{Ran, Running, run, sh, start};
use super::server::Server;

/// A key that may log in, and the host keys of the jail; host keys are always verified.
pub struct Client<'s> {
    pub port: u16,
    dir: PathBuf,
    // A client is of no use beyond its server.
    server: PhantomData<&'s Server>,
}

impl<'s> Client<'s> {
    /// Makes a key pair, and gives its public half to the jail.
    #[track_caller]
    pub fn new(server: &'s Server, jail: &str) -> Client<'s> {
        let dir = Client::make_key(server, jail);
        let client = Client { port: server.port(jail), dir, server: PhantomData };
        server.bkctld(&["key", jail, &client.file("id.pub")]).ok();
        Client::trust(server, jail);
        client
    }

    /// Of a jail that the original made: a key pair, and the jail's host keys.
    #[track_caller]
    pub fn existing(server: &'s Server, jail: &str, port: u16) -> Client<'s> {
        let dir = Client::make_key(server, jail);
        Client::trust(server, jail);
        Client { port, dir, server: PhantomData }
    }

    /// Makes the directory of the client of this jail, and a key pair in it.
    pub fn make_key(server: &Server, jail: &str) -> PathBuf {
        let dir = server.path(&format!("client-{jail}"));
        fs::create_dir_all(&dir).expect("client directory");
        sh(&format!("ssh-keygen -q -t ed25519 -N '' -C {jail} -f {}/id", dir.display()));
        dir
    }

    /// Makes the host keys of the jail known to its client.
    #[track_caller]
    pub fn trust(server: &Server, jail: &str) {
        let places = ["rootfs/etc/ssh", "etc/ssh"].map(|place| server.jail(jail).join(place));
        let etc = places.iter().find(|place| place.is_dir()).expect("etc/ssh");
        let mut known = String::new();
        for entry in fs::read_dir(etc).expect("etc/ssh").flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with("ssh_host_") && name.ends_with("_key") {
                known += &format!("* {}\n", sh(&format!("ssh-keygen -y -f {}", entry.path().display())));
            }
        }
        assert!(!known.is_empty(), "the jail has no host keys");
        fs::write(server.path(&format!("client-{jail}/known_hosts")), known).expect("known_hosts");
    }

    /// A file of the client, as text.
    pub fn file(&self, name: &str) -> String {
        self.dir.join(name).display().to_string()
    }

    /// The fingerprint of the client's key.
    pub fn fingerprint(&self) -> String {
        let shown = sh(&format!("ssh-keygen -lf {}", self.file("id.pub")));
        shown.split(' ').nth(1).expect("fingerprint").to_owned()
    }

    /// The options that ssh, sftp and scp share.
    pub fn options(&self) -> Vec<String> {
        let mut options = vec!["-F".into(), "/dev/null".into(), "-i".into(), self.file("id")];
        for option in [
            "IdentitiesOnly=yes",
            "BatchMode=yes",
            "StrictHostKeyChecking=yes",
            "GlobalKnownHostsFile=/dev/null",
            "ConnectTimeout=30",
            "LogLevel=ERROR",
            &format!("UserKnownHostsFile={}", self.file("known_hosts")),
        ] {
            options.extend(["-o".into(), option.to_owned()]);
        }
        options
    }

    /// `ssh` with more options, and a remote command.
    pub fn ssh_command(&self, options: &[&str], remote: &[&str]) -> Command {
        let mut command = Command::new("ssh");
        command.args(self.options()).args(options).args(["-p", &self.port.to_string(), "root@127.0.0.1"]);
        command.args(remote);
        command
    }

    /// Runs a shell command in the jail.
    pub fn ssh(&self, remote: &str) -> Ran {
        run(self.ssh_command(&[], &[remote]))
    }

    /// Runs a shell command in the jail with something on its standard input.
    pub fn ssh_reading(&self, input: &[u8], remote: &str) -> Ran {
        start(self.ssh_command(&[], &[remote]), input).finish()
    }

    /// Starts a shell command in the jail.
    pub fn begin(&self, remote: &str) -> Running {
        start(self.ssh_command(&[], &[remote]), b"")
    }

    /// Starts a perl program in the jail; perl must be among its programs.
    pub fn perl(&self, perl: &str) -> Running {
        start(self.ssh_command(&[], &["perl -"]), perl.as_bytes())
    }

    /// A session that stays open until the returned value is dropped or killed; it is logged in.
    #[track_caller]
    pub fn hold(&self) -> Held {
        Held::new(self.ssh_command(&[], &["echo in; cat"]))
    }

    /// Runs a batch of sftp commands.
    pub fn sftp(&self, batch: &str) -> Ran {
        let mut command = Command::new("sftp");
        command.args(self.options()).args(["-P", &self.port.to_string(), "-b", "-", "root@127.0.0.1"]);
        start(command, batch.as_bytes()).finish()
    }

    /// Runs scp; `jail:PATH` names a file in the jail.
    pub fn scp(&self, args: &[&str]) -> Ran {
        let mut command = Command::new("scp");
        command.args(self.options()).args(["-q", "-P", &self.port.to_string()]);
        command.args(args.iter().map(|arg| self.remote(arg)));
        run(command)
    }

    /// rsync over ssh; `jail:PATH` names a file in the jail.
    pub fn rsync_command<A: AsRef<OsStr>>(&self, args: &[A]) -> Command {
        let mut command = Command::new("rsync");
        let shell = format!("ssh {} -p {}", self.options().join(" "), self.port);
        command.args(["-e", &shell]);
        for arg in args {
            match arg.as_ref().to_str() {
                Some(text) => command.arg(self.remote(text)),
                None => command.arg(arg),
            };
        }
        command
    }

    /// Runs rsync.
    pub fn rsync<A: AsRef<OsStr>>(&self, args: &[A]) -> Ran {
        run(self.rsync_command(args))
    }

    fn remote(&self, arg: &str) -> String {
        match arg.strip_prefix("jail:") {
            Some(path) => format!("root@127.0.0.1:{path}"),
            None => arg.to_owned(),
        }
    }
}

/// A session that was opened and waits.
pub struct Held {
    child: std::process::Child,
    input: Option<std::process::ChildStdin>,
    output: std::io::BufReader<std::process::ChildStdout>,
}

impl Held {
    #[track_caller]
    fn new(mut command: Command) -> Held {
        use std::process::Stdio;
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("ssh");
        let input = child.stdin.take();
        let output = std::io::BufReader::new(child.stdout.take().expect("piped"));
        let mut held = Held { child, input, output };
        let first = held.line();
        if first != "in" {
            use std::io::Read;
            let mut said = String::new();
            if let Some(mut errors) = held.child.stderr.take() {
                let _ = errors.read_to_string(&mut said);
            }
            panic!("the session did not open: {first:?} {said:?}");
        }
        held
    }

    fn line(&mut self) -> String {
        use std::io::BufRead;
        let mut line = String::new();
        let _ = self.output.read_line(&mut line);
        line.trim_end().to_owned()
    }

    /// Whether the session still answers.
    pub fn answers(&mut self) -> bool {
        use std::io::Write;
        let Some(input) = &mut self.input else { return false };
        if input.write_all(b"still here\n").and_then(|()| input.flush()).is_err() {
            return false;
        }
        self.line() == "still here"
    }

    /// Ends the session from the client's side, and waits for it.
    pub fn close(mut self) -> i32 {
        drop(self.input.take());
        self.child.wait().expect("wait").code().unwrap_or(-1)
    }

    /// Waits until the session ends by itself.
    pub fn ended(mut self) -> i32 {
        super::run::wait_for("the held session ends", || self.child.try_wait().expect("wait").is_some());
        self.child.wait().expect("wait").code().unwrap_or(-1)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
