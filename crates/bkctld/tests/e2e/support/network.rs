//! Each test has a network of its own, so that ports never collide between tests that run at once.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::fd::AsFd;
use std::process::{Command, Stdio};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// Moves this thread, and what it starts from now on, into a new network with a loopback device.
pub fn own_network() {
    let mut holder = Command::new("unshare")
        .args(["--net", "sh", "-c", "ip link set lo up && echo up && exec sleep 600"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("unshare");
    let mut line = String::new();
    BufReader::new(holder.stdout.take().expect("piped")).read_line(&mut line).expect("read");
    assert_eq!(line, "up\n", "cannot make a network namespace");
    let namespace = File::open(format!("/proc/{}/ns/net", holder.id())).expect("network namespace");
    move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).expect("setns");
    holder.kill().expect("kill");
    holder.wait().expect("wait");
}
