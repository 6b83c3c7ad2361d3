//! `archive`: a jail out of service, on the same file system or by a copy to another, and never half.

use std::fs;

use crate::support::digest::disk_usage;
use crate::support::strace::killed_at_each;
use crate::support::volume::Volume;
use crate::support::*;

/// A second file system, for `ARCHIVESDIR`.
fn other_volume(server: &Server, kind: FsKind, mib: u64) -> Volume {
    let dir = server.path("second");
    fs::create_dir(&dir).unwrap();
    let volume = Volume::make(&dir, kind, mib);
    server.set("ARCHIVESDIR", &volume.mount.join("archives").display().to_string());
    volume
}

fn names(dir: &std::path::Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[apply(on_each_fs)]
fn an_archived_jail_is_out_of_service_and_its_incs_go_on_expiring(fs: FsKind) {
    let server = Server::on(fs);
    server.set("FIREWALL_RULES", &server.path("rules").display().to_string());
    let client = server.started("a");
    server.init("b");
    tree::every_kind(&server.data("a"));
    let inc = server.take_inc(-1, "a");
    write(&server.path("backup/incs/a/2020-01-01-00/f"), "x");
    server.policy("a", "+%Y-%m-%d.-0day\n+%Y-%m-%d.-1day\n");
    let before = Digest::of(&server.jail("a"));
    server.bkctld(&["-n", "archive", "a"]).ok().says("would archive jail 'a' to");
    let ran = server.bkctld_reading(b"?\nno\n", &["archive", "a"]).exits(101);
    ran.warns("Are you sure you want to archive jail 'a'? [Y,n,?]").warns("moves its data to the archive");
    server.bkctld(&["is-on", "a"]).ok();
    let json = server.bkctld_reading(b"y\n", &["--json", "archive", "a"]).ok().json();
    assert_eq!(
        (&json["results"][0]["outcome"], &json["results"][0]["way"]),
        (&"done".into(), &"moved".into())
    );
    let archive = server.path("backup/archives/a");
    assert_eq!(json["results"][0]["archive"], archive.display().to_string());
    before.assert_same(&Digest::of(&archive), "the archive");
    assert!(!server.greets(client.port));
    assert_eq!(server.bkctld(&["list"]).ok().lines(), ["b"]);
    server.bkctld(&["start", "a"]).exits(2);
    assert!(!fs::read_to_string(server.path("rules")).unwrap().contains("#a"));
    server.bkctld(&["inc"]).ok();
    assert_eq!(server.incs("a").len(), 2, "an inc was made of an archived jail");
    server.bkctld(&["rm"]).ok();
    assert_eq!(server.incs("a"), [inc]);
    // There is one of this name now: said before anything is asked.
    server.bkctld(&["init", "a"]).ok();
    let ran = server.bkctld(&["archive", "a"]).exits(2);
    assert!(ran.err().contains("archive exists already") && !ran.err().contains("sure"), "{}", ran.told());
    server.bkctld(&["archive", "nobody"]).exits(2);
    assert!(server.jail("a").exists());
}

#[apply(on_each_fs)]
fn a_jail_is_copied_whole_to_another_file_system(fs: FsKind) {
    let server = Server::on(fs);
    let other = if fs == FsKind::Ext4 { FsKind::Btrfs } else { FsKind::Ext4 };
    let volume = other_volume(&server, other, 4 << 10);
    let client = server.started("a");
    client.ssh("true").ok();
    server.last_session("a");
    tree::every_kind(&server.data("a"));
    tree::sparse(&server.data("a").join("sparse"));
    tree::many(&server.data("a"), 3000);
    server.take_inc(-1, "a");
    let before = Digest::of(&server.jail("a"));
    server.bkctld(&["-n", "archive", "a"]).ok().says("another file system");
    let json = server.bkctld(&["--json", "-f", "archive", "a"]).ok().json();
    assert_eq!(json["results"][0]["way"], "copied", "{json}");
    let archives = volume.mount.join("archives");
    before.assert_same(&Digest::of(&archives.join("a")), "the archive");
    assert!(disk_usage(&archives.join("a")) < 100 << 20, "holes were filled");
    assert_eq!(names(&archives), ["a"]);
    assert_eq!(names(&server.path("backup/jails")), Vec::<String>::new());
    assert_eq!(server.incs("a").len(), 1);
    // What is put back is a jail again.
    server.bkctld(&["list"]).ok().silent();
    sh(&format!("cp -a {}/a {}", archives.display(), server.path("backup/jails").display()));
    server.bkctld(&["start", "a"]).ok();
    client.ssh("true").ok();
    server.bkctld(&["stop", "a"]).ok();
    volume.unmount();
}

#[apply(as_root)]
fn a_copy_that_has_no_room_or_would_lack_something_changes_nothing() {
    let server = Server::on(FsKind::Ext4);
    let volume = other_volume(&server, FsKind::Ext4, 16);
    let client = server.started("a");
    let big = server.data("a").join("big");
    sh(&format!("dd if=/dev/urandom of={} bs=1M count=30 status=none", big.display()));
    server.bkctld(&["-f", "archive", "a"]).refuses(&[
        "not enough space for the archive",
        "available",
        "or delete incs)",
    ]);
    fs::remove_file(&big).unwrap();
    // Something that a copy cannot hold: what is mounted there is not the jail's.
    let place = server.data("a").join("mounted");
    fs::create_dir(&place).unwrap();
    sh(&format!("mount -t tmpfs none {}", place.display()));
    server.bkctld(&["-f", "archive", "a"]).refuses(&["not archived", "data/mounted"]);
    sh(&format!("umount {}", place.display()));
    assert_eq!(names(&volume.mount.join("archives")), Vec::<String>::new());
    assert_eq!(names(&server.path("backup/jails")), ["a"]);
    // It was on, and is on.
    client.ssh("true").ok();
    server.bkctld(&["-f", "archive", "a"]).ok();
    assert_eq!(names(&volume.mount.join("archives")), ["a"]);
    volume.unmount();
}

#[apply(as_root)]
fn a_directory_goes_into_another_subvolume_by_a_copy() {
    // One mount, and all the same nothing but a subvolume can be renamed from one into the other.
    let server = Server::on(FsKind::Btrfs);
    sh(&format!("btrfs -q subvolume create {}", server.path("backup/archives").display()));
    server.init("a");
    let jail = server.jail("a").display().to_string();
    sh(&format!("cp -a {jail} {jail}.plain; btrfs -q subvolume delete {jail}; mv {jail}.plain {jail}"));
    tree::every_kind(&server.data("a"));
    let before = Digest::of(&server.jail("a"));
    let json = server.bkctld(&["--json", "-f", "archive", "a"]).ok().json();
    assert_eq!(json["results"][0]["way"], "copied", "{json}");
    before.assert_same(&Digest::of(&server.path("backup/archives/a")), "the archive");
    assert_eq!(names(&server.path("backup/archives")), ["a"]);
    assert_eq!(names(&server.path("backup/jails")), Vec::<String>::new());
    // A subvolume does not need one.
    server.init("b");
    let json = server.bkctld(&["--json", "-f", "archive", "b"]).ok().json();
    assert_eq!(json["results"][0]["way"], "moved", "{json}");
}

#[apply(as_root)]
fn sessions_are_ended_and_that_is_said() {
    let server = Server::on(FsKind::Btrfs);
    let client = server.started("a");
    let held = client.hold();
    server.bkctld(&["-f", "archive", "a"]).ok().warns("1 session is ended");
    held.ended();
}

#[apply(as_root)]
fn all_jails_are_archived_but_those_that_cannot_be() {
    let server = Server::on(FsKind::Ext4);
    for name in ["a", "b", "c"] {
        server.init(name);
    }
    fs::create_dir_all(server.path("backup/archives/b")).unwrap();
    let ran = server.bkctld_reading(b"y\ny\nn\n", &["archive", "all"]).exits(1);
    ran.warns("archive exists already");
    assert_eq!(server.bkctld(&["list"]).ok().lines(), ["b", "c"]);
    server.bkctld(&["-f", "archive", "all"]).exits(1);
    assert_eq!(server.bkctld(&["list"]).ok().lines(), ["b"]);
    fs::remove_dir(server.path("backup/archives/b")).unwrap();
    server.bkctld(&["-f", "archive", "all"]).ok();
    assert_eq!(names(&server.path("backup/archives")), ["a", "b", "c"]);
}

#[apply(as_root)]
fn an_archiving_that_is_killed_at_any_step_leaves_a_whole_jail_and_is_finished_by_the_next() {
    for other in [false, true] {
        let server = Server::on(FsKind::Btrfs);
        let volume = other.then(|| other_volume(&server, FsKind::Ext4, 4 << 10));
        let archives = volume
            .as_ref()
            .map_or_else(|| server.path("backup"), |volume| volume.mount.clone())
            .join("archives");
        server.init("a");
        tree::many(&server.data("a"), 300);
        let before = Digest::of(&server.jail("a"));
        let killed = killed_at_each(&server, &["-f", "archive", "a"], |what| {
            if server.jail("a").exists() {
                before.assert_same(&Digest::of(&server.jail("a")), what);
                assert!(!archives.join("a").exists(), "{what}: the jail is there twice");
            }
            if !archives.join("a").exists() || server.path("backup/jails/.archived-a").exists() {
                server.bkctld(&["-f", "archive", "a"]).ok();
            }
            before.assert_same(&Digest::of(&archives.join("a")), what);
            assert_eq!(names(&archives), ["a"], "{what}");
            assert_eq!(names(&server.path("backup/jails")), Vec::<String>::new(), "{what}");
            sh(&format!("mv {}/a {}", archives.display(), server.path("backup/jails").display()));
        });
        assert!(killed > if other { 20 } else { 5 }, "only {killed} steps");
        if let Some(volume) = volume {
            volume.unmount();
        }
    }
}
