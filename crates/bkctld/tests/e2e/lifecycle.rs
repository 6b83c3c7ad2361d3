//! Starting and stopping jails, and what is in a jail that runs.

use crate::support::run::start;
use crate::support::server::{BKCTLD, TOOLS};
use crate::support::*;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::process::Command;
use std::time::Duration;

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
