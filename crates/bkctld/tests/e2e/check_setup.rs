//! `check-setup`: the disk, the firewall, the services, the runs of `inc` and `rm`, the programs.

use std::fs;
use std::process::Command;

use crate::support::nagios::Plugin;
use crate::support::server::BKCTLD;
use crate::support::*;

fn date(when: &str) -> String {
    sh(&format!("TZ=UTC date -d '{when}' +%F"))
}

/// A jail that may be off, for what is not about services.
fn jail_that_may_be_off(server: &Server, jail: &str) {
    server.bkctld(&["init", jail]).ok();
    write(&server.path(&format!("conf/{jail}.d/check_policy")), "EXPECTED_STATE=OFF\n");
}

/// Runs it where files of the host are others, in a mount namespace of its own.
fn with_host_files(server: &Server, script: &str) -> Ran {
    let mut command = Command::new("unshare");
    server.environment(&mut command);
    command.args(["--mount", "sh", "-euc"]).arg(format!("cd {}; {script}", server.path("").display()));
    run(command)
}

/// The line of a program's name for the check.
#[track_caller]
fn finding(server: &Server, check: &str) -> serde_json::Value {
    let ran = server.bkctld(&["check-setup", "--json"]);
    let json = ran.json();
    let mut found = json["findings"].as_array().unwrap().iter().filter(|finding| finding["check"] == check);
    let first = found.next().unwrap_or_else(|| panic!("no finding of '{check}': {}", ran.told()));
    assert!(found.next().is_none(), "more than one finding of '{check}': {}", ran.told());
    first.clone()
}

#[track_caller]
fn assert_found(server: &Server, check: &str, severity: &str, text: &str) {
    let found = finding(server, check);
    assert_eq!(found["severity"], severity, "{found}");
    assert!(found["text"].as_str().unwrap().contains(text), "{found}");
}

#[apply(on_each_fs)]
fn a_server_that_is_set_up_is_quiet(fs: FsKind) {
    let server = Server::on(fs);
    let empty = server.bkctld(&["check-setup"]).ok();
    assert!(empty.err().is_empty(), "{}", empty.told());
    server.started("a");
    server.started("b");
    server.bkctld(&["inc"]).ok();
    let ran = server.bkctld(&["check-setup"]).ok();
    assert!(ran.err().is_empty(), "{}", ran.told());
    let lines = ran.lines();
    assert_eq!(lines[..2], [format!("OK - 0 UNK / 0 CRIT / 0 WARN / {} OK", lines.len() - 2), String::new()]);
    for line in [
        &format!("OK - Backup disk '{}' is mounted and writable.", server.backup().display()),
        "OK - all jails are in their expected state.",
        "OK - no inc operations currently running.",
        "OK - No inc and rm operations running simultaneously.",
        "OK - All inc creation times are below 12 hours in the last 10 days.",
        "OK - the programs of the jails match those of this server.",
    ] {
        assert!(lines.iter().any(|found| found == line), "no '{line}': {}", ran.told());
    }
}

#[apply(on_each_fs)]
fn a_disk_that_is_away_read_only_or_full_is_told(fs: FsKind) {
    let server = Server::on(fs);
    jail_that_may_be_off(&server, "a");
    server.volume().remount("ro");
    assert_found(&server, "partition", "CRITICAL", "is read-only !");
    server.bkctld(&["check-setup"]).exits(2);
    server.volume().remount("rw");
    server.bkctld(&["check-setup"]).ok();

    let (volume, mount) = (server.volume().image.display().to_string(), server.backup());
    let mount = mount.display();
    sh(&format!("umount {mount}"));
    server.set("BACKUP_DISK", "/dev/disk/by-label/backups");
    assert_found(
        &server,
        "partition",
        "CRITICAL",
        "is not mounted ! (BACKUP_DISK is /dev/disk/by-label/backups)",
    );
    assert_found(&server, "state", "UNKNOWN", "cannot read JAILDIR");
    server.bkctld(&["check-setup"]).exits(2);
    sh(&format!("mount -o loop {volume} {mount}"));
    server.bkctld(&["check-setup"]).ok();

    // Rounded up, so one percent is reached by what a file system itself needs.
    for (warning, critical, code) in [("1", "0", 1), ("1", "1", 2), ("0", "0", 0), ("99", "100", 0)] {
        server.set("DISK_WARNING", warning);
        server.set("DISK_CRITICAL", critical);
        server.bkctld(&["check-setup"]).exits(code).says(&format!("% of its space ({warning}/{critical})."));
    }
    server.set("DISK_WARNING", "101");
    server.bkctld(&["check-setup"]).refuses(&["bkctld.conf", "DISK_WARNING", "101"]).silent();
    server.set("DISK_WARNING", "97");
}

#[apply(as_root)]
fn a_jail_whose_memory_nothing_bounds_is_told() {
    let server = Server::on(FsKind::Ext4);
    server.init("a");
    with_host_files(&server, &format!("umount -R -l /sys/fs/cgroup; {BKCTLD} start a")).ok();
    assert_found(&server, "memory", "OK", "nothing limits the memory that its sessions use: ");
    server.bkctld(&["check-setup"]).ok();
}

#[apply(as_root)]
fn a_partition_that_nothing_lies_on_is_not_asked_for() {
    let server = Server::on(FsKind::Ext4);
    let jails = server.path("backup/jails").display().to_string();
    let incs = server.path("backup/incs").display().to_string();
    server.set("BACKUP_PARTITION", "/nonexistent");
    server.set("JAILDIR", &jails);
    server.set("INCDIR", &incs);
    jail_that_may_be_off(&server, "a");
    let ran = server.bkctld(&["check-setup"]).ok();
    assert!(!ran.out().contains("nonexistent"), "{}", ran.told());
    server.volume().remount("ro");
    server.bkctld(&["check-setup"]).exits(2).says(&format!("{jails} is read-only !"));
    server.volume().remount("rw");
}

#[apply(as_root)]
fn a_jail_that_is_off_is_critical_unless_it_may_be() {
    let server = Server::on(FsKind::Ext4);
    for jail in ["a", "b", "c"] {
        server.bkctld(&["init", jail]).ok();
    }
    server.bkctld(&["start", "b"]).ok();
    let found = finding(&server, "state");
    assert_eq!(
        (&found["severity"], &found["text"]),
        (&"CRITICAL".into(), &"2 jail(s) shouldn't be OFF: a, c".into())
    );
    assert_eq!(found["jails"], serde_json::json!(["a", "c"]));
    server.bkctld(&["check-setup"]).exits(2);
    for (policy, code) in [
        ("EXPECTED_STATE=OFF\n", 0),
        ("EXPECTED_STATE=OFF # for now\n", 0),
        ("EXPECTED_STATE=OFF\nEXPECTED_STATE=ON\n", 2),
        ("#EXPECTED_STATE=OFF\n", 2),
        ("WARNING=1\n", 2),
    ] {
        for jail in ["a", "b", "c"] {
            write(&server.path(&format!("conf/{jail}.d/check_policy")), policy);
        }
        server.bkctld(&["check-setup"]).exits(code);
    }
}

#[apply(as_root)]
fn policies_of_garbage_are_warnings() {
    let server = Server::on(FsKind::Ext4);
    jail_that_may_be_off(&server, "a");
    server.bkctld(&["check-setup"]).ok();
    let check_policy = server.path("conf/a.d/check_policy");
    write(&check_policy, b"EXPECTED_STATE=OFF\nWARNING=\x1b[2J|soon\n");
    let ran = server.bkctld(&["check-setup"]).exits(1);
    let plugin = Plugin::parse(&ran);
    assert!(plugin.long[1].contains("check_policy:2: WARNING: '\\u{1b}[2J\\u{7c}soon'"), "{plugin:?}");
    // One that cannot be read allows nothing.
    fs::File::create(&check_policy).unwrap().set_len(10 << 30).unwrap();
    let ran = server.bkctld(&["check-setup"]).exits(2);
    ran.says("check_policy is larger than").says("1 jail(s) shouldn't be OFF: a");
    write(&check_policy, "EXPECTED_STATE=OFF\n");
    write(&server.path("conf/a.d/session_policy"), "ISOLATION=perhaps\n");
    assert_found(&server, "session-policy", "WARNING", "session_policy:1: ISOLATION");
    write(&server.path("conf/a.d/session_policy"), "ISOLATION=compat\n");
    assert_found(&server, "isolation", "OK", "runs with ISOLATION=compat");
    server.bkctld(&["check-setup"]).ok();
}

#[apply(as_root)]
fn a_reload_that_failed_is_told_as_long_as_it_matters() {
    let server = Server::on(FsKind::Ext4);
    server.started("a");
    let config = server.jail("a").join("rootfs/etc/ssh/sshd_config");
    let good = fs::read_to_string(&config).unwrap();
    fs::write(&config, format!("{good}\nNoSuchOption yes\n")).unwrap();
    server.bkctld(&["reload", "a"]).exits(1);
    assert_found(&server, "reload", "WARNING", "because the last reload failed: ");
    server.bkctld(&["check-setup"]).exits(1);
    fs::write(&config, &good).unwrap();
    server.bkctld(&["reload", "a"]).ok();
    server.bkctld(&["check-setup"]).ok();
}

#[apply(as_root)]
fn a_port_of_listen_address_that_is_not_the_jails_is_a_warning_and_the_jail_stays_on_its_own() {
    let server = Server::on(FsKind::Ext4);
    let client = server.started("a");
    let config = server.jail("a").join("rootfs/etc/ssh/sshd_config");
    let good = fs::read_to_string(&config).unwrap();
    fs::write(&config, format!("{good}\nListenAddress 127.0.0.1:99\nListenAddress 127.0.0.1\n")).unwrap();
    server.bkctld(&["reload", "a"]).ok();
    client.ssh("true").ok();
    std::net::TcpStream::connect("127.0.0.1:99").unwrap_err();
    assert_found(&server, "listen-address", "WARNING", "ListenAddress 127.0.0.1:99 in its sshd_config");
    let log = server.bkctld(&["log", "a"]).ok();
    assert!(log.out().contains("ListenAddress 127.0.0.1:99: a jail has one port"), "{}", log.told());
    fs::write(&config, format!("{good}\nListenAddress 127.0.0.1:{}\n", server.port("a"))).unwrap();
    server.bkctld(&["reload", "a"]).ok();
    client.ssh("true").ok();
    server.bkctld(&["check-setup"]).ok();
}

#[apply(as_root)]
fn two_incs_at_once_or_one_beside_an_rm_are_seen() {
    let server = Server::on(FsKind::Ext4);
    jail_that_may_be_off(&server, "a");
    server.bkctld(&["check-setup"]).ok();
    server.policy("a", "+%Y-%m-%d.-0day\n");
    write(&server.path("backup/incs/a/2020-01-01-00/f"), "x");
    // They wait for the jail's incs, and run meanwhile.
    let held = fs::File::create(server.path("lock/a.incs")).unwrap();
    held.lock().unwrap();
    let first = server.begin(&["inc"]);
    wait_for("the first inc runs", || {
        finding(&server, "inc-running")["text"] == "one inc operation currently running."
    });
    server.bkctld(&["check-setup"]).ok();
    // A rehearsal is no run.
    server.bkctld(&["-n", "inc"]).ok();
    assert_found(&server, "inc-beside-rm", "OK", "No inc and rm");
    let rm = server.begin(&["rm"]);
    wait_for("the rm runs", || finding(&server, "inc-beside-rm")["severity"] == "WARNING");
    server.bkctld(&["check-setup"]).exits(1).says("WARNING - Inc and rm operations running simultaneously");
    let second = server.begin(&["inc", "a"]);
    wait_for("the second inc runs", || finding(&server, "inc-running")["severity"] == "CRITICAL");
    server
        .bkctld(&["check-setup"])
        .exits(2)
        .says("CRITICAL - 2 inc operations currently running (should be 1 or 0)");
    // What is killed runs no more.
    second.kill();
    server.bkctld(&["check-setup"]).exits(1);
    held.unlock().unwrap();
    first.finish().ok();
    rm.finish().ok();
    server.bkctld(&["check-setup"]).ok();
}

#[apply(as_root)]
fn slow_and_unfinished_incs_of_the_last_days_are_told() {
    let server = Server::on(FsKind::Ext4);
    jail_that_may_be_off(&server, "a");
    let run = |when: &str, content: &str| {
        write(
            &server.path(&format!("state/time-inc_{}-02", date(when))),
            format!("# seconds ;jail\n{content}"),
        );
    };
    run("-11 days", "999999 ;GLOBAL\n");
    run("-1 day", "7 ;a\n43200 ;GLOBAL\n");
    write(&server.path("state/time-inc_notes"), "999999 ;GLOBAL\n");
    server
        .bkctld(&["check-setup"])
        .ok()
        .says("OK - All inc creation times are below 12 hours in the last 10 days.");
    run("-2 days", "43201 ;GLOBAL\n");
    server.bkctld(&["check-setup"]).exits(1).says("WARNING - 1 incs took more than 12 hours");
    run("-9 days", "64801 ;GLOBAL\n");
    server.bkctld(&["check-setup"]).exits(2).says("CRITICAL - 1 incs took more than 18 hours");
    server.set("INCTIME_WARNING", "30");
    server.set("INCTIME_CRITICAL", "0");
    server.bkctld(&["check-setup"]).ok();
    // As the original writes them, and one that may be running now.
    run("-3 days", "5 ;a\n6 ;b\n");
    server.bkctld(&["check-setup"]).ok();
    run("-4 days", "");
    server.bkctld(&["check-setup"]).exits(2).says("CRITICAL - 2 incs did not finish !");
}

#[apply(as_root)]
fn a_rules_file_that_minifirewall_does_not_read_is_a_warning() {
    let server = Server::on(FsKind::Ext4);
    let rules = server.path("rules").display().to_string();
    server.set("FIREWALL_RULES", &rules);
    jail_that_may_be_off(&server, "a");
    // Without minifirewall it is somebody else's.
    let ran = server.bkctld(&["check-setup"]).ok();
    assert!(!ran.out().contains("minifirewall"), "{}", ran.told());
    fs::create_dir_all(server.path("default")).unwrap();
    fs::create_dir_all(server.path("init.d")).unwrap();
    let check = |config: &str, script: &str| {
        write(&server.path("default/minifirewall"), config);
        write(&server.path("init.d/minifirewall"), script);
        with_host_files(
            &server,
            &format!(
                "mount --bind default /etc/default; mount --bind init.d /etc/init.d; exec {BKCTLD} check-setup"
            ),
        )
    };
    check("", "").exits(1).says(&format!("WARNING - Firewall file '{rules}' doesn't seem to be sourced"));
    check(&format!(". {rules}\n"), "").ok().says("is sourced by '/etc/default/minifirewall'.");
    check(&format!("source {rules}\n"), "").ok();
    check(&format!("source {rules}.old\n# . {rules}\n"), "").exits(1);
    check("", "VERSION='22.03'\n").ok().says(&format!("OK - Firewall file '{rules}' is present."));
    check("", "VERSION='21.07'\n").exits(1);
    // Rules that are not those of the jails.
    fs::write(&rules, "/sbin/iptables -A INPUT -j DROP\n").unwrap();
    check(&format!(". {rules}\n"), "").exits(1).says("'bkctld firewall all'");
    fs::remove_file(&rules).unwrap();
    check(&format!(". {rules}\n"), "").exits(1).says("does not exist");
}

#[apply(as_root)]
fn programs_that_the_server_has_in_another_version_are_a_warning() {
    let server = Server::on(FsKind::Ext4);
    jail_that_may_be_off(&server, "a");
    server.bkctld(&["check-setup"]).ok();
    let check = "mount --bind rsync /usr/bin/rsync; exec";
    sh(&format!("cp /usr/bin/rsync {}", server.path("rsync").display()));
    with_host_files(&server, &format!("{check} {BKCTLD} check-setup")).ok();
    sh(&format!("printf x >> {}", server.path("rsync").display()));
    with_host_files(&server, &format!("{check} {BKCTLD} check-setup")).exits(1)
        .says("WARNING - the server and the jails have different versions of rsync ('bkctld update all' renews them)");
    server.bkctld(&["check-setup"]).ok();
}

#[apply(as_root)]
fn an_original_that_was_installed_from_sources_is_a_warning() {
    let server = Server::on(FsKind::Ext4);
    jail_that_may_be_off(&server, "a");
    for dir in ["local", "local/sbin", "local/bin", "local/lib", "local/lib/bkctld"] {
        fs::create_dir(server.path(dir)).unwrap();
    }
    let check = format!("mount --bind local /usr/local; exec {BKCTLD} check-setup");
    with_host_files(&server, &check).exits(1).says("WARNING").says("move /usr/local/lib/bkctld away");
    write(&server.path("local/sbin/bkctld"), "#!/bin/sh\n");
    with_host_files(&server, &check).exits(1).says("move /usr/local/sbin/bkctld, /usr/local/lib/bkctld away");
    fs::remove_dir(server.path("local/lib/bkctld")).unwrap();
    with_host_files(&server, &check)
        .exits(1)
        .says("move /usr/local/sbin/bkctld away (see docs/migration.md)");
    // A link to the program that runs, and one that leads nowhere, hide nothing.
    fs::remove_file(server.path("local/sbin/bkctld")).unwrap();
    std::os::unix::fs::symlink(BKCTLD, server.path("local/sbin/bkctld")).unwrap();
    std::os::unix::fs::symlink("nowhere", server.path("local/bin/bkctld")).unwrap();
    with_host_files(&server, &check).ok();
}

#[apply(as_root)]
fn btrfs_quotas_that_slow_every_snapshot_are_a_warning() {
    let server = Server::on(FsKind::Btrfs);
    jail_that_may_be_off(&server, "a");
    server.bkctld(&["check-setup"]).ok();
    let at = server.backup();
    sh(&format!("btrfs quota enable {}", at.display()));
    assert_found(&server, "quota", "WARNING", "btrfs quotas are on");
    sh(&format!("btrfs quota disable {}", at.display()));
    server.bkctld(&["check-setup"]).ok();
}

#[apply(as_root)]
fn subvolumes_in_a_jail_are_a_warning_because_no_inc_holds_them() {
    let server = Server::on(FsKind::Btrfs);
    jail_that_may_be_off(&server, "a");
    sh(&format!("btrfs subvolume create {}", server.data("a").join("nested").display()));
    assert_found(&server, "subvolumes", "WARNING", "which incs do not contain: 1");
    sh(&format!("btrfs subvolume delete {}", server.data("a").join("nested").display()));
    server.bkctld(&["check-setup"]).ok();
}

#[apply(as_root)]
fn monitoring_understands_it() {
    let server = Server::on(FsKind::Ext4);
    server.bkctld(&["init", "a"]).ok();
    server.bkctld(&["inc"]).ok();
    let plain = Plugin::parse(&server.bkctld(&["check-setup"]).exits(2));
    let plugin = Plugin::parse(&server.bkctld(&["check-setup", "--perfdata"]).exits(2));
    assert_eq!((&plugin.text, &plugin.long), (&plain.text, &plain.long));
    assert_eq!(plugin.values("critical"), [1]);
    assert_eq!(plugin.values("inc_time")[1..], [12 * 3600, 18 * 3600, 0]);
    assert_eq!(plugin.values("disk")[1..], [97, 99, 0]);
    assert_eq!(plugin.values("inodes")[1..], [97, 99, 0]);
    let json = server.bkctld(&["check-setup", "--json"]).exits(2).json();
    assert_eq!((&json["command"], &json["severity"]), (&"check-setup".into(), &"CRITICAL".into()));
    assert_eq!(json["findings"].as_array().unwrap().len(), plain.long.len() - 1);
}
