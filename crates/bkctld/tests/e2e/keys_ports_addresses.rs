//! Who may connect, from where, on which port.

use std::fs;
use std::io::Read;
use std::net::TcpStream;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use crate::support::network;
use crate::support::*;

/// What a stranger's connection gets before anything is said: empty when it was closed.
fn greeting(address: &str, port: u16) -> String {
    let Ok(mut stream) = TcpStream::connect((address, port)) else { return String::new() };
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut text = [0; 64];
    let count = stream.read(&mut text).unwrap_or(0);
    String::from_utf8_lossy(&text[..count]).into_owned()
}

#[apply(as_root)]
fn a_key_replaces_the_old_ones_and_is_printed() {
    let server = Server::on(FsKind::Ext4);
    let client = server.started("a");
    client.ssh("true").ok();
    let file = server.jail("a").join("rootfs/root/.ssh/authorized_keys");
    let own = fs::read_to_string(client.file("id.pub")).unwrap();
    assert_eq!(server.bkctld(&["key", "a"]).ok().out(), own);
    assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, 0o600);
    sh(&format!(
        "ssh-keygen -q -t rsa -b 2048 -N '' -f {0}; ssh-keygen -q -t ecdsa -N '' -f {0}2",
        client.file("other")
    ));
    let two = format!(
        "# two keys\n\nno-pty,from=\"127.0.0.0/8\" {}{}",
        fs::read_to_string(client.file("other.pub")).unwrap(),
        fs::read_to_string(client.file("other2.pub")).unwrap()
    );
    write(&server.path("two"), &two);
    server.bkctld(&["key", "a", server.path("two").to_str().unwrap()]).ok();
    assert_eq!(server.bkctld(&["key", "a"]).ok().out(), two);
    client.ssh("true").fails();
    let own_key = fs::read(client.file("id")).unwrap();
    // ssh reads the public half beside the private one.
    fs::rename(client.file("other.pub"), client.file("id.pub")).unwrap();
    fs::rename(client.file("other"), client.file("id")).unwrap();
    client.ssh("true").ok();
    server.bkctld_reading(own.as_bytes(), &["key", "a", "-"]).ok();
    assert_eq!(server.bkctld(&["key", "a"]).ok().out(), own);
    client.ssh("true").fails();
    fs::write(client.file("id"), own_key).unwrap();
    fs::write(client.file("id.pub"), own).unwrap();
    client.ssh("true").ok();
}

#[apply(as_root)]
fn a_port_is_set_told_and_taken_at_once() {
    let server = Server::on(FsKind::Ext4);
    let mut client = server.started("a");
    assert_eq!(server.bkctld(&["port", "a"]).ok().out(), "2222\n");
    server.bkctld(&["port", "a", "4022"]).ok();
    assert_eq!(server.bkctld(&["port", "a"]).ok().out(), "4022\n");
    client.port = 4022;
    wait_for("the new port answers", || server.greets(4022));
    client.ssh("true").ok();
    server.bkctld(&["init", "b"]).ok();
    assert_eq!(server.port("b"), 4023, "the next is the highest in use and one");
    server.bkctld(&["port", "a", "auto"]).ok();
    assert_eq!(server.port("a"), 4024);
    server.bkctld(&["port", "b", "4024"]).refuses(&["4024", "a"]);
    assert_eq!(server.port("b"), 4023);
    server.bkctld(&["port", "b", "4023"]).ok();
}

#[apply(as_root)]
fn a_new_port_is_none_that_another_program_listens_on() {
    let server = Server::on(FsKind::Ext4);
    let listen = |address: &str| std::net::TcpListener::bind(address).unwrap();
    let mut others = vec![listen("0.0.0.0:2222"), listen("127.0.0.1:2223")];
    if network::has_ipv6() {
        others.extend([listen("[::]:2224"), listen("[::1]:2225")]);
    } else {
        others.extend([listen("0.0.0.0:2224"), listen("0.0.0.0:2225")]);
    }
    server.bkctld(&["-n", "init", "a"]).ok().says("on port 2226");
    server.bkctld(&["init", "a"]).ok();
    assert_eq!(server.port("a"), 2226);
    // What is connected from or to a port does not listen on it.
    let peer = listen("127.0.0.1:9999");
    let from_2227 = "perl -MIO::Socket::INET -e '$s = IO::Socket::INET->new(\
        PeerAddr => \"127.0.0.1:9999\", LocalPort => 2227) or die $!; print \"ok\"; STDOUT->flush; sleep 60'";
    let connected = crate::support::run::start(
        {
            let mut command = std::process::Command::new("sh");
            command.args(["-c", &format!("exec {from_2227}")]);
            command
        },
        b"",
    );
    let accepted = peer.accept().unwrap();
    server.bkctld(&["init", "b"]).ok();
    assert_eq!(server.port("b"), 2227);
    connected.kill();
    drop(accepted);
    others.push(listen("127.0.0.1:2228"));
    server.bkctld(&["port", "a", "auto"]).ok();
    assert_eq!(server.port("a"), 2229);
    server.bkctld(&["start", "a"]).ok();
    assert!(server.greets(2229));
}

#[apply(as_root)]
fn concurrent_automatic_ports_are_different() {
    let server = Server::on(FsKind::Ext4);
    let names = ["a", "b", "c", "d", "e", "f", "g", "h"];
    for name in names {
        server.bkctld(&["init", name]).ok();
    }
    let running: Vec<_> = names.iter().map(|name| server.begin(&["port", name, "auto"])).collect();
    for one in running {
        one.finish().ok();
    }
    let mut ports: Vec<u16> = names.iter().map(|name| server.port(name)).collect();
    ports.sort_unstable();
    ports.dedup();
    assert_eq!(ports.len(), names.len());
}

#[apply(as_root)]
fn addresses_are_added_listed_and_taken_away() {
    let server = Server::on(FsKind::Ext4);
    server.bkctld(&["init", "a"]).ok();
    let listed = || server.bkctld(&["ip", "a"]).ok().lines();
    assert_eq!(listed(), ["0.0.0.0/0"]);
    server.bkctld(&["ip", "a", "192.0.2.7"]).ok();
    assert_eq!(listed(), ["192.0.2.7"]);
    server.bkctld(&["ip", "a", "2001:db8::/32"]).ok();
    server.bkctld(&["ip", "a", "198.51.100.0/24"]).ok();
    assert_eq!(listed(), ["192.0.2.7", "2001:db8::/32", "198.51.100.0/24"]);
    server.bkctld(&["ip", "a", "192.0.2.7"]).ok();
    assert_eq!(listed().len(), 3, "the same address twice");
    let config = fs::read_to_string(server.jail("a").join("rootfs/etc/ssh/sshd_config")).unwrap();
    let allowed = config.lines().find(|line| line.starts_with("AllowUsers")).unwrap();
    assert_eq!(allowed, "AllowUsers root@192.0.2.7 root@2001:db8::/32 root@198.51.100.0/24");
    server.bkctld(&["ip", "a", "-2001:db8::/32"]).ok();
    assert_eq!(listed(), ["192.0.2.7", "198.51.100.0/24"]);
    for everyone in ["all", "0.0.0.0/0"] {
        server.bkctld(&["ip", "a", "192.0.2.7"]).ok();
        server.bkctld(&["ip", "a", everyone]).ok();
        assert_eq!(listed(), ["0.0.0.0/0"]);
    }
}

#[apply(as_root)]
fn the_last_address_taken_away_never_opens_the_jail_to_everyone() {
    let server = Server::on(FsKind::Ext4);
    let client = server.started("a");
    server.bkctld(&["ip", "a", "192.0.2.7"]).ok();
    server.bkctld(&["ip", "a", "-192.0.2.7"]);
    let listed = server.bkctld(&["ip", "a"]).lines();
    assert_ne!(listed, ["0.0.0.0/0"], "taking away the only address must not allow all");
    client.ssh("true").fails();
}

#[apply(as_root)]
fn a_missing_allow_users_line_is_an_error() {
    let server = Server::on(FsKind::Ext4);
    server.bkctld(&["init", "a"]).ok();
    let config = server.jail("a").join("rootfs/etc/ssh/sshd_config");
    let text = fs::read_to_string(&config).unwrap();
    let without: String =
        text.lines().filter(|line| !line.starts_with("AllowUsers")).map(|line| format!("{line}\n")).collect();
    fs::write(&config, &without).unwrap();
    server.bkctld(&["ip", "a", "192.0.2.7"]).refuses(&["AllowUsers"]);
    assert_eq!(fs::read_to_string(&config).unwrap(), without);
}

#[apply(as_root)]
fn the_address_list_is_enforced_at_accept_and_in_sshd() {
    let server = Server::on(FsKind::Ext4);
    let client = server.started("a");
    server.bkctld(&["ip", "a", "127.0.0.2"]).ok();
    wait_for("strangers are turned away", || !greeting("127.0.0.1", client.port).starts_with("SSH-"));
    client.ssh("true").fails();
    run(client.ssh_command(&["-b", "127.0.0.2"], &["true"])).ok();
    server.bkctld(&["ip", "a", "127.0.0.0/30"]).ok();
    wait_for("the network is let in", || greeting("127.0.0.1", client.port).starts_with("SSH-"));
    client.ssh("true").ok();
    run(client.ssh_command(&["-b", "127.0.0.9"], &["true"])).fails();
}

#[apply(as_root)]
fn a_jail_listens_on_ipv4_and_ipv6() {
    let server = Server::on(FsKind::Ext4);
    let client = server.started("a");
    assert!(greeting("127.0.0.1", client.port).starts_with("SSH-"));
    if !network::has_ipv6() {
        return;
    }
    assert!(greeting("::1", client.port).starts_with("SSH-"));
    let v6 = ["-o", "HostName=::1"];
    run(client.ssh_command(&v6, &["true"])).ok();
    server.bkctld(&["ip", "a", "::1"]).ok();
    wait_for("IPv4 is turned away", || !greeting("127.0.0.1", client.port).starts_with("SSH-"));
    run(client.ssh_command(&v6, &["true"])).ok();
}

#[apply(as_root)]
fn the_log_shows_the_logins_of_this_jail_newest_first() {
    let server = Server::on(FsKind::Ext4);
    let client = server.started("a");
    let other = server.started("b");
    client.ssh("true").ok();
    other.ssh("true").ok();
    wait_for("the login is in the log", || {
        server.bkctld(&["log", "a"]).out().contains(&client.fingerprint())
    });
    let log = server.bkctld(&["log", "a"]).ok();
    assert!(!log.out().contains(&other.fingerprint()), "{}", log.told());
    let at = |word: &str| log.lines().iter().position(|line| line.contains(word));
    let (accepted, from) = (at("Accepted publickey"), at("Connection from"));
    assert!(accepted.is_some(), "{}", log.told());
    if let (Some(accepted), Some(from)) = (accepted, from) {
        assert!(accepted < from, "not newest first: {}", log.told());
    }
}
