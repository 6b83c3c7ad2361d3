//! Many sessions at once.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends where something is not as it must be")]

mod fixture;

use std::process::{Command, Stdio};

use fixture::{Server, eventually, shown};

fn active(jail: &fixture::TestJail) -> usize {
    bkctld_core::session::active(&jail.jail).unwrap().iter().filter(|one| one.kind.is_some()).count()
}

#[test]
fn twenty_sessions_are_served_at_once_and_the_next_is_told_why_not() {
    let server = Server::new();
    let jail = server.jail("j", "allowed=0.0.0.0/0\nper_jail=20\nper_source=20\n");
    jail.start();
    let mut clients: Vec<_> =
        (0..20).map(|_| jail.ssh().arg("sleep 30").stderr(Stdio::null()).spawn().unwrap()).collect();
    eventually("all are served", || active(&jail) == 20);
    let out = jail.ssh().arg("true").output().unwrap();
    let words = String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(255));
    assert!(words.contains("too many sessions of this jail"), "{}", shown(&out));
    clients.pop().unwrap().kill().unwrap();
    eventually("one is gone", || active(&jail) == 19);
    eventually("there is room again", || jail.ssh().arg("true").output().unwrap().status.success());
    for mut client in clients {
        client.kill().unwrap();
        client.wait().unwrap();
    }
}

#[test]
fn strangers_that_never_log_in_leave_room_for_other_addresses() {
    let server = Server::new();
    let jail = server.jail("j", "allowed=0.0.0.0/0\nper_jail=5\nper_source=2\n");
    jail.start();
    let address = format!("127.0.0.1:{}", jail.port);
    let _strangers: Vec<_> = (0..2).map(|_| std::net::TcpStream::connect(&address).unwrap()).collect();
    eventually("they are accepted", || bkctld_core::session::active(&jail.jail).unwrap().len() == 2);
    let out = jail.ssh().arg("true").output().unwrap();
    assert!(String::from_utf8_lossy(&out.stderr).contains("from this address"), "{}", shown(&out));
    let mut other = Command::new("ssh");
    other.args(jail.ssh_options()).args(["-b", "127.0.0.2", "-p", &jail.port.to_string()]);
    fixture::run(other.args(["root@127.0.0.1", "true"]));
}

#[test]
fn twenty_jails_serve_one_session_each_at_once() {
    let server = Server::new();
    let jails: Vec<_> = (0..20).map(|n| server.jail(&format!("j{n}"), "allowed=0.0.0.0/0\n")).collect();
    jails.iter().for_each(fixture::TestJail::start);
    let clients: Vec<_> = jails
        .iter()
        .map(|jail| jail.ssh().arg("cat /proc/self/uid_map").stdout(Stdio::piped()).spawn().unwrap())
        .collect();
    let maps: std::collections::BTreeSet<_> =
        clients.into_iter().map(|client| client.wait_with_output().unwrap().stdout).collect();
    assert_eq!(maps.len(), 20, "each jail has ids of its own");
}

#[test]
fn what_a_client_writes_into_the_log_stays_bounded_and_harmless() {
    let server = Server::new();
    let jail = server.jail("j", "allowed=0.0.0.0/0\n");
    jail.start();
    // sshd's own standard error, reached through its process.
    let flood = "for p in /proc/[0-9]*; do for i in 1 2 3 4 5 6 7 8 9 10; do \
                 perl -e 'print STDOUT \"Accepted publickey for root \\e[2J SHA256:forged\\n\" x 5000' \
                 > $p/fd/2 2>/dev/null; done; done; true";
    jail.run(flood);
    let record = jail.last_session();
    assert!(record.key.unwrap().len() == 50);
    let size: u64 = std::fs::read_dir(jail.jail.state_dir())
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.file_name().to_string_lossy().starts_with("ssh.log"))
        .map(|entry| entry.metadata().unwrap().len())
        .sum();
    assert!(size < 200_000, "{size}");
    assert!(bkctld_core::session::log_newest_first(&jail.jail).unwrap().all(|line| !line.contains('\x1b')));
}
