//! `inc-lock` and `inc-unlock`.

use std::fs;
use std::path::Path;

use crate::support::*;

fn is_writable(inc: &Path) -> bool {
    let probe = inc.join("data/probe");
    let written = fs::write(&probe, "x").is_ok();
    if written {
        fs::remove_file(&probe).unwrap();
    }
    written
}

#[apply(as_root)]
fn snapshots_are_locked_and_unlocked_by_jail_by_pattern_and_all_of_them() {
    let server = Server::on(FsKind::Btrfs);
    for name in ["a", "ab"] {
        server.bkctld(&["init", name]).ok();
    }
    let a = [server.take_inc(-2, "a"), server.take_inc(-1, "a")];
    let ab = server.take_inc(-1, "ab");
    assert!(!is_writable(&a[0]), "an inc is read-only from the start");
    let writable = || [is_writable(&a[0]), is_writable(&a[1]), is_writable(&ab)];

    let ran = server.bkctld(&["inc-unlock", "a"]).ok().warns("jail 'a': incs unlocked: 2");
    ran.warns("are permanent");
    assert_eq!(writable(), [true, true, false]);
    let oldest = a[0].file_name().unwrap().to_str().unwrap();
    server.bkctld(&["-v", "inc-lock", &format!("[a-c]/{oldest}")]).ok().warns("incs locked: 1");
    assert_eq!(writable(), [false, true, false]);
    let json = server.bkctld(&["--json", "inc-unlock", "all"]).ok().json();
    assert_eq!(writable(), [true, true, true]);
    assert_eq!(json["results"][0]["jail"], "a");
    assert_eq!(
        json["results"][0]["incs"][0],
        serde_json::json!({"inc": oldest, "locked": false, "changed": true})
    );
    assert_eq!(json["results"][0]["incs"][1]["changed"], false);
    server.bkctld(&["inc-lock", "all"]).ok();
    assert_eq!(writable(), [false, false, false]);
    let again = server.bkctld(&["--json", "inc-lock", "a*"]).ok().json();
    assert_eq!(again["results"][1]["outcome"], "skipped");
}

#[apply(as_root)]
fn an_unlocked_inc_and_a_locked_one_both_expire() {
    let server = Server::on(FsKind::Btrfs);
    server.bkctld(&["init", "a"]).ok();
    let unlocked = server.take_inc(-2, "a");
    server.bkctld(&["inc-unlock", "a"]).ok();
    let locked = server.take_inc(-1, "a");
    assert!(is_writable(&unlocked) && !is_writable(&locked));
    server.policy("a", "+%Y-%m-%d.-5day\n");
    server.bkctld(&["rm"]).ok();
    assert!(server.incs("a").is_empty());
}

#[apply(as_root)]
fn a_rehearsal_says_what_would_be_locked_and_leaves_it() {
    let server = Server::on(FsKind::Btrfs);
    server.bkctld(&["init", "a"]).ok();
    let inc = server.take_inc(-1, "a");
    server.bkctld(&["-n", "inc-unlock", "a"]).ok().says("jail 'a': incs would be unlocked: 1");
    assert!(!is_writable(&inc));
}

#[apply(as_root)]
fn patterns_that_lead_out_of_the_incs_or_match_nothing_change_nothing() {
    let server = Server::on(FsKind::Btrfs);
    server.bkctld(&["init", "a"]).ok();
    let inc = server.take_inc(-1, "a");
    let escape = "../jails/a";
    for command in ["inc-lock", "inc-unlock"] {
        for bad in [escape, "..", "/etc", "a/../../jails/*", "", "a/*/data", "a/[", "\x1b[2J/../x"] {
            server.bkctld(&[command, bad]).refuses(&["is not a pattern for incs"]);
        }
        for nothing in ["a/1999-*", "b*", "a/2026"] {
            server.bkctld(&[command, nothing]).refuses(&["no inc matches"]);
        }
        server.bkctld(&[command, "nobody"]).exits(2).warns("no jail named 'nobody'");
    }
    assert!(!is_writable(&inc));
    fs::write(server.data("a").join("file"), "the jail itself stays writable").unwrap();
}

#[apply(as_root)]
fn what_is_no_snapshot_of_ours_is_left_alone() {
    let server = Server::on(FsKind::Btrfs);
    server.bkctld(&["init", "a"]).ok();
    let inc = server.take_inc(-1, "a");
    let dir = inc.parent().unwrap();
    // A link that bears an inc's name, to the live jail; a copy made by hand.
    std::os::unix::fs::symlink(server.jail("a"), dir.join("2020-01-01-00")).unwrap();
    fs::create_dir(dir.join("2020-01-02-00")).unwrap();
    let ran = server.bkctld(&["inc-lock", "a"]).ok();
    ran.warns("jail 'a': locked already: 1; not btrfs snapshots and skipped: 1");
    fs::write(server.data("a").join("file"), "not locked").unwrap();
    fs::write(dir.join("2020-01-02-00/file"), "not locked").unwrap();
}

#[apply(as_root)]
fn elsewhere_it_is_said_that_nothing_was_done() {
    let server = Server::on(FsKind::Ext4);
    server.bkctld(&["init", "a"]).ok();
    let inc = server.take_inc(-1, "a");
    for command in ["inc-lock", "inc-unlock"] {
        server.bkctld(&[command, "all"]).ok().warns("not btrfs snapshots and skipped: 1");
    }
    assert!(is_writable(&inc));
}
