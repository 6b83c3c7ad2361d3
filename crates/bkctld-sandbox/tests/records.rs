//! What the records of sessions claim, and what a client with its key can make them claim.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends where something is not as it must be")]

mod fixture;

use std::fs;
use std::process::{Command, Stdio};

use bkctld_core::session::{Kind, SessionRecord, last_push, pushes};
use fixture::{Server, TestJail, run, shown};

fn served(server: &Server) -> TestJail {
    let jail = server.jail("j", "allowed=0.0.0.0/0\n");
    jail.start();
    jail
}

/// Pushes a small file with these options.
fn push(server: &Server, jail: &TestJail, options: &[&str]) -> SessionRecord {
    let file = server.base().join("file");
    fs::write(&file, "content").unwrap();
    run(Command::new("rsync")
        .args(["-a", "-e", &jail.rsync_shell()])
        .args(options)
        .arg(file)
        .arg("root@127.0.0.1:/data/"));
    jail.last_session()
}

#[test]
fn a_command_that_only_begins_like_a_push_is_none() {
    let server = Server::new();
    let jail = served(&server);
    for command in [
        "rsync --server --version; rm -rf /data/*",
        "rsync --server --version",
        "rsync --server --version > /data/x",
        "true $(rsync --server --version)",
        "rsync --server \\--version && true",
        "rsync --server --vers{ion,ion}; true .ssh/rc",
    ] {
        jail.run(&format!("{command}; exit 0"));
        let record = jail.last_session();
        assert!(!record.is_successful_push(), "{command}: {record:?}");
        assert_ne!(record.kind, Some(Kind::RsyncPush), "{command}");
        jail.ssh().arg(command).output().unwrap();
        assert!(!jail.last_session().is_successful_push(), "{command}");
    }
    assert_eq!(last_push(&jail.jail).unwrap(), None);
    // A push that writes nothing, as the client says it.
    let dry = push(&server, &jail, &["-n"]);
    assert!(!dry.is_successful_push() && !jail.jail.data().join("file").exists(), "{dry:?}");
    // Its arguments come inside of the connection, where nobody sees them.
    let secluded = push(&server, &jail, &["-s"]);
    assert!(!secluded.is_successful_push(), "{secluded:?}");
    assert!(!pushes(&jail.jail).unwrap().failed);
    let real = push(&server, &jail, &["-b", "--backup-dir=/data/old", "--delete", "--partial-dir=.p"]);
    assert!(real.is_successful_push(), "{real:?}");
    assert!(real.programs[0].bytes_in > 100 && real.programs[0].bytes_in < real.bytes_in, "{real:?}");
    assert_eq!(last_push(&jail.jail).unwrap(), Some(real));
}

/// A client's connection that several commands share.
struct Shared<'a> {
    jail: &'a TestJail,
    socket: String,
    master: std::process::Child,
}

impl<'a> Shared<'a> {
    fn open(server: &Server, jail: &'a TestJail) -> Shared<'a> {
        let socket = server.base().join("mux").display().to_string();
        let mut master = jail.ssh();
        let master = master.args(["-M", "-N", "-S", &socket]).stderr(Stdio::null()).spawn().unwrap();
        fixture::eventually("the connection is there", || fs::exists(&socket).unwrap());
        Shared { jail, socket, master }
    }

    fn run(&self, command: &str) {
        let out = self.jail.ssh().args(["-S", &self.socket, command]).output().unwrap();
        assert!(out.status.success(), "{command}: {}", shown(&out));
    }

    fn push(&self, server: &Server) {
        fs::write(server.base().join("file"), "content").unwrap();
        let shell = format!("{} -S {}", self.jail.rsync_shell(), self.socket);
        let mut rsync = Command::new("rsync");
        run(rsync.args(["-a", "-e", &shell]).arg(server.base().join("file")).arg("root@127.0.0.1:/data/"));
    }

    fn close(mut self) -> SessionRecord {
        self.master.kill().unwrap();
        self.master.wait().unwrap();
        fs::remove_file(&self.socket).unwrap();
        self.jail.last_session()
    }
}

#[test]
fn every_program_of_a_connection_is_recorded_and_a_push_is_alone_on_it() {
    let server = Server::new();
    let jail = served(&server);
    let connection = Shared::open(&server, &jail);
    connection.push(&server);
    connection.run("rm -rf /data/file .ssh/rc; exit 0");
    let record = connection.close();
    let told: Vec<_> = record.programs.iter().map(|one| (one.kind, one.exit)).collect();
    assert_eq!(told, [(Kind::RsyncPush, Some(0)), (Kind::Command, Some(0))], "{record:?}");
    assert_eq!(record.programs[1].command, "rm -rf /data/file .ssh/rc; exit 0");
    assert_eq!((record.kind, record.exit), (Some(Kind::RsyncPush), Some(0)));
    assert!(!record.is_successful_push() && !record.is_failed_push());
    assert_eq!(pushes(&jail.jail).unwrap(), bkctld_core::session::Pushes::default());

    let connection = Shared::open(&server, &jail);
    connection.push(&server);
    let record = connection.close();
    assert!(record.is_successful_push(), "{record:?}");
}

#[test]
fn the_record_of_a_connection_with_many_commands_is_bounded_and_counts_them() {
    let server = Server::new();
    let jail = served(&server);
    let connection = Shared::open(&server, &jail);
    let long = "x".repeat(20_000);
    for number in 0..40 {
        connection.run(&format!("true {number} {long}"));
    }
    let record = connection.close();
    assert_eq!(record.programs.len() as u64 + record.more_programs, 40, "{record:?}");
    assert!(record.programs[0].command.starts_with("true 0 xxx"));
    assert!(serde_json::to_string(&record).unwrap().len() < 4000);
}
