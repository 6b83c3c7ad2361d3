//! The program is replaced under running listeners, as an upgrade of the package does it.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::support::server::BKCTLD;
use crate::support::*;

/// A program of this server's own, which a test may replace.
struct Installed<'s> {
    server: &'s Server,
    path: PathBuf,
}

impl Installed<'_> {
    fn on(server: &Server) -> Installed<'_> {
        let installed = Installed { server, path: server.path("bkctld") };
        write_program(&installed.path, fs::read(BKCTLD).unwrap());
        installed
    }

    fn run(&self, args: &[&str]) -> Ran {
        let mut command = std::process::Command::new(&self.path);
        self.server.environment(&mut command);
        command.args(args);
        run(command)
    }

    /// As dpkg does it: the new file takes the name of the old one.
    fn replace(&self) {
        let new = self.server.path("bkctld.dpkg-new");
        write_program(&new, fs::read(BKCTLD).unwrap());
        fs::rename(new, &self.path).unwrap();
    }

    /// Whether this process runs the file that has the name now.
    fn is_run_by(&self, pid: i32) -> bool {
        let inode = |path: &Path| fs::metadata(path).map(|file| file.ino()).ok();
        inode(Path::new(&format!("/proc/{pid}/exe"))) == inode(&self.path)
    }
}

#[apply(as_root)]
fn an_idle_listener_becomes_the_new_program_at_a_reload() {
    let server = Server::on(FsKind::Ext4);
    let program = Installed::on(&server);
    let client = server.init("a");
    program.run(&["start", "a"]).ok();
    let before = server.listener("a").pid;
    program.run(&["reload", "a"]).ok();
    assert!(program.is_run_by(before), "it is the same program still");
    program.replace();
    assert!(!program.is_run_by(before));
    client.ssh("true").ok();
    assert!(!program.is_run_by(before), "nothing happens before the reload");
    program.run(&["reload", "a"]).ok();
    wait_for("the listener runs the new program", || program.is_run_by(before));
    wait_for("the jail is on", || server.bkctld(&["is-on", "a"]).code == 0);
    assert_eq!(server.listener("a").pid, before, "another process");
    client.ssh("true").ok();
    for _ in 0..3 {
        program.run(&["reload", "a"]).ok();
    }
    program.run(&["stop", "a"]).ok();
}

#[apply(as_root)]
fn a_listener_with_a_session_waits_for_its_end() {
    let server = Server::on(FsKind::Ext4);
    let program = Installed::on(&server);
    let client = server.init("a");
    program.run(&["start", "a"]).ok();
    let listener = server.listener("a").pid;
    let mut held = client.hold();
    assert!(held.answers());
    program.replace();
    program.run(&["reload", "a"]).ok();
    // New sessions begin and end meanwhile.
    client.ssh("true").ok();
    assert!(held.answers() && !program.is_run_by(listener), "the session had to make way");
    held.close();
    wait_for("the listener runs the new program", || program.is_run_by(listener));
    wait_for("the jail is on", || server.bkctld(&["is-on", "a"]).code == 0);
    client.ssh("true").ok();
}

#[apply(as_root)]
fn what_would_not_start_again_goes_on_as_it_is() {
    let server = Server::on(FsKind::Ext4);
    let program = Installed::on(&server);
    let client = server.init("a");
    program.run(&["start", "a"]).ok();
    let listener = server.listener("a").pid;
    let held = client.hold();
    program.replace();
    program.run(&["reload", "a"]).ok();
    // Broken after the reload that found nothing wrong, and before the last session ends.
    let config = server.jail("a").join("rootfs/etc/ssh/sshd_config");
    let good = fs::read_to_string(&config).unwrap();
    write(&config, format!("{good}\nNoSuchOption yes\n"));
    held.close();
    wait_for("the listener has looked", || server.bkctld(&["log", "a"]).out().contains("NoSuchOption"));
    assert!(!program.is_run_by(listener));
    server.bkctld(&["is-on", "a"]).ok();
    write(&config, good);
    client.ssh("true").ok();
    program.run(&["reload", "a"]).ok();
    wait_for("the listener runs the new program", || program.is_run_by(listener));
    wait_for("the jail is on", || server.bkctld(&["is-on", "a"]).code == 0);
}

#[apply(as_root)]
fn a_program_that_was_removed_leaves_its_listeners_alone() {
    let server = Server::on(FsKind::Ext4);
    let program = Installed::on(&server);
    let client = server.init("a");
    program.run(&["start", "a"]).ok();
    fs::remove_file(&program.path).unwrap();
    server.bkctld(&["reload", "a"]).ok();
    client.ssh("true").ok();
    server.bkctld(&["is-on", "a"]).ok();
}
