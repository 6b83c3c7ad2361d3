//! From `init` to `remove`: the jail as a directory and as a service.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::support::digest::disk_usage;
use crate::support::run::start;
use crate::support::server::{BKCTLD, TOOLS};
use crate::support::*;

#[apply(on_each_fs)]
fn init_makes_the_jail_that_the_specification_describes(fs: FsKind) {
    let server = Server::on(fs);
    server.use_built_in_templates();
    server.bkctld(&["init", "a"]).ok();
    let jail = server.jail("a");
    assert_eq!(fs::read_to_string(jail.join("version")).unwrap().trim(), "2");
    for dir in ["rootfs/etc/ssh", "rootfs/root/.ssh", "rootfs/usr", "var/log", "data"] {
        assert!(jail.join(dir).is_dir(), "{dir}");
    }
    for file in ["etc/passwd", "etc/shadow", "etc/group", "etc/os-release", "etc/ssh/sshd_config"] {
        assert!(jail.join("rootfs").join(file).is_file(), "{file}");
    }
    let keys = jail.join("rootfs/root/.ssh/authorized_keys");
    assert_eq!((fs::read(&keys).unwrap().len(), fs::metadata(&keys).unwrap().mode() & 0o777), (0, 0o600));
    assert!(jail.join("var/log/lastlog").is_file());
    assert!(server.path("conf/a.d/incs_policy").is_file() && server.path("conf/a.d/check_policy").is_file());
    assert!(server.path("backup/incs/a").is_dir());
    for kind in ["ed25519", "ecdsa", "rsa"] {
        let key = jail.join(format!("rootfs/etc/ssh/ssh_host_{kind}_key"));
        assert_eq!(fs::metadata(&key).unwrap().mode() & 0o077, 0, "{key:?}");
        assert!(key.with_extension("pub").is_file(), "{key:?}");
    }
    let config = fs::read_to_string(jail.join("rootfs/etc/ssh/sshd_config")).unwrap();
    assert!(config.lines().any(|line| line.trim() == "Port 2222"), "{config}");
    assert!(config.lines().any(|line| line.starts_with("AllowUsers root")), "{config}");
    if fs == FsKind::Btrfs {
        assert_eq!(fs::metadata(&jail).unwrap().ino(), 256, "the jail is not a subvolume");
    }
    sh("sync");
    let used = disk_usage(&jail);
    assert!(used < 200_000, "an empty jail takes {used} bytes");
    server.bkctld(&["is-on", "a"]).exits(100);
}

#[apply(on_each_fs)]
fn init_makes_jails_and_incs_on_a_freshly_mounted_partition_only(fs: FsKind) {
    let server = Server::on(fs);
    let (jails, incs) = (server.path("backup/jails"), server.path("backup/incs"));
    let mode = |dir: &Path| {
        let meta = fs::metadata(dir).unwrap();
        (meta.mode() & 0o7777, meta.uid(), meta.gid())
    };
    for dir in [&jails, &incs] {
        fs::remove_dir(dir).unwrap();
    }
    server.bkctld(&["-n", "init", "a"]).ok().says("on port 2222");
    // A new server has no jails; to monitoring it may be one that has lost them.
    server.bkctld(&["list"]).ok().silent();
    for command in ["start", "stop", "reload", "status"] {
        server.bkctld(&[command, "all"]).ok();
    }
    for check in ["check-jails", "check-setup"] {
        server.bkctld(&[check]).exits(3).says("UNKNOWN - cannot read JAILDIR");
    }
    assert!(!jails.exists() && !incs.exists(), "made by a dry run");
    server.bkctld(&["init", "a"]).ok();
    assert_eq!((mode(&jails), mode(&incs)), ((0o700, 0, 0), (0o700, 0, 0)));
    server.bkctld(&["start", "a"]).ok();
    server.bkctld(&["inc"]).ok();
    server.bkctld(&["-f", "remove", "a"]).ok();

    // A link to where nothing is mounted yet is the administrator's.
    fs::remove_dir(&jails).unwrap();
    std::os::unix::fs::symlink(server.path("away/jails"), &jails).unwrap();
    server.bkctld(&["init", "a"]).refuses(&["JAILDIR", "does not exist", "mount"]);
    assert!(!server.path("away").exists(), "made behind a link");
    fs::remove_file(&jails).unwrap();

    // The same where the disk is away: nothing is written below its mount point.
    let bare = server.path("mount-point");
    fs::create_dir(&bare).unwrap();
    server.set("BACKUP_PARTITION", bare.to_str().unwrap());
    for arguments in [&["init", "a"][..], &["-n", "init", "a"]] {
        server.bkctld(arguments).refuses(&["JAILDIR", "does not exist", "mount the backup partition"]);
    }
    server.bkctld(&["list"]).fails();
    assert!(fs::read_dir(&bare).unwrap().next().is_none(), "made below the mount point");
    server.set("BACKUP_PARTITION", server.backup().to_str().unwrap());
}

#[apply(on_each_fs)]
fn a_jail_starts_serves_stops_and_goes_away(fs: FsKind) {
    let server = Server::on(fs);
    let client = server.started("a");
    server.bkctld(&["is-on", "a"]).ok();
    assert!(server.greets(client.port), "`start` returned before the port answered");
    client.ssh("true").ok();
    server.bkctld(&["start", "a"]).ok();
    let mut session = client.hold();
    server.bkctld(&["stop", "a"]).ok();
    server.bkctld(&["is-on", "a"]).exits(100);
    assert!(!session.answers(), "`stop` left a session alive");
    server.assert_quiet();
    server.bkctld(&["stop", "a"]).ok();
    server.bkctld(&["restart", "a"]).ok();
    client.ssh("true").ok();
    server.take_inc(0, "a");
    server.bkctld(&["-f", "remove", "a"]).ok();
    for gone in ["backup/jails/a", "backup/incs/a", "conf/a.d"] {
        assert!(!server.path(gone).exists(), "{gone} is left");
    }
    server.bkctld(&["is-on", "a"]).exits(2);
    server.assert_quiet();
}

#[apply(on_each_fs)]
fn update_keeps_everything_of_the_administrator_and_the_jail_on(fs: FsKind) {
    let server = Server::on(fs);
    let client = server.started("a");
    fs::write(server.data("a").join("kept"), "kept").unwrap();
    let (etc, root) = (server.jail("a").join("rootfs/etc/ssh"), server.jail("a").join("rootfs/root"));
    let before = (Digest::of(&etc), Digest::of(&root), Digest::of(&server.data("a")));
    server.bkctld(&["update", "a"]).ok();
    server.bkctld(&["update", "all"]).ok();
    before.0.assert_same(&Digest::of(&etc), "etc/ssh after update");
    before.1.assert_same(&Digest::of(&root), "root after update");
    before.2.assert_same(&Digest::of(&server.data("a")), "data after update");
    server.bkctld(&["is-on", "a"]).ok();
    client.ssh("cat /data/kept").ok().says("kept");
}

#[apply(on_each_fs)]
fn a_jail_in_compat_isolation_stores_device_nodes_and_says_so(fs: FsKind) {
    let server = Server::on(fs);
    let client = server.init("a");
    write(&server.path("conf/a.d/session_policy"), "ISOLATION=compat\n");
    server.bkctld(&["start", "a"]).ok();
    let source = server.backup().join("source");
    fs::create_dir(&source).unwrap();
    sh(&format!(
        "cd {}; mknod null c 1 3; mknod disk b 7 0; touch -d 2020-01-01 . null disk",
        source.display()
    ));
    let from = format!("{}/", source.display());
    client.rsync(&["-aHAX", "--numeric-ids", &from, "jail:/data/"]).ok();
    Digest::of(&source).assert_same(&Digest::of(&server.data("a")), "device nodes");
    // Stored, but never usable.
    client.ssh("echo x > /data/null").fails();
    assert_eq!(server.status("a")["isolation"], "compat");
    server.bkctld(&["status", "a"]).ok().says("compat");
    server.started("b");
    assert_eq!(server.status("b")["isolation"], "full");
}

/// As systemd has it: there no session could be made as long as its mounts were not made private.
#[apply(as_root)]
fn a_jail_starts_where_all_mounts_are_shared() {
    let server = Server::on(FsKind::Ext4);
    let client = server.init("a");
    let plain = server.command(&["start", "a"]);
    let mut command = std::process::Command::new("unshare");
    command.args(["--mount", "--propagation", "shared"]).arg(plain.get_program()).args(plain.get_args());
    server.environment(&mut command);
    run(command).ok();
    client.ssh("echo here > /data/f").ok();
    assert_eq!(fs::read_to_string(server.data("a").join("f")).unwrap(), "here\n");
}

#[apply(as_root)]
fn all_leaves_out_the_jails_that_are_to_be_off() {
    let server = Server::on(FsKind::Ext4);
    for jail in ["a", "b", "c"] {
        server.bkctld(&["init", jail]).ok();
    }
    let policy = server.path("conf/b.d/check_policy");
    write(&policy, "EXPECTED_STATE=OFF # sold in May\n");
    // Neither can this one be read; it is no reason to refuse backups.
    fs::remove_file(server.path("conf/c.d/check_policy")).unwrap();
    fs::create_dir(server.path("conf/c.d/check_policy")).unwrap();
    let on = || ["a", "b", "c"].map(|jail| server.bkctld(&["is-on", jail]).code == 0);

    let dry = server.bkctld(&["-n", "start", "all"]).ok().says("would start jail 'a'");
    assert!(!dry.out().contains("'b'"), "{}", dry.told());
    let ran = server.bkctld(&["-v", "start", "all"]).ok().warns("jail 'b' is left alone");
    assert!(ran.err().contains("EXPECTED_STATE=OFF"), "{}", ran.told());
    assert_eq!(on(), [true, false, true]);
    let json = server.bkctld(&["--json", "restart", "all"]).ok().json();
    assert_eq!(json["results"][1]["outcome"], "skipped", "{json}");
    assert_eq!(on(), [true, false, true]);

    server.bkctld(&["start", "b"]).ok();
    assert_eq!(on(), [true; 3]);
    // One that is on goes on, under the listener that it has.
    let before = server.processes().iter().map(|process| process.pid).collect::<Vec<_>>();
    server.bkctld(&["start", "all"]).ok();
    assert_eq!(server.processes().iter().map(|process| process.pid).collect::<Vec<_>>(), before);
    server.bkctld(&["stop", "all"]).ok();
    assert_eq!(on(), [false; 3]);
    server.bkctld(&["-f", "start", "all"]).ok();
    assert_eq!(on(), [true; 3]);
    server.bkctld(&["stop", "b"]).ok();
    server.bkctld(&["restart", "all"]).ok();
    assert_eq!(on(), [true, false, true]);
    server.bkctld(&["-f", "restart", "all"]).ok();
    assert_eq!(on(), [true; 3]);
    write(&policy, "EXPECTED_STATE=ON\n");
    server.bkctld(&["stop", "all"]).ok();
    server.bkctld(&["start", "all"]).ok();
    assert_eq!(on(), [true; 3]);
}

#[apply(as_root)]
fn init_of_a_jail_that_exists_changes_nothing() {
    let server = Server::on(FsKind::Ext4);
    server.bkctld(&["init", "a"]).ok();
    let before = Digest::of(&server.jail("a"));
    server.bkctld(&["init", "a"]).refuses(&["a", "exists"]);
    before.assert_same(&Digest::of(&server.jail("a")), "the jail after a second init");
}

#[apply(as_root)]
fn an_interrupted_init_leaves_no_half_jail_and_can_be_run_again() {
    let server = Server::on(FsKind::Btrfs);
    server.bkctld(&["init", "first"]).ok();
    for delay in [1, 3, 7, 15, 30, 60, 120] {
        let running = server.begin(&["init", "a"]);
        std::thread::sleep(Duration::from_millis(delay));
        running.kill();
        let listed = server.bkctld(&["list"]).ok().lines();
        let whole = server.jail("a").join("version").is_file()
            && server.jail("a").join("rootfs/etc/ssh/sshd_config").is_file();
        assert_eq!(listed.contains(&"a".to_owned()), whole, "after {delay} ms: {listed:?}");
        if whole {
            server.bkctld(&["-f", "remove", "a"]).ok();
        }
        let again = server.bkctld(&["init", "a"]).ok();
        assert!(server.port("a") > 2222, "{}", again.told());
        server.bkctld(&["-f", "remove", "a"]).ok();
        let left: Vec<_> = fs::read_dir(server.path("backup/jails")).unwrap().flatten().collect();
        assert_eq!(left.len(), 1, "{left:?}");
    }
}

#[apply(as_root)]
fn fifty_jails_made_at_once_get_fifty_ports() {
    let server = Server::on(FsKind::Ext4);
    let names: Vec<String> = (0..50).map(|at| format!("j{at:02}")).collect();
    let running: Vec<_> = names.iter().map(|name| server.begin(&["init", name])).collect();
    for one in running {
        one.finish().ok();
    }
    let mut ports: Vec<u16> = names.iter().map(|name| server.port(name)).collect();
    ports.sort_unstable();
    assert_eq!(ports, (2222..2272).collect::<Vec<u16>>());
    assert_eq!(server.bkctld(&["list"]).ok().lines(), names);
}

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

#[apply(as_root)]
fn stop_leaves_no_process_of_the_jail_whatever_it_forked() {
    let server = Server::on(FsKind::Ext4);
    server.set("JAIL_PROGRAMS", TOOLS);
    let client = server.started("a");
    client.ssh("(setsid sleep 1000 || sleep 1000) </dev/null >/dev/null 2>&1 & exit 0").ok();
    client
        .ssh_reading(
            br"for (1..5) { next if fork; fork && exit; close STDIN; close STDOUT; close STDERR;
           $SIG{TERM} = $SIG{HUP} = $SIG{INT} = 'IGNORE'; sleep 1000 }",
            "perl -",
        )
        .ok();
    let held = client.hold();
    server.bkctld(&["stop", "a"]).ok();
    // Not "soon": when `stop` returns, nothing is left.
    assert_eq!(server.processes(), [], "processes survive `stop`");
    held.ended();
}

#[apply(as_root)]
fn a_static_program_among_the_jails_programs_runs_in_a_session() {
    let server = Server::on(FsKind::Ext4);
    write(&server.path("hello.c"), "#include <stdio.h>\nint main(void) { puts(\"hello\"); }\n");
    let programs = ["-static", "-static-pie"].map(|how| {
        let program = server.path(&format!("hello{how}"));
        sh(&format!("cc {how} -o {} {}", program.display(), server.path("hello.c").display()));
        program.display().to_string()
    });
    server.set("JAIL_PROGRAMS", &programs.join(" "));
    let client = server.started("a");
    for program in programs {
        client.ssh(&format!("/usr{program}")).ok().says("hello");
    }
    // A script brings no loader either, and is none.
    write_program(&server.path("script"), "#!/bin/sh\n");
    server.set("JAIL_PROGRAMS", &server.path("script").display().to_string());
    server.bkctld(&["update", "a"]).refuses(&["/script", "it is not a program for Linux (ELF)"]);
}

#[apply(as_root)]
fn what_a_session_leaves_running_ends_with_it() {
    let server = Server::on(FsKind::Ext4);
    server.set("JAIL_PROGRAMS", TOOLS);
    let client = server.started("a");
    client.ssh("sleep 1000 </dev/null >/dev/null 2>&1 & echo started").ok().says("started");
    wait_for("the sandbox ends with its sshd", || server.session_processes().is_empty());
}

#[apply(as_root)]
fn a_started_jail_survives_the_shell_that_started_it_and_leaves_no_zombie() {
    let server = Server::on(FsKind::Ext4);
    let client = server.init("a");
    let mut shell = Command::new("setsid");
    server.environment(&mut shell);
    // The shell dies by SIGHUP with its whole process group, as when a terminal is closed.
    shell.args(["sh", "-c", &format!("{BKCTLD} start a; kill -HUP 0; sleep 60")]);
    start(shell, b"").finish();
    server.bkctld(&["is-on", "a"]).ok();
    for _ in 0..5 {
        client.ssh("true").ok();
    }
    wait_for("sessions are reaped", || server.processes().iter().all(|process| !process.zombie));
}

#[apply(as_root)]
fn reload_picks_up_port_and_addresses_without_ending_sessions() {
    let server = Server::on(FsKind::Ext4);
    let mut client = server.started("a");
    let mut session = client.hold();
    let config = server.jail("a").join("rootfs/etc/ssh/sshd_config");
    let text = fs::read_to_string(&config).unwrap().replace("Port 2222", "Port 3333");
    fs::write(&config, text).unwrap();
    server.bkctld(&["reload", "a"]).ok();
    wait_for("the new port answers", || server.greets(3333));
    assert!(!server.greets(2222), "the old port still answers");
    client.port = 3333;
    client.ssh("true").ok();
    assert!(session.answers(), "`reload` ended a session");
    assert_eq!(session.close(), 0);
}

#[apply(as_root)]
fn commands_for_a_missing_jail_exit_2_and_status_1() {
    let server = Server::plain();
    for command in
        ["start", "stop", "reload", "restart", "is-on", "update", "remove", "log", "key", "port", "ip"]
    {
        server.bkctld(&[command, "nobody"]).exits(2).silent().warns("nobody");
    }
    let ran = server.bkctld(&["status", "nobody"]).exits(1);
    assert!(ran.err().contains("nobody"), "{}", ran.told());
    server.bkctld(&["inc", "nobody"]).exits(2);
    server.bkctld(&["list"]).ok().silent();
}

#[apply(as_root)]
fn all_works_with_no_jail_at_all() {
    let server = Server::plain();
    for command in ["start", "stop", "reload", "restart", "update", "status"] {
        server.bkctld(&[command, "all"]).ok();
    }
    server.bkctld(&["inc"]).ok();
    server.bkctld(&["rm"]).ok();
}

#[apply(as_root)]
fn status_shows_each_jail_in_columns() {
    let server = Server::on(FsKind::Ext4);
    server.started("web");
    server.bkctld(&["init", "db"]).ok();
    server.bkctld(&["ip", "db", "192.0.2.7"]).ok();
    server.policy("db", "+%Y-%m-%d.-0day\n+%Y-%m-%d.-1day\n+%Y-%m-01.-1month\n");
    fs::remove_file(server.path("conf/web.d/incs_policy")).unwrap();
    let lines = server.bkctld(&["status"]).ok().lines();
    let header = &lines[0];
    for (title, at) in
        [("JAIL NAME", 0), ("STATUS", 30), ("PORT", 40), ("RETENTION (DAY/MONTH)", 50), ("IP", 75)]
    {
        let found = header.find(title).unwrap_or_else(|| panic!("{header}"));
        assert!((at..at + 5).contains(&found), "{title} at {found}: {header}");
    }
    let row = |name: &str| -> Vec<String> {
        let line = lines.iter().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("{lines:?}"));
        line.split_whitespace().map(str::to_owned).collect()
    };
    assert_eq!(row("db")[..5], ["db", "OFF", "2223", "2/1", "192.0.2.7"]);
    assert_eq!(row("web")[..4], ["web", "ON", "2222", "0"]);
    let without = server.bkctld(&["--no-header", "status", "all"]).ok().lines();
    assert_eq!(without, &lines[1..]);
    let mut command = server.command(&["status", "db"]);
    command.env("HEADER", "0");
    assert_eq!(run(command).ok().lines().len(), 1);
    assert_eq!(server.bkctld(&["list"]).ok().lines(), ["db", "web"]);
}

#[apply(as_root)]
fn templates_of_the_administrator_win_over_those_of_the_package() {
    let server = Server::on(FsKind::Ext4);
    write(&server.path("tpl/incs_policy.tpl"), "# package\n+%Y-%m-%d.-0day\n");
    write(&server.path("tpl/check_policy.tpl"), "WARNING=7\n");
    write(&server.path("localtpl/incs_policy.tpl"), "# local\n+%Y-%m-%d.-1day\n");
    server.bkctld(&["init", "a"]).ok();
    let policy = |name| fs::read_to_string(server.path(name)).unwrap();
    assert_eq!(policy("conf/a.d/incs_policy"), "# local\n+%Y-%m-%d.-1day\n");
    assert_eq!(policy("conf/a.d/check_policy"), "WARNING=7\n");
}

#[apply(as_root)]
fn a_jail_gets_the_host_keys_that_the_template_names() {
    let server = Server::plain();
    let keys = |jail: &str| -> Vec<String> {
        let entries = fs::read_dir(server.jail(jail).join("rootfs/etc/ssh")).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut keys: Vec<String> = names.filter(|name| name.ends_with("_key")).collect();
        keys.sort();
        keys
    };
    let template = server.path("localtpl/sshd_config");
    write(
        &template,
        "Port 2222\nAllowUsers root@0.0.0.0/0\nHostKey /etc/ssh/ssh_host_ecdsa_key\nHostKey /etc/ssh/mine\n",
    );
    server.bkctld(&["init", "a"]).ok();
    assert_eq!(keys("a"), ["ssh_host_ecdsa_key"]);
    write(&template, "Port 2222\nAllowUsers root@0.0.0.0/0\n");
    server.bkctld(&["init", "b"]).ok();
    assert_eq!(keys("b"), ["ssh_host_ecdsa_key", "ssh_host_ed25519_key", "ssh_host_rsa_key"]);
    write(&template, "AllowUsers root@0.0.0.0/0\nHostKey \"/etc/ssh/open\nPort 2222\n");
    server.bkctld(&["init", "c"]).fails().warns("quote");
    assert!(!server.jail("c").exists());
}

#[apply(as_root)]
fn the_runtime_serves_sftp_server_rsync_a_shell_and_the_few_tools() {
    let server = Server::on(FsKind::Ext4);
    let client = server.started("a");
    for tool in [
        "ls /data",
        "mkdir /data/d",
        "cat /etc/passwd",
        "touch /data/f",
        "sed -n 1p /etc/passwd",
        "rm /data/f",
        "rsync --version",
    ] {
        client.ssh(tool).ok();
    }
    client.ssh("test -d /data/d && test ! -e /data/f").ok();
}

#[apply(as_root)]
fn lastlog_takes_the_time_of_each_login() {
    let server = Server::on(FsKind::Ext4);
    let client = server.started("a");
    let lastlog = server.jail("a").join("var/log/lastlog");
    sh(&format!("touch -d 2001-01-01 {}", lastlog.display()));
    client.ssh("true").ok();
    wait_for("lastlog is touched", || {
        fs::metadata(&lastlog)
            .unwrap()
            .modified()
            .unwrap()
            .elapsed()
            .is_ok_and(|age| age < Duration::from_secs(300))
    });
    // Somebody who cannot log in leaves it alone.
    sh(&format!("touch -d 2001-01-01 {}", lastlog.display()));
    let mut stranger = client.ssh_command(&["-o", "PubkeyAuthentication=no"], &["true"]);
    stranger.env("LC_ALL", "C");
    run(stranger).fails();
    wait_for("the stranger's session is over", || server.session_processes().is_empty());
    assert_eq!(fs::metadata(&lastlog).unwrap().mtime(), 978_307_200);
}
