//! A server that the original ran: its jails of both formats, their incs, their configuration.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::support::{self, *};

const OLD_PORT: u16 = 2230;

/// The inodes of the regular files below a directory.
fn inodes(top: &Path) -> BTreeSet<u64> {
    let listing = sh(&format!("find {} -type f -printf '%i\\n'", top.display()));
    listing.lines().map(|line| line.parse().unwrap()).collect()
}

#[apply(on_each_fs)]
fn a_jail_of_the_original_starts_as_it_is_with_its_host_keys_and_takes_pushes(fs: FsKind) {
    let server = Server::on(fs);
    let client = original::jail(&server, fs, "web", OLD_PORT);
    let data = Digest::of(&server.data("web"));
    let past = server.digests("web");
    // No `update` before, no programs for the jails yet: as when our package has just been installed.
    server.bkctld(&["start", "all"]).ok();
    client.ssh("cat /data/home/notes").ok().says("notes");
    data.assert_same(&Digest::of(&server.data("web")), "the data after the first start");
    assert_eq!(server.status("web")["served_by"], "bkctld");
    client.ssh("echo changed >> /data/home/notes && echo new > /var/backup/new").ok();
    server.bkctld(&["update", "web"]).ok();
    client.ssh("cat /data/home/notes").ok().says("changed");
    assert_eq!(fs::read_dir(server.jail("web").join("rootfs/usr")).unwrap().count(), 0);
    // In the past that the original made, files without snapshots are the live ones: known, and
    // the reason why ours are not.
    if fs == FsKind::Btrfs {
        server.assert_unchanged(&past, "a push");
    }
    let inc = server.take_inc(0, "web");
    Digest::of(&server.data("web")).assert_same(&Digest::of(&inc.join("data")), "the first inc of ours");
    let live = inodes(&server.jail("web"));
    if fs != FsKind::Btrfs {
        assert!(!live.is_disjoint(&inodes(&past[0].0)), "the fixture has no hard-linked past");
        assert!(live.is_disjoint(&inodes(&inc)), "an inc shares files with the live jail");
    }
    let frozen = server.digests("web").pop().unwrap();
    client.ssh("echo again >> /data/home/notes").ok();
    server.assert_unchanged(&[frozen], "a push after it");
}

#[apply(on_each_fs)]
fn rm_keeps_and_deletes_the_originals_incs_as_its_policy_says(fs: FsKind) {
    let server = Server::on(fs);
    original::jail(&server, fs, "web", OLD_PORT);
    let data = Digest::of(&server.data("web"));
    let keep = |days: u8| sh(&format!("date -u -d '-{days} day' +%Y-%m-%d-02"));
    let kept: Vec<(PathBuf, Digest)> = server
        .digests("web")
        .into_iter()
        .filter(|(inc, _)| inc.ends_with(keep(1)) || inc.ends_with(keep(3)))
        .collect();
    assert_eq!(kept.len(), 2);
    server.bkctld(&["rm"]).ok();
    let left = server.incs("web");
    assert_eq!(left, kept.iter().map(|(inc, _)| inc.clone()).collect::<Vec<_>>());
    server.assert_unchanged(&kept, "rm");
    data.assert_same(&Digest::of(&server.data("web")), "the live data after rm");
    // Under the legacy name the policy does the same.
    let conf = server.path("conf");
    fs::rename(conf.join("web.d/incs_policy"), conf.join("web")).unwrap();
    fs::write(conf.join("web"), "+%Y-%m-%d.-3day\n").unwrap();
    server.bkctld(&["rm"]).ok();
    assert_eq!(server.incs("web"), [kept[0].0.clone()]);
    server.bkctld(&["-f", "remove", "web"]).ok();
    assert!(!server.jail("web").exists() && !conf.join("web").exists());
}

#[apply(on_each_fs)]
fn a_version_1_jail_is_shown_as_it_is_and_not_changed_by_what_needs_version_2(fs: FsKind) {
    let server = Server::on(fs);
    original::old_jail(&server, fs, "old", OLD_PORT);
    let before = Digest::of(&server.jail("old"));
    for command in ["start", "update", "restart", "reload", "key", "port", "ip", "archive"] {
        server.bkctld(&[command, "old"]).exits(3).silent().warns("convert-v2 old");
    }
    server.bkctld(&["port", "old", "2999"]).exits(3);
    server.bkctld(&["jail-version", "old"]).ok().says("1");
    assert_eq!(server.bkctld(&["--json", "jail-version", "old"]).ok().json()["format"], "1");
    assert_eq!(server.bkctld(&["list"]).ok().lines(), ["old"]);
    server.bkctld(&["is-on", "old"]).exits(100);
    server.bkctld(&["stop", "old"]).ok();
    let lines = server.bkctld(&["--no-header", "status", "all"]).ok().warns("format version 1").lines();
    let row: Vec<&str> = lines[0].split_whitespace().collect();
    assert_eq!(row, ["old", "OFF", "2230", "2/0", "0.0.0.0/0"]);
    let status = server.status("old");
    assert_eq!((&status["format"], &status["served_by"]), (&"1".into(), &serde_json::Value::Null));
    before.assert_same(&Digest::of(&server.jail("old")), "a version-1 jail");
    // Its port is taken, and others are not kept from starting.
    server.bkctld(&["init", "new"]).ok();
    assert_eq!(server.port("new"), OLD_PORT + 1);
    server.bkctld(&["jail-version", "new"]).ok().says("2");
    server.bkctld(&["start", "all"]).exits(1);
    server.bkctld(&["is-on", "new"]).ok();
    server.bkctld(&["jail-version", "nobody"]).exits(2);
}

#[apply(on_each_fs)]
fn a_version_1_jail_that_is_not_converted_yet_goes_on_having_incs(fs: FsKind) {
    let server = Server::on(fs);
    original::old_jail(&server, fs, "old", OLD_PORT);
    fs::write(server.jail("old").join("var/backup/file"), "pushed").unwrap();
    let inc = server.take_inc(0, "old");
    assert_eq!(fs::read_to_string(inc.join("var/backup/file")).unwrap(), "pushed");
    server.bkctld(&["rm"]).ok();
    assert!(inc.is_dir());
}

#[apply(on_each_fs)]
fn convert_v2_keeps_everything_of_a_jail_and_moves_it_without_a_copy(fs: FsKind) {
    let server = Server::on(fs);
    let client = original::old_jail(&server, fs, "old", OLD_PORT);
    tree::every_kind(&server.jail("old").join("var/backup"));
    let config = server.jail("old").join("etc/ssh/sshd_config");
    let text =
        fs::read_to_string(&config).unwrap().replace("root@0.0.0.0/0", "root@127.0.0.0/8 root@192.0.2.1");
    fs::write(&config, &text).unwrap();
    original::start_old(&server, "old", OLD_PORT);
    client.ssh("echo pushed > /var/backup/by-the-client").ok();
    sh(&format!("touch -d 2021-02-03 {}", server.jail("old").join("var/log/lastlog").display()));
    let (top, data) = (server.jail("old"), server.jail("old").join("var/backup"));
    let before = (fs::metadata(&top).unwrap().ino(), Digest::of(&data), inodes(&data));
    let keys = Digest::of(&top.join("etc/ssh"));
    let held = client.hold();
    server.bkctld(&["-n", "convert-v2", "old"]).ok().says("rename var/backup to data");
    assert!(data.is_dir());
    server.bkctld(&["convert-v2", "old"]).ok();
    held.ended();
    server.bkctld(&["jail-version", "old"]).ok().says("2");
    assert_eq!(fs::metadata(&top).unwrap().ino(), before.0, "the jail is another directory or subvolume");
    before.1.assert_same(&Digest::of(&server.data("old")), "the data");
    assert_eq!(inodes(&server.data("old")), before.2, "files were copied");
    keys.assert_same(&Digest::of(&top.join("rootfs/etc/ssh")), "host keys and sshd_config");
    assert_eq!(fs::metadata(top.join("var/log/lastlog")).unwrap().mtime(), 1_612_310_400);
    // It was on, and is: the same client with the same key, the same host key, the same port.
    let status = server.status("old");
    assert_eq!((&status["status"], &status["served_by"]), (&"ON".into(), &"bkctld".into()));
    assert_eq!(status["addresses"], serde_json::json!(["127.0.0.0/8", "192.0.2.1"]));
    client.ssh("cat /var/backup/by-the-client && echo more >> /data/by-the-client").ok().says("pushed");
    server.bkctld(&["convert-v2", "old"]).exits(3).warns("format version 2");
    server.take_inc(0, "old");
}

#[apply(on_each_fs)]
fn convert_v2_of_a_jail_that_is_off_leaves_it_off(fs: FsKind) {
    let server = Server::on(fs);
    let client = original::old_jail(&server, fs, "old", OLD_PORT);
    let told = server.bkctld(&["--json", "convert-v2", "old"]).ok().json();
    assert_eq!(told["results"][0]["outcome"], "done", "{told}");
    server.bkctld(&["is-on", "old"]).exits(100);
    server.bkctld(&["start", "old"]).ok();
    client.ssh("true").ok();
    server.bkctld(&["convert-v2", "nobody"]).exits(2);
}

#[apply(as_root)]
fn a_killed_convert_v2_is_finished_by_the_next_and_the_jail_is_on_as_before() {
    let server = Server::on(FsKind::Ext4);
    let mut killed_in_the_middle = 0;
    for (at, delay) in [1, 5, 10, 20, 40, 60, 90, 130, 200].into_iter().enumerate() {
        let (name, port) = (format!("old{at}"), OLD_PORT + at as u16);
        let client = original::old_jail(&server, FsKind::Ext4, &name, port);
        fs::write(server.jail(&name).join("var/backup/file"), "pushed").unwrap();
        original::start_old(&server, &name, port);
        let running = server.begin(&["convert-v2", &name]);
        std::thread::sleep(Duration::from_millis(delay));
        killed_in_the_middle += usize::from(running.kill().code != 0);
        // Whatever was left: either there is more to do, or all of it was done.
        let again = server.bkctld(&["convert-v2", &name]);
        assert!([0, 3].contains(&again.code), "after {delay} ms: {}", again.told());
        server.bkctld(&["jail-version", &name]).ok().says("2");
        assert_eq!(server.status(&name)["served_by"], "bkctld", "after {delay} ms: {}", again.told());
        client.ssh("cat /data/file").ok().says("pushed");
        server.bkctld(&["convert-v2", &name]).exits(3);
        server.bkctld(&["stop", &name]).ok();
    }
    assert!(killed_in_the_middle > 0, "no run was killed in its middle");
}

#[apply(as_root)]
fn what_a_dead_sshd_of_version_1_had_mounted_is_in_nobodys_way() {
    let server = Server::on(FsKind::Ext4);
    for (name, port, command) in [("old", OLD_PORT, "convert-v2"), ("other", OLD_PORT + 1, "remove")] {
        original::old_jail(&server, FsKind::Ext4, name, port);
        original::start_old(&server, name, port);
        sh(&format!("kill $(cat {}/run/sshd.pid)", server.jail(name).display()));
        wait_for("the jail is off", || server.bkctld(&["is-on", name]).code == 100);
        assert!(server.jail(name).join("proc/self").exists());
        server.bkctld(&["-f", command, name]).ok();
    }
    server.bkctld(&["is-on", "old"]).exits(100);
    assert_eq!(server.bkctld(&["list"]).ok().lines(), ["old"]);
}

#[apply(as_root)]
fn what_only_looks_at_jails_sees_those_of_version_1_too() {
    let server = Server::on(FsKind::Ext4);
    let client = original::old_jail(&server, FsKind::Ext4, "old", OLD_PORT);
    let rules = server.path("rules");
    server.set("FIREWALL_RULES", &rules.display().to_string());
    server.bkctld(&["firewall", "old"]).ok();
    assert!(fs::read_to_string(&rules).unwrap().contains("--dport 2230 -s 0.0.0.0/0 -j ACCEPT #old"));
    fs::remove_file(server.jail("old").join("var/log/lastlog")).unwrap();
    server.bkctld(&["check-jails"]).exits(3).says("UNKNOWN - old");
    sh(&format!("touch {}", server.jail("old").join("var/log/lastlog").display()));
    server.bkctld(&["check-jails"]).ok().says("OK - old - 0 hours");
    original::start_old(&server, "old", OLD_PORT);
    client
        .ssh(&format!(
            "mkdir /var/backup/zzz_evobackup; echo {} > /var/backup/zzz_evobackup/canary",
            sh("date -u +%F")
        ))
        .ok();
    server.bkctld(&["check-canary"]).ok();
    client.ssh_reading(&[7; 3 << 20], "cat > /var/backup/three-megabytes").ok();
    let stats = server.bkctld(&["--json", "stats"]).ok().json();
    assert!(stats["jails"][0]["live"]["bytes"].as_u64().is_some_and(|bytes| bytes > 3 << 20), "{stats}");
    server.bkctld(&["report"]).ok().says("2230");
    server.bkctld(&["metrics"]).ok().says("old");
}

#[apply(as_root)]
fn a_version_1_jail_that_runs_is_removed_with_what_it_runs() {
    let server = Server::on(FsKind::Ext4);
    let client = original::old_jail(&server, FsKind::Ext4, "old", OLD_PORT);
    original::start_old(&server, "old", OLD_PORT);
    let held = client.hold();
    server.bkctld(&["-f", "remove", "old"]).ok();
    held.ended();
    assert!(!server.jail("old").exists() && !server.greets(OLD_PORT) && !server.path("conf/old").exists());
}

#[apply(as_root)]
fn convert_v2_refuses_what_it_could_not_move_and_changes_nothing() {
    let server = Server::on(FsKind::Ext4);
    original::old_jail(&server, FsKind::Ext4, "old", OLD_PORT);
    original::start_old(&server, "old", OLD_PORT);
    let data = server.jail("old").join("var/backup");
    sh(&format!(
        "mount -t ext4 -o loop $(cd {0}; truncate -s 20M {0}/disk; mkfs.ext4 -q {0}/disk; echo {0}/disk) {1}",
        server.path("").display(),
        data.display()
    ));
    server.bkctld(&["convert-v2", "old"]).refuses(&["old", "var/backup", "unmount"]);
    server.bkctld(&["is-on", "old"]).ok();
    sh(&format!("umount {}", data.display()));
    server.bkctld(&["convert-v2", "old"]).ok();
}

#[apply(as_root)]
fn upgrade_config_moves_policies_and_templates_once() {
    let server = Server::on(FsKind::Ext4);
    original::old_jail(&server, FsKind::Ext4, "old", OLD_PORT);
    original::jail(&server, FsKind::Ext4, "web", OLD_PORT + 1);
    original::local_templates(&server);
    sh(&format!("touch -d 2021-02-03 {}", server.path("conf/old").display()));
    let told = server.bkctld(&["-n", "--json", "upgrade-config", "all"]).ok().json();
    assert_eq!(told["results"][0]["outcome"], "would", "{told}");
    assert!(server.path("localtpl/inc.tpl").exists() && !server.path("conf/old").is_symlink());
    server.bkctld(&["upgrade-config", "all"]).ok();
    let policy = server.path("conf/old.d/incs_policy");
    assert_eq!(fs::read_link(server.path("conf/old")).unwrap(), policy);
    assert_eq!(fs::metadata(&policy).unwrap().mtime(), 1_612_310_400, "checks go by this time");
    for name in ["old", "web"] {
        let check_policy = fs::read_to_string(server.path(&format!("conf/{name}.d/check_policy"))).unwrap();
        assert!(check_policy.contains("WARNING=36"), "{check_policy}");
    }
    assert!(!server.path("localtpl/inc.tpl").exists());
    server.bkctld(&["init", "new"]).ok();
    let made = fs::read_to_string(server.path("conf/new.d/incs_policy")).unwrap();
    assert!(made.contains("# the administrator's"), "{made}");
    // Again there is nothing to do, and what works by the old name works still.
    let before = sh(&format!("ls -laR --time-style=full-iso {}", server.path("conf").display()));
    let told = server.bkctld(&["--json", "upgrade-config", "old"]).ok().json();
    assert_eq!(told["results"][0]["outcome"], "skipped", "{told}");
    assert_eq!(sh(&format!("ls -laR --time-style=full-iso {}", server.path("conf").display())), before);
    assert_eq!(server.status("old")["retention"]["days"], 2);
    server.bkctld(&["upgrade-config", "nobody"]).exits(2);
    // Two that differ: nobody but the administrator knows which one is meant.
    fs::remove_file(server.path("conf/old")).unwrap();
    fs::write(server.path("conf/old"), "+%Y-%m-%d.-9day\n").unwrap();
    server.bkctld(&["upgrade-config", "old"]).refuses(&["old", "differ"]);
    assert!(!server.path("conf/old").is_symlink());
}

#[apply(as_root)]
fn the_checks_are_quiet_after_a_take_over() {
    let server = Server::on(FsKind::Ext4);
    let client = original::jail(&server, FsKind::Ext4, "web", OLD_PORT);
    sh(&format!("touch -d '-4 day' {}", server.path("conf/web.d/incs_policy").display()));
    server.bkctld(&["start", "all"]).ok();
    client.ssh("mkdir -p /data/zzz_evobackup").ok();
    let line = sh("date -u '+%Y-%m-%d %H:%M:%S web'");
    client.ssh_reading(line.as_bytes(), "cat > /data/zzz_evobackup/canary").ok();
    server.take_inc(0, "web");
    for check in [
        &["check-jails"][..],
        &["check-incs", "all"],
        &["check-incs", "last"],
        &["check-canary"],
        &["check-setup"],
    ] {
        let ran = server.bkctld(check).ok();
        assert!(ran.err().is_empty(), "{}", ran.told());
    }
}

#[apply(as_root)]
fn a_version_1_jail_that_the_original_runs_is_on_and_stop_ends_it() {
    let server = Server::on(FsKind::Ext4);
    let client = original::old_jail(&server, FsKind::Ext4, "old", OLD_PORT);
    original::start_old(&server, "old", OLD_PORT);
    let held = client.hold();
    server.bkctld(&["is-on", "old"]).ok();
    let status = server.status("old");
    assert_eq!((&status["status"], &status["served_by"]), (&"ON".into(), &"chroot".into()));
    server.bkctld(&["status", "old"]).ok().says("0.0.0.0/0 (in a chroot)");
    // One that has gone deeper is still in the jail.
    let below = server.jail("old").join("var/backup");
    let mut command = std::process::Command::new("perl");
    command.args(["-e", "chroot $ARGV[0] or die; sleep 1000"]).arg(&below);
    let deeper = support::run::start(command, b"");
    let root = format!("/proc/{}/root", deeper.child.id());
    wait_for("it has gone there", || fs::read_link(&root).is_ok_and(|root| root == below));
    server.bkctld(&["-n", "stop", "old"]).ok();
    server.bkctld(&["is-on", "old"]).ok();
    server.bkctld(&["stop", "old"]).ok();
    held.ended();
    assert_ne!(deeper.finish().code, 0);
    assert!(!server.greets(OLD_PORT));
    server.bkctld(&["is-on", "old"]).exits(100);
    assert_eq!(server.status("old")["status"], "OFF");
    // Nothing that it had mounted is left, and it is of no account who says so in the jail.
    assert_eq!(fs::read_dir(server.jail("old").join("dev")).unwrap().count(), 0);
    assert_eq!(fs::read_dir(server.jail("old").join("proc")).unwrap().count(), 0);
    fs::write(server.jail("old").join("run/sshd.pid"), format!("{}\n", std::process::id())).unwrap();
    server.bkctld(&["is-on", "old"]).exits(100);
    server.bkctld(&["stop", "old"]).ok();
}

#[apply(as_root)]
fn a_version_1_jail_with_links_for_its_files_leads_nobody_out_of_it() {
    let server = Server::on(FsKind::Ext4);
    original::old_jail(&server, FsKind::Ext4, "old", OLD_PORT);
    let outside = server.path("outside");
    fs::write(&outside, "Port 4444\nAllowUsers root@192.0.2.1\n").unwrap();
    let config = server.jail("old").join("etc/ssh/sshd_config");
    fs::remove_file(&config).unwrap();
    std::os::unix::fs::symlink(&outside, &config).unwrap();
    let ran = server.bkctld(&["status", "old"]).exits(1).warns("sshd_config");
    assert!(!ran.out().contains("4444"), "{}", ran.told());
}
