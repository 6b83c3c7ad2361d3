//! `stats`: what jails take on disk, as `du` has it; and never an old number for a new size.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{FileExt, symlink};
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::*;

/// What `du` says that these take together, each file once, in bytes.
fn du(paths: &[PathBuf]) -> u64 {
    let names: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
    let lines = sh(&format!("sync -f {0} && du -sB1 {1}", names[0], names.join(" ")));
    lines.lines().map(|line| line.split_whitespace().next().unwrap().parse::<u64>().unwrap()).sum()
}

/// `stats --json` of one jail.
#[track_caller]
fn stats(server: &Server, name: &str) -> Value {
    let json = server.bkctld(&["stats", "--json"]).ok().json();
    let jails = json["jails"].as_array().unwrap();
    jails.iter().find(|jail| jail["name"] == name).unwrap_or_else(|| panic!("{json}")).clone()
}

#[track_caller]
fn assert_live(server: &Server, name: &str, what: &str) -> Value {
    let expected = du(&[server.jail(name)]);
    let stats = stats(server, name);
    assert_eq!(stats["live"]["bytes"], expected, "{what}: {stats}");
    stats["live"]["walked"].clone()
}

fn incs_bytes(stats: &Value) -> u64 {
    stats["incs"]["bytes"].as_u64().unwrap()
}

fn random(len: usize) -> Vec<u8> {
    let mut seed = 88_172_645_463_325_252_u64;
    (0..len)
        .map(|_| {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            seed as u8
        })
        .collect()
}

fn append(path: &Path, bytes: usize) {
    OpenOptions::new().append(true).open(path).unwrap().write_all(&random(bytes)).unwrap();
}

#[apply(on_each_fs)]
fn every_change_of_size_shows_and_nothing_else_is_walked_again(fs: FsKind) {
    let server = Server::on(fs);
    server.init("a");
    server.init("b");
    let data = server.data("a");
    write(&data.join("dir/grows"), random(100_000));
    write(&data.join("small"), "x");
    fs::hard_link(data.join("dir/grows"), data.join("link")).unwrap();
    symlink("/", data.join("root")).unwrap();
    let first = assert_live(&server, "a", "the first time");
    assert_eq!(assert_live(&server, "a", "nothing changed"), first, "it was walked again");
    // The times of the directory stay when a file in it grows.
    append(&data.join("dir/grows"), 300_000);
    let second = assert_live(&server, "a", "a file grew");
    assert_ne!(second, first);
    OpenOptions::new().write(true).open(data.join("dir/grows")).unwrap().set_len(50_000).unwrap();
    assert_live(&server, "a", "a file was cut");
    OpenOptions::new()
        .write(true)
        .open(data.join("dir/grows"))
        .unwrap()
        .write_all_at(b"x", 9_000_000)
        .unwrap();
    assert_live(&server, "a", "a file got a hole");
    fs::remove_file(data.join("small")).unwrap();
    write(&server.data("b").join("other"), random(70_000));
    assert_live(&server, "a", "one went");
    let last = assert_live(&server, "b", "one came elsewhere");
    assert_eq!(assert_live(&server, "b", "nothing changed"), last, "it was walked again");
    // Where that is a renaming, nothing more and nothing less is in use.
    sh(&format!("mv {} {}", data.join("dir/grows").display(), server.data("b").join("moved").display()));
    assert_live(&server, "a", "a file was moved away");
    assert_live(&server, "b", "and here it is");
    server.bkctld(&["-f", "remove", "b"]).ok();
    server.bkctld(&["init", "b"]).ok();
    assert_live(&server, "b", "another jail of the same name");
}

#[apply(on_each_fs)]
fn what_incs_share_is_counted_once_whichever_are_left(fs: FsKind) {
    let server = Server::on(fs);
    server.init("a");
    let data = server.data("a");
    for number in 0..20 {
        write(&data.join(format!("dir{}/f{number}", number % 3)), random(20_000 + number * 5_000));
    }
    server.settle();
    server.take_inc(1, "a");
    let one = stats(&server, "a");
    if fs == FsKind::Btrfs {
        assert_eq!(incs_bytes(&one), du(&server.incs("a")), "{one}");
    }
    for hours in 2..6_i8 {
        write(&data.join(format!("dir1/changed{hours}")), random(400_000));
        write(&data.join("dir2/f2"), random(usize::from(hours.unsigned_abs()) * 10_000));
        server.settle();
        server.take_inc(hours, "a");
        if hours % 2 == 0 {
            let stats = stats(&server, "a");
            let each = stats["incs"]["each"].as_array().unwrap();
            assert_eq!(each.len(), server.incs("a").len(), "{stats}");
            let new = each.last().unwrap()["new_bytes"].as_u64().unwrap();
            assert!((400_000..700_000).contains(&new), "{stats}");
        }
    }
    for gone in [1, 0, 2] {
        assert_incs(&server, fs);
        let inc = server.incs("a").remove(gone);
        // As rm does; a policy that deletes just this one would have to be made up.
        if fs == FsKind::Btrfs {
            sh(&format!("btrfs -q subvolume delete {}", inc.display()));
        } else {
            fs::remove_dir_all(&inc).unwrap();
        }
    }
    assert_incs(&server, fs);
}

#[apply(as_root)]
fn a_large_file_of_which_little_changes_takes_little_where_the_file_system_clones() {
    let server = Server::on(FsKind::Xfs);
    server.init("a");
    let grows = server.data("a").join("grows");
    write(&grows, random(8 << 20));
    server.settle();
    server.take_inc(1, "a");
    let first = incs_bytes(&stats(&server, "a"));
    for hours in 2..5 {
        append(&grows, 1 << 20);
        OpenOptions::new().write(true).open(&grows).unwrap().write_all_at(b"changed", 4096).unwrap();
        server.settle();
        server.take_inc(hours, "a");
        assert_incs(&server, FsKind::Xfs);
    }
    let all = incs_bytes(&stats(&server, "a"));
    assert!((3 << 20..4 << 20).contains(&(all - first)), "{first} and then {all}");
    assert!(du(&server.incs("a")) > 30 << 20, "du counts each clone");
    // What only the first inc had goes with it, what the others have stays.
    fs::remove_dir_all(&server.incs("a")[0]).unwrap();
    let left = incs_bytes(&stats(&server, "a"));
    assert!((all - (1 << 20)..all).contains(&left), "{all} and then {left}");
    assert_incs(&server, FsKind::Xfs);
}

/// What the incs take, for the run that goes on from earlier ones and for one that begins anew.
#[track_caller]
fn assert_incs(server: &Server, fs: FsKind) {
    let known = stats(server, "a");
    let anew = server.bkctld(&["-f", "stats", "--json"]).ok().json()["jails"][0].clone();
    assert_eq!(known["incs"], anew["incs"], "what is known from earlier runs is something else");
    if fs == FsKind::Ext4 {
        assert_eq!(incs_bytes(&known), du(&server.incs("a")), "{known}");
    }
    // Of snapshots and clones du counts everything as often as it is met.
    assert!(incs_bytes(&known) <= du(&server.incs("a")), "{known}");
}

#[apply(as_root)]
fn the_table_has_the_columns_of_the_original_and_more_with_v() {
    let server = Server::on(FsKind::Ext4);
    server.init("a");
    server.init("longer-name");
    write(&server.data("a").join("file"), random(3 << 20));
    sh(&format!("touch -d '2026-03-01 12:00 UTC' {}", server.jail("a").join("var/log/lastlog").display()));
    fs::remove_file(server.jail("longer-name").join("var/log/lastlog")).unwrap();
    let ran = server.bkctld(&["stats"]).ok();
    let cells: Vec<Vec<String>> =
        ran.lines().iter().map(|line| line.split_whitespace().map(str::to_owned).collect()).collect();
    assert_eq!(cells[0], ["<jail>", "<size>", "<incs>", "<lastconn>"], "{}", ran.told());
    assert_eq!((cells[1][0].as_str(), cells[1][2].as_str()), ("a", "4/2"), "{}", ran.told());
    assert!(cells[1][1].starts_with("3.") && cells[1][1].ends_with('M'), "{}", ran.told());
    assert_eq!(cells[1][3], "01-03-2026", "{}", ran.told());
    assert_eq!((cells[2][0].as_str(), cells[2][3].as_str()), ("longer-name", "-"), "{}", ran.told());
    let bare = server.bkctld(&["stats", "--no-header"]).ok();
    assert_eq!(bare.lines().len(), 2, "{}", bare.told());
    let more = server.bkctld(&["stats", "-v"]).ok();
    assert!(more.lines()[0].contains("<incsize>"), "{}", more.told());
    assert_eq!(more.lines()[1].split_whitespace().count(), 7, "{}", more.told());
}

#[apply(as_root)]
fn a_client_that_was_there_is_looked_at_again() {
    let server = Server::on(FsKind::Xfs);
    let client = server.started("a");
    let first = assert_live(&server, "a", "the first time");
    client.ssh("echo more > /data/new").ok();
    wait_for("the session has ended", || server.active_sessions("a") == 0);
    let second = assert_live(&server, "a", "after a session");
    assert_ne!(first, second);
    assert_eq!(assert_live(&server, "a", "no session since"), second, "it was walked again");
    let held = client.hold();
    wait_for("the session is seen", || server.active_sessions("a") == 1);
    let during = assert_live(&server, "a", "during a session");
    assert_ne!(assert_live(&server, "a", "still during it"), during, "trusted while a client is there");
    held.close();
}

#[apply(as_root)]
fn force_walks_and_a_dry_run_leaves_nothing_behind() {
    let server = Server::on(FsKind::Ext4);
    server.init("a");
    let kept = server.path("state/sizes/a.json");
    server.bkctld(&["-n", "stats"]).ok();
    assert!(!kept.exists());
    let first = assert_live(&server, "a", "the first time");
    assert!(kept.exists());
    let forced = server.bkctld(&["-f", "stats", "--json"]).ok().json();
    assert_ne!(forced["jails"][0]["live"]["walked"], first);
    server.bkctld(&["-f", "remove", "a"]).ok();
    server.bkctld(&["stats"]).ok();
    assert!(!kept.exists(), "what belongs to a jail that is gone stays");
}

#[apply(as_root)]
fn damaged_caches_are_as_if_they_were_not_there() {
    let server = Server::on(FsKind::Ext4);
    server.init("a");
    write(&server.data("a").join("file"), random(200_000));
    server.settle();
    server.take_inc(1, "a");
    server.take_inc(2, "a");
    let right = stats(&server, "a");
    for name in ["a.json", "a.files", "a.trail", ".volume"] {
        for content in [&b""[..], b"{}", b"\x00\xff garbage", b"{\"format\":1,\"live\":null,\"incs\":{}}"] {
            fs::write(server.path("state/sizes").join(name), content).unwrap();
            let found = stats(&server, "a");
            assert_eq!(found["incs"], right["incs"], "{name}: {content:?}");
            assert_eq!(found["live"]["bytes"], right["live"]["bytes"], "{name}: {content:?}");
        }
    }
    server.take_inc(3, "a");
    fs::write(server.path("state/sizes/a.files"), "cut").unwrap();
    assert_incs(&server, FsKind::Ext4);
}

#[apply(as_root)]
fn what_could_not_be_read_once_is_looked_at_again() {
    let server = Server::on(FsKind::Ext4);
    server.init("a");
    server.settle();
    server.take_inc(1, "a");
    let first = assert_live(&server, "a", "the first time");
    let kept = server.path("state/sizes/a.json");
    // As a run leaves it that was short of descriptors.
    let mut cache: Value = serde_json::from_slice(&fs::read(&kept).unwrap()).unwrap();
    for part in ["/live/tree", "/incs/trees/0"] {
        let tree = cache.pointer_mut(part).unwrap();
        tree["problems"] = vec!["data/x is not counted"].into();
    }
    fs::write(&kept, cache.to_string()).unwrap();
    assert_ne!(assert_live(&server, "a", "after a failure"), first, "an incomplete number is believed");
    let cache = fs::read_to_string(&kept).unwrap();
    assert!(!cache.contains("not counted"), "{cache}");
}

#[apply(as_root)]
fn of_a_jail_that_cannot_be_measured_no_older_number_is_kept() {
    let server = Server::on(FsKind::Ext4);
    server.init("a");
    assert_live(&server, "a", "the first time");
    write(&server.data("a").join("grown"), random(100_000));
    // What is written there cannot be.
    let trail = server.path("state/sizes/a.trail");
    fs::remove_file(&trail).unwrap();
    fs::create_dir(&trail).unwrap();
    server.bkctld(&["stats"]).exits(1);
    assert!(
        !server.path("state/sizes/a.json").exists(),
        "the volume as it is now vouches for what was before"
    );
    fs::remove_dir(&trail).unwrap();
    assert_live(&server, "a", "when it can be again");
}

#[apply(as_root)]
fn a_jail_with_more_incs_than_there_are_descriptors_is_measured() {
    let server = Server::on(FsKind::Ext4);
    server.init("a");
    for number in 0..1100 {
        let name = format!("2020-{:02}-{:02}-{:02}", 1 + number / 672, 1 + number / 24 % 28, number % 24);
        fs::create_dir_all(server.path("backup/incs/a").join(name)).unwrap();
    }
    let found = stats(&server, "a");
    assert_eq!(found["incs"]["each"].as_array().unwrap().len(), 1100);
    assert_eq!(incs_bytes(&found), du(&server.incs("a")));
}

#[apply(as_root)]
fn caches_on_the_measured_file_system_do_not_vouch_for_what_others_write() {
    let server = Server::on(FsKind::Ext4);
    let state = server.path("backup/state");
    server.set("DATADIR", &state.display().to_string());
    server.init("a");
    write(&server.data("a").join("grows"), random(100_000));
    let mut walked = assert_live(&server, "a", "the first time");
    // At the latest when nothing more is to be written, the numbers are believed.
    let mut believed = false;
    for _ in 0..3 {
        let again = assert_live(&server, "a", "nothing changed");
        believed = again == walked;
        walked = again;
    }
    assert!(believed, "the live data are walked each time");
    append(&server.data("a").join("grows"), 300_000);
    assert_live(&server, "a", "a file grew");
}

#[apply(as_root)]
fn what_a_client_plants_is_counted_and_not_followed() {
    let server = Server::on(FsKind::Ext4);
    server.init("a");
    let data = server.data("a");
    write(&server.path("backup/big"), random(5 << 20));
    symlink(server.path("backup"), data.join("out")).unwrap();
    sh(&format!(
        "mkfifo {0}/fifo && mkdir -p {0}/$(printf '\\033[31mred') && printf x > {0}/$(printf '\\033[31mred')/f",
        data.display()
    ));
    let mut deep = data.clone();
    for _ in 0..300 {
        deep = deep.join("d");
    }
    fs::create_dir_all(&deep).unwrap();
    let stats = stats(&server, "a");
    assert_eq!(stats["live"]["bytes"], du(&[server.jail("a")]), "{stats}");
    assert!(stats["live"]["bytes"].as_u64().unwrap() < 5 << 20, "{stats}");
    assert!(stats["live"]["directories"].as_u64().unwrap() >= 300, "{stats}");
}
