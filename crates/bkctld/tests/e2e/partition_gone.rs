//! The backup partition is gone while its jails run: unmounted under them, or its disk has died.

use std::fs;
use std::path::Path;

use crate::support::*;

fn move_mount(from: &Path, to: &Path) {
    sh(&format!("mount --move {} {}", from.display(), to.display()));
}

#[apply(as_root)]
fn jails_without_their_partition_are_told_and_can_be_stopped() {
    let server = Server::on(FsKind::Ext4);
    let held = server.started("a").hold();
    server.started("b");
    server.started("c");
    let (here, elsewhere) = (server.backup(), server.path("elsewhere"));
    fs::create_dir(&elsewhere).unwrap();
    move_mount(&here, &elsewhere);
    server.bkctld(&["is-on", "a"]).ok().warns("is on, but");
    assert_eq!(server.bkctld(&["--json", "is-on", "a"]).ok().json()["on"], true);
    server.bkctld(&["is-on", "nobody"]).exits(2);
    server.bkctld(&["status", "a"]).refuses(&[
        "jail 'a' is on",
        "mount the backup partition",
        "bkctld stop a",
    ]);
    server.bkctld(&["status"]).refuses(&[
        "jails that are on, but not in JAILDIR",
        "a, b, c",
        "bkctld stop all",
    ]);
    server.bkctld(&["start", "a"]).exits(2).warns("jail 'a' is on");
    server.bkctld(&["check-setup"]).exits(2).says("3 jail(s) are on without their data: a, b, c");
    server.bkctld(&["--dry-run", "stop", "a"]).ok().says("would stop jail 'a'");
    server.bkctld(&["stop", "a"]).ok();
    held.ended();
    server.bkctld(&["is-on", "a"]).exits(2);
    server.bkctld(&["stop", "nobody"]).exits(2);
    // As on a server where the directories lie below the place of the mount, too.
    for dir in ["jails", "incs"] {
        fs::create_dir(here.join(dir)).unwrap();
    }
    server.bkctld(&["status"]).ok().warns("jails that are on, but not in JAILDIR");
    server.bkctld(&["check-setup"]).exits(2).says("2 jail(s) are on without their data: b, c");
    server.bkctld(&["stop", "all"]).ok();
    server.bkctld(&["check-setup"]);
    assert_eq!(server.processes(), [], "processes survive `stop all`");
    let told = server.bkctld(&["status"]).ok();
    assert!(!told.err().contains("JAILDIR"), "{}", told.told());
    move_mount(&elsewhere, &here);
    for name in ["a", "b", "c"] {
        server.bkctld(&["is-on", name]).exits(100);
    }
    server.bkctld(&["start", "all"]).ok();
}

#[apply(as_root)]
fn jails_whose_disk_has_died_can_be_stopped() {
    let server = Server::on(FsKind::Xfs);
    let held = server.started("a").hold();
    server.started("b");
    // Every access is EIO from now on.
    sh(&format!("xfs_io -x -c shutdown {}", server.backup().display()));
    server.lenient.set(true);
    assert!(fs::read_dir(server.path("backup/jails")).is_err());
    server.bkctld(&["is-on", "b"]).ok().warns("is on, but");
    server.bkctld(&["stop", "b"]).ok();
    server.bkctld(&["stop", "all"]).ok().warns("cannot read JAILDIR");
    held.ended();
    assert_eq!(server.processes(), [], "processes survive `stop all`");
    server.bkctld(&["stop", "all"]).refuses(&["cannot read JAILDIR"]);
}
