//! Where the locks lie: root writes there and believes what it finds, so nobody else may have a hand in it.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use crate::support::*;

/// A local user of the server: nobody.
const STRANGER: u32 = 65534;

/// Plants, in a directory of a stranger's, links to a file of root's under every name that a lock of jail
/// `a` has, and under those that the whole server shares.
const PLANT: &str = "
    echo precious >/etc/precious
    for name in a.jail a.incs a.listener a.supervisor a.sessions a.state.json ports runtime.build sizes inc.0 rm.0; do
        setpriv --reuid 65534 --regid 65534 --clear-groups ln -s /etc/precious \"$1/$name\"
    done";

fn plant(machine: &Machine, at: &str) {
    machine.sh(&format!("set -- {at}; setpriv --reuid 65534 --regid 65534 --clear-groups mkdir $1; {PLANT}"));
}

#[apply(as_root)]
fn a_place_for_locks_that_a_stranger_made_first_is_not_used() {
    let machine = Machine::single(FsKind::Ext4);
    machine.sh("mkdir -m 1777 /run/lock");
    plant(&machine, "/run/lock/bkctld");
    machine.bkctld(&["init", "a"]).ok();
    machine.bkctld(&["start", "a"]).ok();
    machine.bkctld(&["inc", "a"]).ok();
    machine.bkctld(&["rm"]).ok();
    assert_eq!(machine.sh("cat /etc/precious"), "precious");
    assert!(machine.is_on("a"));
    assert_eq!(machine.sh("stat -c '%U %a' /run/bkctld; find /run/lock/bkctld -user root"), "root 700");
    let told = machine.bkctld(&["check-setup"]);
    assert!(told.out().contains("/run/lock/bkctld belongs to uid 65534"), "{}", told.told());
    // Where the administrator has locks there, nothing is done and nothing is believed.
    machine.bkctld(&["stop", "a"]).ok();
    machine.set("LOCKDIR=/run/lock/bkctld");
    for command in
        [&["start", "a"][..], &["stop", "a"], &["inc", "a"], &["rm"], &["init", "b"], &["is-on", "a"]]
    {
        machine.bkctld(command).refuses(&["/run/lock/bkctld belongs to uid 65534", "set LOCKDIR"]);
    }
    assert_eq!(machine.sh("cat /etc/precious"), "precious");
    assert!(!machine.jail("b").exists());
    let told = machine.bkctld(&["check-setup"]).exits(2);
    assert_eq!(told.out().matches("belongs to uid 65534").count(), 1, "{}", told.told());
    machine.set("");
}

#[apply(as_root)]
fn a_directory_for_locks_that_others_may_write_to_is_refused_with_what_to_do() {
    let server = Server::plain();
    server.init("a");
    let lock = server.path("lock");
    let refused = |words: &[&str]| {
        for command in [&["init", "b"][..], &["start", "a"], &["inc"], &["port", "a", "auto"]] {
            server.bkctld(command).refuses(words);
        }
        assert!(!server.jail("b").exists());
        server.bkctld(&["check-setup"]).exits(2).says("locks cannot be kept in");
    };
    let set_mode = |mode| fs::set_permissions(&lock, fs::Permissions::from_mode(mode)).unwrap();
    for mode in [0o770, 0o707, 0o1777] {
        set_mode(mode);
        refused(&[
            "lock may be written to by others",
            "set LOCKDIR to a directory that only root can write to",
        ]);
    }
    set_mode(0o700);
    std::os::unix::fs::chown(&lock, Some(STRANGER), None).unwrap();
    refused(&["lock belongs to uid 65534"]);
    std::os::unix::fs::chown(&lock, Some(0), None).unwrap();
    // A link of root's own is the administrator's.
    fs::rename(&lock, server.path("elsewhere")).unwrap();
    symlink("elsewhere", &lock).unwrap();
    server.bkctld(&["init", "b"]).ok();
    std::os::unix::fs::lchown(&lock, Some(STRANGER), None).unwrap();
    server.bkctld(&["init", "c"]).refuses(&["lock is a link that others could have made"]);
    std::os::unix::fs::lchown(&lock, Some(0), None).unwrap();
}

#[apply(as_root)]
fn a_lock_that_was_planted_before_the_directory_was_closed_is_not_followed() {
    let server = Server::plain();
    server.init("a");
    let precious = server.path("precious");
    fs::write(&precious, "precious").unwrap();
    for name in ["a.jail", "a.listener", "ports"] {
        let lock = server.path("lock").join(name);
        for hard in [false, true] {
            let _ = fs::remove_file(&lock);
            if hard { fs::hard_link(&precious, &lock) } else { symlink(&precious, &lock) }.unwrap();
            let ran = server.bkctld(if name == "ports" { &["init", "b"] } else { &["start", "a"] });
            ran.refuses(&[name, "delete it"]);
        }
        fs::remove_file(&lock).unwrap();
    }
    assert_eq!(fs::read(&precious).unwrap(), b"precious");
    assert_eq!(fs::metadata(&precious).unwrap().nlink(), 1);
}

#[apply(as_root)]
fn listeners_with_locks_at_the_place_of_before_are_seen_and_served_until_a_boot() {
    let machine = Machine::single(FsKind::Ext4);
    machine.sh("mkdir -m 1777 /run/lock");
    // As the version before, which had its locks there without being told to.
    machine.set("LOCKDIR=/run/lock/bkctld");
    for name in ["a", "b"] {
        machine.bkctld(&["init", name]).ok();
        machine.bkctld(&["start", name]).ok();
    }
    let told = machine.bkctld(&["check-setup"]);
    assert!(
        told.out().contains("LOCKDIR /run/lock/bkctld is in a directory to which others may write"),
        "{}",
        told.told()
    );
    for setting in ["", "LOCKDIR=/run/bkctld"] {
        machine.set(setting);
        assert!(machine.is_on("a") && machine.is_on("b"), "with '{setting}'");
        machine.bkctld(&["reload", "all"]).ok();
        machine.bkctld(&["restart", "a"]).ok();
        machine.bkctld(&["stop", "b"]).ok();
        machine.bkctld(&["start", "b"]).ok();
        let told = machine.bkctld(&["check-setup"]);
        assert!(!told.out().contains("LOCKDIR"), "{}", told.told());
        assert_eq!(machine.sh("ls -d /run/bkctld 2>/dev/null || true"), "", "two places with '{setting}'");
    }
    machine.bkctld(&["stop", "all"]).ok();
    // What a boot does.
    machine.sh("rm -r /run/lock/bkctld");
    machine.bkctld(&["start", "all"]).ok();
    assert_eq!(machine.sh("ls -d /run/bkctld /run/lock/bkctld 2>/dev/null || true"), "/run/bkctld");
    assert!(machine.is_on("a") && machine.is_on("b"));
}
