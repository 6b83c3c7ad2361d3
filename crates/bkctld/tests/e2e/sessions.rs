//! The record of each session, and what `status` shows of it.

use serde_json::Value;

use crate::support::run::start;
use crate::support::server::TOOLS;
use crate::support::*;

/// A field that is told as text.
fn text<'v>(session: &'v Value, field: &str) -> &'v str {
    session[field].as_str().unwrap_or_else(|| panic!("no {field} in {session}"))
}

#[apply(as_root)]
fn each_kind_of_session_is_told_apart() {
    let server = Server::on(FsKind::Ext4);
    let client = server.started("a");
    let file = server.path("file");
    write(&file, vec![1; 300_000]);
    let file = file.display().to_string();
    let back = server.path("back").display().to_string();
    let check = |what: &str, kind: &str| {
        let session = server.last_session("a");
        assert_eq!(text(&session, "kind"), kind, "{what}: {session}");
        assert_eq!(session["exit"], 0, "{what}: {session}");
        assert_eq!(text(&session, "ending"), "closed", "{what}: {session}");
        assert_eq!(text(&session, "source"), "127.0.0.1", "{what}");
        assert_eq!(text(&session, "key"), client.fingerprint(), "{what}");
        let (begin, end) = (text(&session, "begin"), text(&session, "end"));
        assert!(begin.ends_with('Z') && begin < end, "{what}: {session}");
        session
    };
    client.rsync(&["-a", &file, "jail:/data/pushed"]).ok();
    let push = check("rsync push", "rsync-push");
    let (received, sent) = (push["bytes_in"].as_u64().unwrap(), push["bytes_out"].as_u64().unwrap());
    assert!((300_000..400_000).contains(&received) && sent < 50_000, "{push}");
    client.rsync(&["-a", "jail:/data/pushed", &back]).ok();
    let pull = check("rsync pull", "rsync-pull");
    assert!(pull["bytes_out"].as_u64().unwrap() > 300_000, "{pull}");
    client.sftp(&format!("put {file} /data/by-sftp\n")).ok();
    check("sftp", "sftp");
    client.scp(&["-O", &file, "jail:/data/by-scp"]).ok();
    check("scp", "scp");
    client.scp(&[&file, "jail:/data/by-new-scp"]).ok();
    check("scp over SFTP", "sftp");
    client.ssh("ls /data").ok();
    check("a command", "command");
    start(client.ssh_command(&["-tt"], &[]), b"exit 3\n").finish().exits(3);
    assert_eq!(text(&server.last_session("a"), "kind"), "shell");
}

#[apply(as_root)]
fn how_a_transfer_ended_is_recorded() {
    let server = Server::on(FsKind::Ext4);
    server.set("JAIL_PROGRAMS", TOOLS);
    let client = server.started("a");
    client.ssh("exit 42").exits(42);
    assert_eq!(server.last_session("a")["exit"], 42);
    client.rsync(&["-a", "jail:/data/no-such-file", "/tmp/"]).exits(23);
    let failed = server.last_session("a");
    assert_eq!((text(&failed, "kind"), failed["exit"].as_u64()), ("rsync-pull", Some(23)));
    // A push that meets a full or forbidden place, the receiving rsync says so.
    let file = server.path("file");
    write(&file, "x");
    client.rsync(&["-a", file.to_str().unwrap(), "jail:/etc/forbidden"]).fails();
    let failed = server.last_session("a");
    assert_eq!(text(&failed, "kind"), "rsync-push");
    assert_ne!(failed["exit"], 0, "{failed}");
    // A client that vanishes.
    write(&server.path("big"), vec![2; 50 << 20]);
    let big = server.path("big").display().to_string();
    let running = start(client.rsync_command(&["-a", "--bwlimit=5m", &big, "jail:/data/"]), b"");
    wait_for("the push is on", || server.active_sessions("a") == 1);
    running.kill();
    let cut = server.last_session("a");
    assert_eq!(text(&cut, "kind"), "rsync-push");
    assert_ne!(cut["exit"], 0, "a cut transfer counts as done: {cut}");
}

#[apply(as_root)]
fn active_sessions_are_shown_while_they_are_active() {
    let server = Server::on(FsKind::Ext4);
    let client = server.started("a");
    assert_eq!(server.active_sessions("a"), 0);
    assert!(server.status("a")["sessions"]["last"].is_null());
    let (one, two) = (client.hold(), client.hold());
    wait_for("both are shown", || server.active_sessions("a") == 2);
    let active = server.status("a")["sessions"]["active"].clone();
    for session in active.as_array().unwrap() {
        assert_eq!(text(session, "source"), "127.0.0.1");
        assert!(session["end"].is_null(), "{session}");
    }
    let first = active[0]["id"].clone();
    assert_ne!(first, active[1]["id"]);
    one.close();
    wait_for("one is left", || server.active_sessions("a") == 1);
    two.close();
    wait_for("none is left", || server.active_sessions("a") == 0);
    assert_eq!(text(&server.last_session("a"), "ending"), "closed");
}

#[apply(as_root)]
fn a_stopped_session_is_recorded_as_stopped() {
    let server = Server::on(FsKind::Ext4);
    let client = server.started("a");
    let held = client.hold();
    server.bkctld(&["stop", "a"]).ok();
    held.ended();
    let last = server.last_session("a");
    assert_eq!(text(&last, "ending"), "stopped", "{last}");
    assert!(!last["end"].is_null());
}

#[apply(as_root)]
fn a_stranger_is_counted_and_leaves_no_session() {
    let server = Server::on(FsKind::Ext4);
    let client = server.started("a");
    run(client.ssh_command(&["-o", "PubkeyAuthentication=no"], &["true"])).exits(255);
    assert!(server.last_session("a").is_null());
    let count = server.status("a")["sessions"]["without_login"].clone();
    assert_eq!((&count["connections"], &count["refused"]), (&1.into(), &0.into()), "{count}");
    assert_eq!(text(&count, "last_source"), "127.0.0.1");
    // What sshd said of it is there for whoever looks.
    let log = server.bkctld(&["log", "a"]).ok().out();
    assert!(log.contains("authenticating user root 127.0.0.1"), "{log}");
    let metrics = server.bkctld(&["metrics"]).ok().out();
    assert!(metrics.contains("bkctld_jail_connections_without_login{jail=\"a\"} 1"), "{metrics}");
}

#[apply(as_root)]
fn a_penalty_is_told_and_can_be_turned_off() {
    let server = Server::on(FsKind::Ext4);
    let client = server.started("a");
    let stranger =
        || run(client.ssh_command(&["-b", "127.0.0.4", "-o", "PubkeyAuthentication=no"], &["true"]));
    wait_for("the stranger is refused", || stranger().err().contains("without a login from this address"));
    client.ssh("true").ok();
    let log = server.bkctld(&["log", "a"]).ok().out();
    assert!(log.contains("no sessions for 127.0.0.4 for "), "{log}");
    write(&server.path("conf/a.d/session_policy"), "PENALTY_EXEMPT=127.0.0.4\n");
    server.bkctld(&["restart", "a"]).ok();
    for _ in 0..20 {
        stranger().exits(255);
    }
    run(client.ssh_command(&["-b", "127.0.0.4"], &["true"])).ok();
}

#[apply(as_root)]
fn records_and_logs_are_out_of_the_clients_reach_and_free_of_its_escapes() {
    let server = Server::on(FsKind::Ext4);
    server.set("JAIL_PROGRAMS", TOOLS);
    let client = server.started("a");
    client.ssh("printf '\\033[31mred' ; true \u{1b}[31mevil\u{1b}[0m").ok();
    server.last_session("a");
    for args in [&["status", "a"][..], &["log", "a"], &["--json", "status", "a"], &["--json", "log", "a"]] {
        let ran = server.bkctld(args).ok();
        assert!(!ran.stdout.contains(&0x1b), "{}", ran.told());
    }
    let records = server.path("state");
    let found = client.ssh(&format!("ls {} 2>&1", records.display())).fails();
    assert!(!found.out().contains("sessions"), "{}", found.told());
}
