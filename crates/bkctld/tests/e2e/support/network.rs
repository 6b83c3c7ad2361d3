//! Each test has a network of its own, so that ports never collide between tests that run at once.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::fd::AsFd;
use std::process::{Child, Command, Stdio};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::run::{Running, sh, start};

/// Moves this thread, and what it starts from now on, into a new network with a loopback device.
pub fn own_network() {
    let mut holder = new_network();
    let namespace = File::open(format!("/proc/{}/ns/net", holder.id())).expect("network namespace");
    move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).expect("setns");
    holder.kill().expect("kill");
    holder.wait().expect("wait");
}

/// A process that holds a new network with a loopback device.
fn new_network() -> Child {
    let mut holder = Command::new("unshare")
        .args(["--net", "sh", "-c", "ip link set lo up && echo up && exec sleep 600"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("unshare");
    let mut line = String::new();
    BufReader::new(holder.stdout.take().expect("piped")).read_line(&mut line).expect("read");
    assert_eq!(line, "up\n", "cannot make a network namespace");
    holder
}

/// Whether this kernel has IPv6; says so where it has not. With `CI` set, it must.
pub fn has_ipv6() -> bool {
    if std::fs::metadata("/proc/sys/net/ipv6").is_ok() {
        return true;
    }
    assert!(std::env::var_os("CI").is_none(), "this kernel has no IPv6");
    eprintln!("skipped: this kernel has no IPv6");
    false
}

/// A machine in the same network as this test's server: the server is 192.0.2.1 and 2001:db8::1, the
/// machine has several other addresses.
pub struct Neighbour {
    holder: Child,
}

impl Neighbour {
    /// Puts a cable between the test's network and a new one.
    pub fn new() -> Neighbour {
        let holder = new_network();
        let pid = holder.id();
        let neighbour = Neighbour { holder };
        sh(&format!(
            "set -e
             ip link add wire0 type veth peer name wire1 netns {pid}
             ip addr add 192.0.2.1/24 dev wire0; ip -6 addr add 2001:db8::1/64 dev wire0 nodad; ip link set wire0 up
             nsenter -t {pid} -n sh -ec '
                ip link set wire1 up
                for n in 7 8; do
                    ip addr add 192.0.2.$n/24 dev wire1; ip -6 addr add 2001:db8::$n/64 dev wire1 nodad
                done'"
        ));
        neighbour
    }

    /// Starts to connect from this address to a port of the server; prints what greets it.
    pub fn attempt(&self, from: &str, port: u16) -> Running {
        let (family, server) = if from.contains(':') { ("-6", "2001:db8::1") } else { ("-4", "192.0.2.1") };
        let mut command = Command::new("nsenter");
        command.args([
            "-t",
            &self.holder.id().to_string(),
            "-n",
            "perl",
            "-MSocket=:all",
            "-e",
            CONNECT,
            "--",
        ]);
        command.args([family, from, server, &port.to_string()]);
        start(command, b"")
    }

    /// What a port of the server says first.
    pub fn greeting(&self, from: &str, port: u16) -> String {
        self.attempt(from, port).finish().ok().out()
    }
}

impl Drop for Neighbour {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

/// Arguments: -4 or -6, own address, the server's, port.
const CONNECT: &str = r#"
    my ($family, $from, $to, $port) = @ARGV;
    my $six = $family eq "-6";
    my $f = $six ? AF_INET6 : AF_INET;
    my $at = sub { my ($a, $p) = @_; my $n = inet_pton($f, $a); $six ? pack_sockaddr_in6($p, $n) : pack_sockaddr_in($p, $n) };
    socket(my $s, $f, SOCK_STREAM, 0) or die "socket: $!";
    bind($s, $at->($from, 0)) or die "bind: $!";
    connect($s, $at->($to, $port)) or die "connect: $!";
    sysread($s, my $said, 64);
    print $said;
"#;
