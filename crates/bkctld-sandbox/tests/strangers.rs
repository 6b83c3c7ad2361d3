//! Connections that never log in: what is left of them, and how many a source may make.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends where something is not as it must be")]

mod fixture;

use std::process::{Command, Output};

use bkctld_core::session::{WithoutLogin, last_finished, log_newest_first, without_login};
use fixture::{Server, TestJail, eventually, shown};

/// A client at this address of the machine's, with a key that the jail knows or without one.
fn connect(jail: &TestJail, from: &str, with_key: bool) -> Output {
    let mut ssh = Command::new("ssh");
    ssh.args(jail.ssh_options()).args(["-b", from, "-p", &jail.port.to_string()]);
    if !with_key {
        ssh.args(["-o", "PubkeyAuthentication=no"]);
    }
    ssh.args(["root@127.0.0.1", "true"]).stdin(std::process::Stdio::null()).output().unwrap()
}

fn is_served(jail: &TestJail, from: &str) -> bool {
    connect(jail, from, true).status.success()
}

fn count(jail: &TestJail) -> WithoutLogin {
    without_login(&jail.jail).unwrap().unwrap()
}

/// Makes connections without a login until this source is refused; returns what the last one was told.
fn until_refused(jail: &TestJail, from: &str) -> String {
    for _ in 0..30 {
        let out = connect(jail, from, false);
        assert_eq!(out.status.code(), Some(255), "{}", shown(&out));
        let told = String::from_utf8_lossy(&out.stderr).into_owned();
        if told.contains("without a login") {
            return told;
        }
    }
    panic!("thirty connections without a login, and none was refused");
}

#[test]
fn connections_without_a_login_are_counted_and_leave_the_sessions_alone() {
    let server = Server::new();
    let jail = server.jail("j", "allowed=0.0.0.0/0\nPENALTY_EXEMPT=127.0.0.0/8\n");
    jail.start();
    jail.run("true");
    let session = jail.last_session();
    let size = |name: &str| std::fs::metadata(jail.jail.state_dir().join(name)).unwrap().len();
    let before = [size("finished.jsonl"), size("ssh.log")];
    for _ in 0..30 {
        assert!(!connect(&jail, "127.0.0.2", false).status.success());
    }
    eventually("all are counted", || count(&jail).connections == 30);
    assert_eq!(count(&jail).last_source.to_string(), "127.0.0.2");
    assert_eq!([size("finished.jsonl"), size("ssh.log")], before, "they are among the sessions");
    assert_eq!(last_finished(&jail.jail).unwrap().as_ref(), Some(&session));
    // Whoever looks for a client that cannot log in finds it nevertheless.
    let log: Vec<String> = log_newest_first(&jail.jail).unwrap().collect();
    assert!(log[0].contains("127.0.0.2"), "{log:#?}");
    let login = log.iter().find(|line| line.contains("Accepted publickey")).unwrap();
    assert!(login.contains(&session.id));
    assert!(log.is_sorted_by(|newer, older| newer[..24] >= older[..24]), "{log:#?}");
}

#[test]
fn a_source_that_never_logs_in_is_refused_for_a_while_and_no_other_is() {
    let server = Server::new();
    let jail = server.jail("j", "allowed=0.0.0.0/0\n");
    jail.start();
    let told = until_refused(&jail, "127.0.0.2");
    assert!(told.contains("try again in "), "{told}");
    assert!(!is_served(&jail, "127.0.0.2"), "a key helps nobody whose source is refused");
    assert!(is_served(&jail, "127.0.0.3") && is_served(&jail, "127.0.0.1"));
    eventually("those refused are counted", || count(&jail).refused >= 2);
    let log: Vec<String> = log_newest_first(&jail.jail).unwrap().collect();
    assert!(log.iter().any(|line| line.contains("no sessions for 127.0.0.2 for ")), "{log:#?}");
}

#[test]
fn a_penalty_is_over_by_itself_and_the_administrator_says_how_long_it_is() {
    let server = Server::new();
    let jail = server.jail("j", "allowed=0.0.0.0/0\nMAX_PENALTY=3\n");
    jail.start();
    until_refused(&jail, "127.0.0.2");
    eventually("it is over", || is_served(&jail, "127.0.0.2"));
    let without = server.jail("k", "allowed=0.0.0.0/0\nMAX_PENALTY=0\n");
    without.start();
    for _ in 0..20 {
        connect(&without, "127.0.0.2", false);
    }
    assert!(is_served(&without, "127.0.0.2"));
}

#[test]
fn who_is_exempt_or_has_logged_in_is_not_kept_out() {
    let server = Server::new();
    let jail = server.jail("j", "allowed=0.0.0.0/0\nPENALTY_EXEMPT=127.0.0.2/32\n");
    jail.start();
    for _ in 0..20 {
        connect(&jail, "127.0.0.2", false);
    }
    assert!(is_served(&jail, "127.0.0.2"));
    // A login wipes out what was before it: three wrong keys, the right one, three wrong ones.
    for _ in 0..4 {
        for _ in 0..3 {
            connect(&jail, "127.0.0.4", false);
        }
        assert!(is_served(&jail, "127.0.0.4"));
        eventually("its monitor has ended", || bkctld_core::session::active(&jail.jail).unwrap().is_empty());
    }
}

#[test]
fn a_flood_of_connections_leaves_few_lines_in_the_logs() {
    let server = Server::new();
    let jail = server.jail("j", "allowed=127.0.0.9/32\n");
    jail.start();
    for _ in 0..2000 {
        drop(std::net::TcpStream::connect(("127.0.0.1", jail.port)).unwrap());
    }
    eventually("all are counted", || count(&jail).refused == 2000);
    let lines = log_newest_first(&jail.jail).unwrap().count();
    assert!((1..=20).contains(&lines), "{lines}");
}
