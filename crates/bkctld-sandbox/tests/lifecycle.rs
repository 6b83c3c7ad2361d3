//! Starting, stopping, reloading, and every process killed in turn.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends where something is not as it must be")]

mod fixture;

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::process::Stdio;
use std::thread::sleep;
use std::time::{Duration, Instant};

use bkctld_core::service::background::stop;
use bkctld_core::service::reload;
use bkctld_core::session::{Ending, active};
use fixture::{Role, Server, TestJail, eventually, kill};
use rustix::process::Signal;

/// A session that forks away from sshd, and is known to run.
fn busy(jail: &TestJail) -> std::process::Child {
    let command = "setsid sleep 1000 & trap '' TERM HUP; sleep 1000";
    let client = jail.ssh().arg(command).stderr(Stdio::null()).spawn().unwrap();
    eventually("the session runs", || active(&jail.jail).unwrap().iter().any(|one| one.kind.is_some()));
    client
}

#[test]
fn stop_leaves_no_process_whatever_the_session_forked() {
    let server = Server::new();
    let jail = server.jail("j", "allowed=0.0.0.0/0\n");
    assert!(!jail.jail.is_listening().unwrap());
    jail.start();
    assert!(jail.jail.is_listening().unwrap());
    jail.start();
    let mut client = busy(&jail);
    assert!(jail.processes().len() >= 6, "{:#?}", jail.processes());
    stop(&jail.jail).unwrap();
    assert!(jail.processes().is_empty(), "{:#?}", jail.processes());
    assert!(!jail.jail.is_listening().unwrap());
    stop(&jail.jail).unwrap();
    assert!(!client.wait().unwrap().success());
    assert_eq!(jail.last_session().ending, Some(Ending::Stopped));
    TcpStream::connect(("127.0.0.1", jail.port)).unwrap_err();
    jail.start();
    jail.run("true");
}

#[test]
fn whichever_process_of_a_session_is_killed_the_session_is_gone() {
    let server = Server::new();
    let jail = server.jail("j", "allowed=0.0.0.0/0\n");
    jail.start();
    for role in [Role::Sshd, Role::Init, Role::Monitor] {
        let mut client = busy(&jail);
        kill(jail.the(role), Signal::KILL);
        eventually("only supervisor and listener are left", || jail.processes().len() == 2);
        assert!(!client.wait().unwrap().success());
        assert_eq!(jail.last_session().ending, Some(Ending::Killed), "{role:?}");
        assert!(jail.jail.is_listening().unwrap());
        jail.run("true");
        eventually("that one has ended", || jail.processes().len() == 2);
    }
}

#[test]
fn a_killed_listener_takes_its_sessions_along_and_comes_back() {
    let server = Server::new();
    let jail = server.jail("j", "allowed=0.0.0.0/0\n");
    jail.start();
    let mut client = busy(&jail);
    let listener = jail.the(Role::Listener);
    kill(listener, Signal::KILL);
    eventually("the jail is off", || !jail.jail.is_listening().unwrap());
    assert!(!client.wait().unwrap().success());
    eventually("the jail is on again", || jail.jail.is_listening().unwrap());
    jail.run("true");
    assert_ne!(jail.the(Role::Listener), listener);
    // Process 1 waits for what the listener left; that takes a moment.
    eventually("no zombie is left", || jail.processes().iter().all(|one| !one.zombie));
    let killed = fs::read_to_string(jail.jail.state_dir().join("finished.jsonl")).unwrap();
    assert!(killed.lines().next().unwrap().contains("\"killed\""), "{killed}");
}

#[test]
fn a_killed_supervisor_leaves_a_jail_that_is_served_and_can_be_stopped() {
    let server = Server::new();
    let jail = server.jail("j", "allowed=0.0.0.0/0\n");
    jail.start();
    kill(jail.the(Role::Supervisor), Signal::KILL);
    sleep(Duration::from_millis(50));
    assert!(jail.jail.is_listening().unwrap());
    jail.start();
    jail.run("true");
    stop(&jail.jail).unwrap();
    assert!(jail.processes().is_empty());
}

#[test]
fn reload_moves_the_port_and_keeps_sessions() {
    let server = Server::new();
    let mut jail = server.jail("j", "allowed=0.0.0.0/0\n");
    jail.start();
    let mut client = busy(&jail);
    let old = jail.port;
    let new = old - 10_000;
    jail.configure(new, "allowed=0.0.0.0/0\n");
    reload(&jail.jail).unwrap();
    TcpStream::connect(("127.0.0.1", old)).unwrap_err();
    jail.port = new;
    jail.run("true");
    assert!(client.try_wait().unwrap().is_none());

    let taken = TcpListener::bind(("127.0.0.1", old)).unwrap();
    jail.configure(old, "allowed=0.0.0.0/0\n");
    let error = reload(&jail.jail).unwrap_err().to_string();
    assert!(error.contains(&format!("port {old} is in use")), "{error}");
    jail.run("true");
    drop(taken);
    jail.configure(new, "allowed=0.0.0.0/0\nnonsense=1\n");
    reload(&jail.jail).unwrap_err();
    jail.run("true");
    jail.configure(new, "allowed=0.0.0.0/0\nlisten=127.0.0.1\n");
    reload(&jail.jail).unwrap();
    jail.run("true");
    TcpStream::connect(("::1", new)).unwrap_err();
    client.kill().unwrap();
    client.wait().unwrap();
    jail.port = old;
}

#[test]
fn a_connection_to_an_address_that_a_reload_gives_up_harms_nobody() {
    let server = Server::new();
    let jail = server.jail("j", "allowed=0.0.0.0/0\n");
    jail.start();
    let listener = jail.the(Role::Listener);
    // It finds the reload and the connection at once when it goes on.
    kill(listener, Signal::STOP);
    let waiting = TcpStream::connect(("::1", jail.port)).unwrap();
    jail.configure(jail.port, "allowed=0.0.0.0/0\nlisten=127.0.0.1\n");
    kill(listener, Signal::HUP);
    kill(listener, Signal::CONT);
    eventually("it has reloaded", || TcpStream::connect(("::1", jail.port)).is_err());
    reload(&jail.jail).unwrap();
    assert_eq!(jail.the(Role::Listener), listener);
    jail.run("true");
    drop(waiting);
}

#[test]
fn a_start_that_cannot_serve_fails_at_once_and_says_why() {
    let server = Server::new();
    let jail = server.jail("j", "allowed=0.0.0.0/0\n");
    let fails = |why: &str| {
        let begun = Instant::now();
        let error = jail.try_start().unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
        assert!(!error.contains('\n') && begun.elapsed() < Duration::from_secs(5));
        assert!(!jail.jail.is_listening().unwrap());
        assert!(jail.processes().is_empty());
    };
    let taken = TcpListener::bind(("0.0.0.0", jail.port)).unwrap();
    fails(&format!("port {} is in use", jail.port));
    drop(taken);

    let etc = jail.jail.rootfs().join("etc/ssh");
    fs::rename(etc.join("ssh_host_ed25519_key"), etc.join("away")).unwrap();
    fails("no hostkeys available");
    fs::rename(etc.join("away"), etc.join("ssh_host_ed25519_key")).unwrap();

    let config = fs::read_to_string(jail.jail.sshd_config()).unwrap();
    fs::write(jail.jail.sshd_config(), format!("{config}Nonsense yes\n")).unwrap();
    fails("Bad configuration option: Nonsense");
    fs::write(jail.jail.sshd_config(), config).unwrap();

    fs::rename(jail.jail.rootfs().join("data"), jail.jail.rootfs().join("no-data")).unwrap();
    fails("bkctld update j");
    fs::rename(jail.jail.rootfs().join("no-data"), jail.jail.rootfs().join("data")).unwrap();

    let current = server.settings.data_dir.join("runtime/current");
    fs::rename(&current, current.with_file_name("away")).unwrap();
    fails("there is no runtime");
    fs::rename(current.with_file_name("away"), &current).unwrap();
    jail.start();
}
