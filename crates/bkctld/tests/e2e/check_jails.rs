//! `check-jails`: the age of the last login, as monitoring reads it.

use std::fs;

use crate::support::nagios::Plugin;
use crate::support::*;

/// Sets the time of the last login; `age` is what `date -d` and `touch -d` understand.
fn last_login(server: &Server, jail: &str, age: &str) {
    sh(&format!("touch -d '{age}' {}", server.jail(jail).join("var/log/lastlog").display()));
}

fn check_policy(server: &Server, jail: &str, text: impl AsRef<[u8]>) {
    write(&server.path(&format!("conf/{jail}.d/check_policy")), text);
}

#[apply(on_each_fs)]
fn the_age_of_the_last_login_is_judged_by_the_jails_thresholds(fs: FsKind) {
    let server = Server::on(fs);
    server.bkctld(&["init", "a"]).ok();
    for (age, policy, code, line) in [
        ("now", "", 0, "OK - a - 0 hours (24/48)"),
        ("-3 hours", "", 0, "OK - a - 3 hours (24/48)"),
        ("-2 days", "", 1, "WARNING - a - 48 hours (24/48)"),
        ("-3 days", "", 2, "CRITICAL - a - 72 hours (24/48)"),
        ("-3 days", "CRITICAL=120\nWARNING=96\n", 0, "OK - a - 72 hours (96/120)"),
        ("-3 days", "CRITICAL=96\nWARNING=48\n", 1, "WARNING - a - 72 hours (48/96)"),
        ("-10 days", "CRITICAL=96\nWARNING=48\n", 2, "CRITICAL - a - 240 hours (48/96)"),
        ("-2 days", "WARNING=0\n", 0, "OK - a - 48 hours (0/48)"),
        ("-3 days", "CRITICAL=0\n", 1, "WARNING - a - 72 hours (24/0)"),
        ("-3 days", "CRITICAL=0 # off\n", 1, "WARNING - a - 72 hours (24/0)"),
        ("-3 days", "# CRITICAL=0\n", 2, "CRITICAL - a - 72 hours (24/48)"),
        ("-3 days", "WARNING=0\nCRITICAL=0\nCRITICAL=96\n", 0, "OK - a - 72 hours (0/96)"),
    ] {
        last_login(&server, "a", age);
        check_policy(&server, "a", policy);
        for command in ["check-jails", "check"] {
            let ran = server.bkctld(&[command]).exits(code);
            assert_eq!(ran.lines()[1..], ["", line], "{}", ran.told());
            assert!(ran.err().is_empty(), "{}", ran.told());
        }
    }
    check_policy(&server, "a", "");
    server.set("WARNING", "96");
    server.set("CRITICAL", "120");
    server.bkctld(&["check-jails"]).ok().says("OK - a - 72 hours (96/120)");
}

#[apply(on_each_fs)]
fn a_lastlog_that_is_no_file_is_told_and_not_touched(fs: FsKind) {
    let server = Server::on(fs);
    server.bkctld(&["init", "a"]).ok();
    let log = server.jail("a").join("var/log");
    let outside = server.path("outside");
    write(&outside.join("lastlog"), "");
    let (log_path, outside) = (log.display(), outside.display());
    for (hostile, told) in [
        ("rm $L".to_owned(), "no lastlog: var/log/lastlog is missing"),
        (format!("rm $L; ln -s {outside}/lastlog $L"), "a symbolic link"),
        ("rm $L; mkfifo $L".to_owned(), "a fifo"),
        ("rm $L; mkdir $L".to_owned(), "a directory"),
        ("rm $L; mknod $L c 1 5".to_owned(), "a device"),
        (format!("rm -r {log_path}; ln -s {outside} {log_path}"), "a symbolic link"),
        (format!("rm -r {log_path}; touch {log_path}"), "missing"),
        ("touch -d 2037-01-01 $L".to_owned(), "dated in the future (2037-01-01 00:00 UTC)"),
    ] {
        sh(&format!("L={log_path}/lastlog; {hostile}"));
        let ran = server.bkctld(&["check-jails"]).exits(3).says(told);
        assert_eq!(ran.lines()[0], "UNKNOWN - 1 UNK / 0 CRIT / 0 WARN / 0 OK", "{}", ran.told());
        sh(&format!("rm -rf {log_path}; mkdir {log_path}; touch {log_path}/lastlog"));
        server.bkctld(&["check-jails"]).ok();
    }
}

#[apply(as_root)]
fn critical_outranks_unknown_and_the_worst_comes_first() {
    let server = Server::plain();
    for (jail, age) in [("ok", "now"), ("critical", "-9 days"), ("warning", "-30 hours"), ("none", "now")] {
        server.bkctld(&["init", jail]).ok();
        last_login(&server, jail, age);
    }
    fs::remove_file(server.jail("none").join("var/log/lastlog")).unwrap();
    let ran = server.bkctld(&["check-jails"]).exits(2);
    let lines = ran.lines();
    assert_eq!(lines[..2], ["CRITICAL - 1 UNK / 1 CRIT / 1 WARN / 1 OK", ""], "{}", ran.told());
    let words: Vec<_> = lines[2..].iter().map(|line| line.split(" - ").next().unwrap()).collect();
    assert_eq!(words, ["CRITICAL", "WARNING", "UNKNOWN", "OK"]);
    last_login(&server, "critical", "now");
    server.bkctld(&["check-jails"]).exits(1).says("WARNING - 1 UNK / 0 CRIT / 1 WARN / 2 OK");
    last_login(&server, "warning", "now");
    server.bkctld(&["check-jails"]).exits(3).says("UNKNOWN - 1 UNK / 0 CRIT / 0 WARN / 3 OK");
}

#[apply(as_root)]
fn a_policy_of_garbage_is_told_with_its_line_and_the_server_s_thresholds_hold() {
    let server = Server::plain();
    server.bkctld(&["init", "a"]).ok();
    last_login(&server, "a", "-3 days");
    check_policy(&server, "a", b"CRITICAL=foo\n\x1b[2J\xff|\nEXPECTED_STATE=perhaps\n");
    let ran = server.bkctld(&["check-jails"]).exits(2).says("CRITICAL - a - 72 hours (24/48)");
    let ran =
        ran.warns("check_policy:1: CRITICAL: 'foo'").warns("check_policy:2: ").warns("check_policy:3: ");
    assert!(!ran.err().contains('\x1b'), "{}", ran.told());
    // What cannot be read at all leaves the thresholds unknown.
    let policy = server.path("conf/a.d/check_policy");
    fs::File::create(&policy).unwrap().set_len(10 << 30).unwrap();
    server.bkctld(&["check-jails"]).exits(3).says("check_policy is larger than");
    sh(&format!("rm {0}; mkfifo {0}", policy.display()));
    server.bkctld(&["check-jails"]).exits(3).says("not a regular file");
    sh(&format!("rm {}", policy.display()));
    server.bkctld(&["check-jails"]).exits(2).says("72 hours (24/48)");
}

#[apply(as_root)]
fn a_jail_of_the_old_format_is_checked_too() {
    let server = Server::plain();
    write(&server.jail("old").join("var/log/lastlog"), "");
    server.bkctld(&["check-jails"]).ok().says("OK - old - 0 hours (24/48)");
    last_login(&server, "old", "-3 days");
    server.bkctld(&["check-jails"]).exits(2).says("CRITICAL - old - 72 hours (24/48)");
}

#[apply(as_root)]
fn a_server_without_jails_is_well_and_one_without_its_directory_is_not() {
    let server = Server::plain();
    let ran = server.bkctld(&["check-jails"]).ok();
    assert_eq!(ran.out(), "OK - 0 UNK / 0 CRIT / 0 WARN / 0 OK\n\n");
    server.set("JAILDIR", "/nonexistent/jails");
    server.bkctld(&["check-jails"]).exits(3).says("UNKNOWN - cannot read JAILDIR /nonexistent/jails");
    server.bkctld(&["check-jails", "--json"]).exits(3).json();
    server.bkctld(&["check-jails", "a"]).exits(1).silent();
    server.set("JAILDIR", &server.path("backup/jails").display().to_string());
}

#[apply(as_root)]
fn monitoring_understands_the_lines_and_the_performance_data() {
    let server = Server::plain();
    for jail in ["a", "b.c-d", "ok"] {
        server.bkctld(&["init", jail]).ok();
    }
    last_login(&server, "a", "-50 hours");
    let plain = Plugin::parse(&server.bkctld(&["check-jails"]).exits(2));
    assert_eq!((plain.status.as_str(), plain.perfdata.len()), ("CRITICAL", 0));
    let ran = server.bkctld(&["check-jails", "--perfdata"]).exits(2);
    let plugin = Plugin::parse(&ran);
    assert_eq!(plugin.text, plain.text);
    assert_eq!(plugin.long, plain.long);
    let values = |label: &str| plugin.values(label);
    assert_eq!((values("critical"), values("ok")), (vec![1], vec![2]));
    let a = values("age_a");
    assert!((180_000..180_600).contains(&a[0]), "{a:?}");
    assert_eq!(a[1..], [24 * 3600, 48 * 3600, 0]);
    assert!(values("age_b.c-d")[0] < 600);
}

#[apply(as_root)]
fn json_has_what_the_lines_have_and_more() {
    let server = Server::plain();
    for jail in ["a", "b"] {
        server.bkctld(&["init", jail]).ok();
    }
    last_login(&server, "b", "-3 days");
    check_policy(&server, "b", "WARNING=30\nnonsense\n");
    let json = server.bkctld(&["check", "--json"]).exits(2).json();
    assert_eq!(json["command"], "check-jails");
    assert_eq!(json["severity"], "CRITICAL");
    assert_eq!(json["counts"], serde_json::json!({"unknown": 0, "critical": 1, "warning": 0, "ok": 1}));
    let b = &json["findings"][0];
    assert_eq!((&b["jail"], &b["severity"]), (&"b".into(), &"CRITICAL".into()));
    assert_eq!((&b["hours"], &b["warning"], &b["critical"]), (&72.into(), &30.into(), &48.into()));
    assert_eq!((&b["text"], &b["last_push"]), (&"72 hours (30/48)".into(), &serde_json::Value::Null));
    assert!(b["problems"][0].as_str().unwrap().contains("check_policy:2"), "{json}");
}

#[apply(as_root)]
fn a_login_counts_and_one_that_pushes_nothing_is_noted() {
    let server = Server::on(FsKind::Ext4);
    let client = server.started("a");
    last_login(&server, "a", "-3 days");
    server.bkctld(&["check-jails"]).exits(2);
    // An rsync server that never hears of a client.
    client.ssh("rsync --server -logDtpre.iLsfxCIvu . /data").fails();
    let session = server.last_session("a");
    assert_eq!(session["kind"], "rsync-push", "{session}");
    server.bkctld(&["check-jails"]).ok().says("OK - a - 0 hours (24/48), no successful push so far");
    let source = server.path("source");
    write(&source.join("f"), "content");
    client.rsync(&["-a", &format!("{}/", source.display()), "jail:/data/"]).ok();
    let session = server.last_session("a");
    let ran = server.bkctld(&["check-jails"]).ok();
    assert!(ran.lines().contains(&"OK - a - 0 hours (24/48)".to_owned()), "{}", ran.told());
    let json = server.bkctld(&["check-jails", "--json"]).ok().json();
    assert_eq!(json["findings"][0]["last_push"], session["end"], "{json}");
}
