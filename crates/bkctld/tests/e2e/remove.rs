//! `remove`: it asks first, and goes on past a jail that fails.

use crate::support::*;
use std::fs;

#[apply(as_root)]
fn remove_asks_first_and_takes_no_for_an_answer() {
    let server = Server::on(FsKind::Ext4);
    server.bkctld(&["init", "a"]).ok();
    for answer in ["n\n", "no\n"] {
        let ran = server.bkctld_reading(answer.as_bytes(), &["remove", "a"]).exits(101);
        let asked = ran.out() + &ran.err();
        assert!(asked.contains("Are you sure you want to delete jail 'a'? [Y,n,?]"), "{}", ran.told());
        assert!(server.jail("a").is_dir());
    }
    server.bkctld_reading(b"Y\n", &["remove", "a"]).ok();
    assert!(!server.jail("a").exists());
    // As a removal leaves it that is killed in the middle of deleting.
    let left = server.path("backup/jails/.remove-a");
    fs::create_dir_all(left.join("data")).unwrap();
    server.bkctld(&["-n", "remove", "a"]).exits(2);
    assert!(left.exists());
    server.bkctld(&["remove", "a"]).exits(2);
    assert!(!left.exists(), "what a killed removal left stays");
    let ran = server.bkctld(&["-f", "remove", "a"]).ok();
    assert!(!ran.err().is_empty(), "a missing jail is worth a warning: {}", ran.told());
}

#[apply(as_root)]
fn a_question_that_nobody_answers_is_a_no() {
    let server = Server::on(FsKind::Ext4);
    server.bkctld(&["init", "a"]).ok();
    server.bkctld(&["remove", "a"]).fails();
    assert!(server.jail("a").is_dir(), "removed without an answer");
}

#[apply(as_root)]
fn remove_all_goes_on_past_a_jail_that_fails() {
    let server = Server::on(FsKind::Ext4);
    for name in ["a", "b", "c"] {
        server.bkctld(&["init", name]).ok();
    }
    // A mount in it can neither be unlinked nor may it be gone through.
    let stuck = server.data("b").join("stuck").display().to_string();
    sh(&format!("mkdir {stuck}; mount -t tmpfs none {stuck}; echo x > {stuck}/mounted"));
    server.bkctld(&["-f", "remove", "all"]).exits(1).warns("b");
    assert!(!server.jail("a").exists() && !server.jail("c").exists());
    let mounted = sh("awk '/bkctld-test/ && $3 == \"tmpfs\" { print $2 }' /proc/self/mounts");
    let ours = mounted.lines().find(|place| place.starts_with(server.path("").to_str().unwrap()));
    let place = ours.expect("the mount is still there").to_owned();
    assert_eq!(fs::read_to_string(format!("{place}/mounted")).unwrap(), "x\n", "deleted through a mount");
    // What is left of it can be removed once the cause is gone.
    sh(&format!("umount {place}"));
    server.bkctld(&["-f", "remove", "all"]).ok();
    assert!(fs::read_dir(server.path("backup/jails")).unwrap().next().is_none());
}
