//! `--json`: every command, in a shape that stays. Whatever document a test of this suite reads is held against
//! the schema (`Ran::json`).

use crate::support::commands::{assert_each_has_a_line, command_of, every_command};
use crate::support::*;

#[apply(as_root)]
fn every_command_answers_with_one_document_and_nothing_beside_it() {
    let server = Server::on(FsKind::Ext4);
    let client = server.started("a");
    client.ssh("true").ok();
    server.bkctld(&["init", "b"]).ok();
    let key = client.file("id.pub");
    original::old_jail(&server, FsKind::Ext4, "old", 2299);
    server.set("NODE", "192.0.2.9");
    let lines: &[&[&str]] = &[
        &["upgrade-config", "old"],
        &["-n", "convert-v2", "old"],
        &["convert-v2", "old"],
        &["start", "old"],
        &["jail-version", "old"],
        &["status"],
        &["status", "a"],
        &["status", "all"],
        &["list"],
        &["report"],
        &["stats"],
        &["metrics"],
        &["log", "a"],
        &["key", "a"],
        &["key", "a", &key],
        &["port", "a"],
        &["port", "b", "auto"],
        &["port", "b", "5000"],
        &["ip", "a"],
        &["ip", "b", "192.0.2.1"],
        &["client", "a", "backup.example.org"],
        &["is-on", "a"],
        &["inc"],
        &["inc", "b"],
        &["inc-lock", "all"],
        &["inc-unlock", "a"],
        &["check-jails"],
        &["check-incs"],
        &["check-canary"],
        &["check-setup"],
        &["rm"],
        &["reload", "a"],
        &["restart", "a"],
        &["update", "all"],
        &["init", "c"],
        &["-f", "remove", "c"],
        &["sync", "a"],
        &["stop", "all"],
        &["firewall", "all"],
        &["rename", "b", "d"],
        &["-n", "archive", "d"],
        &["-f", "archive", "d"],
    ];
    assert_each_has_a_line(&every_command(), lines);
    for line in lines {
        let ran = server.bkctld(&[&["--json"], *line].concat());
        let command = command_of(line);
        // A check ends with its severity; the other server cannot be reached.
        let may_fail = command.starts_with("check-") || command == "sync";
        assert!(ran.code == 0 || may_fail, "{}", ran.told());
        let json = ran.json();
        assert_eq!((&json["version"], &json["command"]), (&1.into(), &command.into()), "{}", ran.told());
        assert!(ran.out().ends_with('\n'), "{}", ran.told());
    }
}

#[apply(as_root)]
fn dry_runs_and_plans_are_told_in_json() {
    let server = Server::on(FsKind::Ext4);
    server.init("a");
    server.policy("a", "+%Y-%m-%d.-0day\n");
    write(&server.path("backup/incs/a/2020-01-01-00/f"), "x");
    let json = server.bkctld(&["--json", "-n", "rm"]).ok().json();
    let text = json.to_string();
    assert!(text.contains("2020-01-01-00"), "{text}");
    assert!(server.path("backup/incs/a/2020-01-01-00").exists());
    let json = server.bkctld(&["--json", "-n", "inc"]).ok().json();
    assert_eq!(json["results"][0]["outcome"], "would", "{json}");
    let json = server.bkctld(&["--json", "inc"]).ok().json();
    assert_eq!(json["results"][0]["jail"], "a");
    assert_eq!(json["results"][0]["outcome"], "done", "{json}");
    let json = server.bkctld(&["--json", "inc"]).ok().json();
    assert_eq!(json["results"][0]["outcome"], "skipped", "{json}");
}

#[apply(as_root)]
fn failures_are_in_the_json_and_in_the_exit_code() {
    let server = Server::on(FsKind::Ext4);
    for name in ["a", "b"] {
        server.init(name);
        server.policy(name, "+%Y-%m-%d.-0day\n");
    }
    server.policy("a", "nonsense\n");
    let ran = server.bkctld(&["--json", "rm"]).exits(1);
    let json = ran.json();
    let results = json["results"].as_array().unwrap();
    let of =
        |name: &str| results.iter().find(|result| result["jail"] == name).unwrap_or_else(|| panic!("{json}"));
    assert_eq!(of("a")["outcome"], "failed");
    assert!(of("a")["message"].as_str().unwrap().contains("incs_policy:1"), "{json}");
    assert_ne!(of("b")["outcome"], "failed");
    // An error before there is a result: not half a JSON document.
    let ran = server.bkctld(&["--json", "port", "a", "0"]).exits(1);
    if !ran.stdout.is_empty() {
        ran.json();
    }
    let off = server.bkctld(&["--json", "is-on", "a"]).exits(100);
    off.json();
}

#[apply(as_root)]
fn a_failure_in_json_has_its_kind_its_place_and_what_to_do() {
    let server = Server::on(FsKind::Ext4);
    server.init("a");
    let failed = |args: &[&str], code| {
        let result = server.bkctld(&[&["--json"], args].concat()).exits(code).json()["results"][0].clone();
        assert_eq!(result["outcome"], "failed");
        // The line for people has all of it.
        let message = result["message"].as_str().unwrap().to_owned();
        let (words, hint) = (result["error"]["message"].as_str().unwrap(), result["error"]["hint"].as_str());
        assert!(message.contains(words), "{result}");
        assert!(message.ends_with(&format!("({})", hint.unwrap())), "{result}");
        result["error"].clone()
    };
    let error = failed(&["ip", "a", "-192.0.2.1"], 1);
    assert_eq!((&error["kind"], &error["path"]), (&"refused".into(), &serde_json::Value::Null));
    let config = server.jail("a").join("rootfs/etc/ssh/sshd_config");
    let text = std::fs::read_to_string(&config).unwrap().replace("AllowUsers", "#AllowUsers");
    write(&config, &text);
    let error = failed(&["ip", "a", "192.0.2.1"], 1);
    assert_eq!(error["kind"], "bad-file");
    assert_eq!(error["path"], config.to_str().unwrap());
    assert_eq!(error["hint"], "add 'AllowUsers root@0.0.0.0/0'");
    write(&server.jail("a").join("version"), "1\n");
    let error = failed(&["ip", "a", "192.0.2.1"], 3);
    assert_eq!((&error["kind"], &error["jail"]), (&"wrong-format".into(), &"a".into()));
}

#[apply(as_root)]
fn status_has_what_monitoring_wants() {
    let server = Server::on(FsKind::Ext4);
    server.started("on");
    server.init("off");
    server.bkctld(&["ip", "off", "192.0.2.0/24"]).ok();
    let on = server.status("on");
    assert_eq!((&on["name"], &on["status"], &on["port"]), (&"on".into(), &"ON".into(), &2222.into()));
    assert_eq!(on["isolation"], "full");
    assert!(
        on["retention"]["days"].as_u64().unwrap() >= 4 && on["retention"]["months"].as_u64().unwrap() >= 1,
        "{on}"
    );
    let off = server.status("off");
    assert_eq!((&off["status"], &off["addresses"][0]), (&"OFF".into(), &"192.0.2.0/24".into()));
}
