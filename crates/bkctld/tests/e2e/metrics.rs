//! `metrics`, and the Munin plugin that reads them.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::support::server::BKCTLD;
use crate::support::*;

/// The samples of a text, by name with labels.
fn samples(text: &str) -> BTreeMap<String, f64> {
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| {
            let (name, value) = line.rsplit_once(' ').unwrap();
            (name.to_owned(), value.parse().unwrap())
        })
        .collect()
}

/// Has promtool look at it, the judge that Prometheus itself ships.
fn checked(text: &str) {
    let mut command = Command::new("promtool");
    command.args(["check", "metrics"]);
    if Command::new("promtool").arg("--version").output().is_err() {
        assert!(std::env::var_os("CI").is_none(), "CI runs the whole suite, which needs promtool");
        eprintln!("skipped: there is no promtool (Debian package prometheus)");
        return;
    }
    let ran = run::start(command, text.as_bytes()).finish().ok();
    assert!(ran.err().is_empty() && ran.out().is_empty(), "{}", ran.told());
}

fn plugin(server: &Server, name: &str, arguments: &[&str]) -> Ran {
    let bin = server.path("bin");
    if !bin.exists() {
        fs::create_dir(&bin).unwrap();
        symlink(BKCTLD, bin.join("bkctld")).unwrap();
    }
    let munin = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../munin");
    let mut command = Command::new(munin.join(name));
    server.environment(&mut command);
    command.env("PATH", format!("{}:/usr/bin:/bin", bin.display())).args(arguments);
    run(command)
}

fn values(server: &Server, name: &str) -> Vec<String> {
    plugin(server, name, &[]).ok().lines()
}

#[apply(as_root)]
fn what_prometheus_is_told_is_what_there_is() {
    let server = Server::on(FsKind::Ext4);
    let client = server.started("web");
    server.init("never-used");
    client.rsync(&["-a", &server.path("conf").display().to_string(), "jail:/data/"]).ok();
    server.last_session("web");
    server.bkctld(&["inc"]).ok();
    server.bkctld(&["stats"]).ok();
    let held = client.hold();
    wait_for("the session is seen", || server.active_sessions("web") == 1);
    let text = server.bkctld(&["metrics"]).ok().out();
    checked(&text);
    let found = samples(&text);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
    for (name, value) in [
        ("bkctld_jails", 2.0),
        ("bkctld_jails_on", 1.0),
        ("bkctld_incs", 2.0),
        ("bkctld_rsyncs_running", 0.0),
        ("bkctld_operations_running{operation=\"inc\"}", 0.0),
        ("bkctld_check_status{check=\"last-incs\"}", 0.0),
        ("bkctld_check_status{check=\"canary\"}", 2.0),
        ("bkctld_jail_info{jail=\"web\",port=\"2222\",isolation=\"full\"}", 1.0),
        ("bkctld_jail_on{jail=\"web\"}", 1.0),
        ("bkctld_jail_on{jail=\"never-used\"}", 0.0),
        ("bkctld_jail_problems{jail=\"web\"}", 0.0),
        ("bkctld_jail_sessions_active{jail=\"web\"}", 1.0),
        ("bkctld_jail_last_push_timestamp_seconds{jail=\"never-used\"}", 0.0),
        ("bkctld_jail_push_failing{jail=\"web\"}", 0.0),
        ("bkctld_jail_incs{jail=\"web\"}", 1.0),
        ("bkctld_jail_newest_inc_warnings{jail=\"web\"}", 0.0),
        ("bkctld_jail_check_status{jail=\"web\",check=\"canary\"}", 2.0),
        ("bkctld_jail_retention_rules{jail=\"web\",unit=\"day\"}", 4.0),
    ] {
        assert_eq!(found.get(name), Some(&value), "{name} in:\n{text}");
    }
    for name in ["jail_last_push", "jail_last_connection", "jail_newest_inc", "jail_sizes"] {
        let time = found[&format!("bkctld_{name}_timestamp_seconds{{jail=\"web\"}}")];
        assert!((now - 600.0..=now).contains(&time), "{name} in:\n{text}");
    }
    for name in
        ["last_push_received_bytes", "last_push_duration_seconds", "live_bytes", "live_files", "incs_bytes"]
    {
        assert!(found[&format!("bkctld_jail_{name}{{jail=\"web\"}}")] > 0.0, "{name} in:\n{text}");
    }
    held.close();
    let json = server.bkctld(&["metrics", "--json"]).ok().json();
    assert!(json["metrics"].as_array().unwrap().iter().any(|family| family["name"] == "bkctld_jails"));
}

#[apply(as_root)]
fn a_file_is_replaced_whole_and_readable_for_everyone() {
    let server = Server::on(FsKind::Ext4);
    server.init("a");
    let file = server.path("out/bkctld.prom");
    write(&file, "old");
    let path = file.display().to_string();
    server.bkctld(&["-n", "metrics", &path]).ok().says("would write");
    assert_eq!(fs::read_to_string(&file).unwrap(), "old");
    server.bkctld(&["metrics", &path]).ok().silent();
    let text = fs::read_to_string(&file).unwrap();
    checked(&text);
    assert!(text.contains("bkctld_jail_on{jail=\"a\"} 0\n"), "{text}");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o7777, 0o644);
    assert_eq!(fs::read_dir(server.path("out")).unwrap().count(), 1, "something is left beside the file");
    server
        .bkctld(&["metrics", &server.path("none/bkctld.prom").display().to_string()])
        .refuses(&["cannot write"]);
}

#[apply(as_root)]
fn a_jail_that_is_broken_is_counted_and_the_others_are_told() {
    let server = Server::on(FsKind::Ext4);
    server.init("a");
    server.init("b");
    write(&server.jail("a").join("rootfs/etc/ssh/sshd_config"), "Port x\n");
    let ran = server.bkctld(&["metrics"]).exits(1).warns("jail 'a'");
    checked(&ran.out());
    let found = samples(&ran.out());
    assert!(found["bkctld_jail_problems{jail=\"a\"}"] > 0.0, "{}", ran.told());
    assert_eq!(found["bkctld_jail_problems{jail=\"b\"}"], 0.0, "{}", ran.told());
    assert_eq!(values(&server, "bkctld_jails"), ["jails.value 2", "jails_active.value 0"]);
}

#[apply(as_root)]
fn munin_is_told_what_the_original_told_it() {
    let server = Server::on(FsKind::Ext4);
    let client = server.started("a");
    server.init("b");
    server.bkctld(&["inc"]).ok();
    assert_eq!(values(&server, "bkctld_incs"), ["incs.value 2"]);
    assert_eq!(values(&server, "bkctld_jails"), ["jails.value 2", "jails_active.value 1"]);
    assert_eq!(values(&server, "bkctld_ops"), ["bkctld_rm.value 0", "bkctld_inc.value 0"]);
    assert_eq!(values(&server, "bkctld_rsyncs"), ["rsync.value 0"]);
    for name in ["incs", "jails", "ops", "rsyncs"] {
        let config = plugin(&server, &format!("bkctld_{name}"), &["config"]).ok().out();
        assert!(
            config.contains("graph_title bkctld") && config.contains("graph_category bkctld"),
            "{config}"
        );
        // Each field of the graph has a value, and each value a field.
        let mut fields: Vec<&str> =
            config.lines().filter_map(|line| line.split_once(".label ")).map(|(f, _)| f).collect();
        let shown = values(&server, &format!("bkctld_{name}"));
        let mut valued: Vec<&str> = shown.iter().map(|line| line.split('.').next().unwrap()).collect();
        fields.sort_unstable();
        valued.sort_unstable();
        assert_eq!(fields, valued, "{name}");
    }
    plugin(&server, "bkctld_incs", &["autoconf"]).ok().says("yes");
    plugin(&server, "bkctld_", &["suggest"]).ok().says("rsyncs");
    plugin(&server, "bkctld_", &[]).exits(1).warns("link this plugin");
    // An rsync that waits for its client.
    let mut rsync = client.ssh_command(&[], &["rsync --server -logDtpre.iLsfxCIvu . /data/"]);
    let mut rsync = rsync.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    wait_for("the rsync is counted", || values(&server, "bkctld_rsyncs") == ["rsync.value 1"]);
    drop(rsync.stdin.take());
    rsync.wait().unwrap();
    wait_for("it is gone", || values(&server, "bkctld_rsyncs") == ["rsync.value 0"]);
}

#[apply(as_root)]
fn the_plugin_is_posix_shell() {
    let plugin: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../munin/bkctld_");
    sh(&format!("dash -n {}", plugin.display()));
    if Command::new("shellcheck").arg("--version").output().is_err() {
        eprintln!("skipped: there is no shellcheck");
        return;
    }
    sh(&format!("shellcheck {}", plugin.display()));
}
