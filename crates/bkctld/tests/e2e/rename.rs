//! `rename`: all that belongs to a jail, or nothing; and after an interruption, the rest.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use crate::support::strace::killed_at_each;
use crate::support::*;

/// A jail that has one of everything that is renamed.
fn jail_with_everything(server: &Server, name: &str) {
    write(&server.data(name).join("kept"), "kept\n");
    tree::every_kind(&server.data(name));
    symlink(format!("{name}.d/incs_policy"), server.path("conf").join(name)).unwrap();
    write(&server.path("state/sessions").join(name).join("ssh.log"), "a line\n");
}

/// Demands that nothing on this server bears the name any more.
#[track_caller]
fn assert_gone(server: &Server, name: &str) {
    let left = sh(&format!(
        "cd {} && find backup/jails backup/incs conf state rules -mindepth 1 -maxdepth 2 \
         \\( -name {name} -o -name {name}.d -o -name '.*{name}' \\) 2>/dev/null || true",
        server.path("").display()
    ));
    assert_eq!(left, "", "this is left of '{name}'");
    let rules = fs::read_to_string(server.path("rules")).unwrap();
    assert!(!rules.lines().any(|line| line.ends_with(&format!("#{name}"))), "{rules}");
}

/// Demands that everything is there under this name.
#[track_caller]
fn assert_whole(server: &Server, name: &str, incs: usize) {
    assert_eq!(fs::read_to_string(server.data(name).join("kept")).unwrap(), "kept\n");
    assert_eq!(server.incs(name).len(), incs, "incs of '{name}'");
    let conf = server.path("conf");
    assert_eq!(fs::read_link(conf.join(name)).unwrap(), Path::new(&format!("{name}.d/incs_policy")));
    assert!(fs::read_to_string(conf.join(name)).unwrap().contains("day"), "the link leads to no policy");
    assert!(conf.join(format!("{name}.d/check_policy")).exists());
    assert!(server.path("state/sessions").join(name).join("ssh.log").exists());
    let rules = fs::read_to_string(server.path("rules")).unwrap();
    assert_eq!(rules.lines().filter(|line| line.ends_with(&format!("#{name}"))).count(), 1, "{rules}");
}

fn with_rules_file(fs: FsKind) -> Server {
    let server = Server::on(fs);
    server.set("FIREWALL_RULES", &server.path("rules").display().to_string());
    server
}

#[apply(on_each_fs)]
fn all_that_belongs_to_a_jail_is_renamed(fs: FsKind) {
    let server = with_rules_file(fs);
    let client = server.started("a");
    jail_with_everything(&server, "a");
    server.settle();
    server.take_inc(-1, "a");
    client.ssh("true").ok();
    server.last_session("a");
    let before = server.digests("a").remove(0).1;
    let ran = server.bkctld(&["-v", "rename", "a", "b"]).ok();
    ran.warns("jail 'a' renamed to 'b'");
    assert_gone(&server, "a");
    assert_whole(&server, "b", 1);
    before.assert_same(&Digest::of(&server.only_inc("b")), "the inc");
    assert_eq!(server.bkctld(&["list"]).ok().lines(), ["b"]);
    server.bkctld(&["is-on", "b"]).ok();
    server.bkctld(&["is-on", "a"]).exits(2);
    // Same port, same host keys: the client notices nothing.
    client.ssh("true").ok();
    server.bkctld(&["log", "b"]).ok().says("Accepted");
    assert!(!server.last_session("b").is_null());
    // Unchanged files are shared with the inc from before.
    let json = server.bkctld(&["--json", "inc", "b"]).ok().json();
    let counts = &json["results"][0]["record"]["counts"];
    if fs == FsKind::Btrfs {
        assert_eq!(json["results"][0]["record"]["backend"], "snapshot", "{json}");
    } else {
        assert!(counts["linked"].as_u64().unwrap() > 10, "{json}");
    }
}

#[apply(as_root)]
fn a_name_that_cannot_be_given_changes_nothing() {
    let server = with_rules_file(FsKind::Ext4);
    let client = server.started("a");
    jail_with_everything(&server, "a");
    server.init("b");
    write(&server.path("backup/incs/old/2020-01-01-00/f"), "x");
    write(&server.path("conf/conf.d/incs_policy"), "x");
    let before = Digest::of(&server.path("conf"));
    for (args, code, word) in [
        (["nobody", "c"], 2, "nobody"),
        (["a", "b"], 2, "jail exists already"),
        (["a", "old"], 2, "incs exists already"),
        (["a", "conf"], 2, "configuration exists already"),
        (["a", "a"], 1, "has that name already"),
        (["a", ".."], 1, ".."),
        (["a", "x/y"], 1, "x/y"),
        (["a", "all"], 1, "all"),
        (["all", "c"], 1, "all"),
        (["a", "-x"], 1, "-x"),
    ] {
        let ran = server.bkctld(&["rename", args[0], args[1]]).exits(code);
        ran.warns(word);
    }
    let dry = server.bkctld(&["-n", "rename", "a", "c"]).ok();
    let dry = dry.says("would rename jail 'a' to 'c'").says("/jails/a to ").says("/conf/a.d to ").out();
    assert_eq!(dry.lines().count(), 6, "{dry}");
    server.bkctld(&["-n", "rename", "a", "b"]).exits(2);
    before.assert_same(&Digest::of(&server.path("conf")), "the configuration");
    assert_eq!(server.bkctld(&["list"]).ok().lines(), ["a", "b"]);
    client.ssh("true").ok();
}

#[apply(as_root)]
fn a_jail_that_is_off_stays_off_and_json_tells_what_was_renamed() {
    let server = with_rules_file(FsKind::Ext4);
    server.init("a");
    let json = server.bkctld(&["-n", "--json", "rename", "a", "b"]).ok().json();
    assert_eq!(json["results"][0]["outcome"], "would");
    let json = server.bkctld(&["--json", "rename", "a", "b"]).ok().json();
    let result = &json["results"][0];
    assert_eq!(
        (&result["jail"], &result["to"], &result["outcome"]),
        (&"a".into(), &"b".into(), &"done".into())
    );
    let what: Vec<_> =
        result["steps"].as_array().unwrap().iter().map(|step| step["what"].as_str().unwrap()).collect();
    assert_eq!(what, ["jail", "incs", "configuration"]);
    server.bkctld(&["is-on", "b"]).exits(100);
}

#[apply(as_root)]
fn a_policy_at_its_old_place_is_renamed_whatever_it_is() {
    let server = with_rules_file(FsKind::Ext4);
    server.init("a");
    let conf = server.path("conf");
    fs::rename(conf.join("a.d/incs_policy"), conf.join("a")).unwrap();
    // Records of a name that no jail has are in nobody's way.
    write(&server.path("state/sessions/b/ssh.log"), "of another\n");
    write(&server.path("state/sessions/a/ssh.log"), "of this one\n");
    server.bkctld(&["rename", "a", "b"]).ok();
    assert!(!conf.join("a").exists() && conf.join("b").is_file());
    assert_eq!(fs::read_to_string(server.path("state/sessions/b/ssh.log")).unwrap(), "of this one\n");
    server.bkctld(&["inc"]).ok();
    assert_eq!(server.incs("b").len(), 1, "the policy is not found");
    // A link with a whole path, and one to somewhere else.
    fs::rename(conf.join("b"), conf.join("b.d/incs_policy")).unwrap();
    symlink(conf.join("b.d/incs_policy"), conf.join("b")).unwrap();
    server.bkctld(&["rename", "b", "c"]).ok();
    assert_eq!(fs::read_link(conf.join("c")).unwrap(), conf.join("c.d/incs_policy"));
    fs::remove_file(conf.join("c")).unwrap();
    symlink("../shared-policy", conf.join("c")).unwrap();
    server.bkctld(&["rename", "c", "d"]).ok();
    assert_eq!(fs::read_link(conf.join("d")).unwrap(), Path::new("../shared-policy"));
}

#[apply(as_root)]
fn a_command_that_has_waited_brings_nothing_of_the_old_name_back() {
    let server = with_rules_file(FsKind::Ext4);
    server.init("a");
    server.take_inc(-1, "a");
    server.bkctld(&["stop", "a"]).ok();
    let held = fs::File::create(server.path("lock/a.jail")).unwrap();
    held.lock().unwrap();
    let waits = |pid: u32| {
        let locks = fs::read_to_string("/proc/locks").unwrap();
        let pid = pid.to_string();
        locks.lines().any(|line| line.contains("->") && line.split_whitespace().any(|word| word == pid))
    };
    let waiting: Vec<_> = [&["start", "a"][..], &["restart", "a"], &["update", "a"], &["-f", "remove", "a"]]
        .map(|args| server.begin(args))
        .into_iter()
        .collect();
    for one in &waiting {
        wait_for("the command waits", || waits(one.child.id()));
    }
    // As a rename or an archive does it.
    fs::rename(server.jail("a"), server.path("backup/away")).unwrap();
    drop(held);
    for one in waiting {
        one.finish().exits(2);
    }
    assert!(!server.jail("a").exists());
    assert_eq!(server.incs("a").len(), 1);
    fs::rename(server.path("backup/away"), server.jail("a")).unwrap();
}

#[apply(as_root)]
fn running_sessions_are_ended_and_that_is_said() {
    let server = with_rules_file(FsKind::Ext4);
    let client = server.started("a");
    let mut held = client.hold();
    server.bkctld(&["-n", "rename", "a", "b"]).ok().warns("1 session is ended");
    assert!(held.answers());
    let json = server.bkctld(&["--json", "rename", "a", "b"]).ok();
    assert_eq!(json.json()["results"][0]["sessions_ended"], 1);
    json.warns("1 session is ended");
    held.ended();
    assert_eq!(server.last_session("b")["ending"], "stopped");
}

#[apply(as_root)]
fn a_step_that_fails_is_told_and_the_rest_is_done_by_the_next_run() {
    let server = with_rules_file(FsKind::Ext4);
    let client = server.started("a");
    jail_with_everything(&server, "a");
    server.take_inc(-1, "a");
    // A mount point cannot be renamed.
    let place = |below: &str| server.path(below).display().to_string();
    let conf = place("conf/a.d");
    sh(&format!("mount --bind {conf} {conf}"));
    let ran = server.bkctld(&["rename", "a", "b"]).refuses(&["a.d", "bkctld rename a b"]);
    assert!(!ran.err().contains("No such"), "{}", ran.told());
    let text = "CRITICAL - an interrupted command has to be run again: 'bkctld rename a b'";
    server.bkctld(&["check-setup"]).exits(2).says(text);
    // Neither another name nor a new jail gets between.
    server.bkctld(&["rename", "a", "c"]).refuses(&["bkctld rename a b"]);
    server.bkctld(&["init", "a"]).refuses(&["bkctld rename a b"]);
    // Without its policy no inc is made, and none is deleted.
    server.bkctld(&["inc"]).ok();
    server.bkctld(&["rm"]).ok();
    assert_eq!(server.incs("b").len(), 1);
    sh(&format!("umount {conf}"));
    server.bkctld(&["rename", "a", "b"]).ok();
    assert_gone(&server, "a");
    assert_whole(&server, "b", 1);
    client.ssh("true").ok();
    // The first step: all is as it was.
    let jail = place("backup/jails/b");
    sh(&format!("mount --bind {jail} {jail}"));
    server.bkctld(&["rename", "b", "c"]).refuses(&["jails/b"]);
    sh(&format!("umount {jail}"));
    assert_whole(&server, "b", 1);
    client.ssh("true").ok();
}

#[apply(as_root)]
fn a_rename_that_is_killed_at_any_step_is_finished_by_the_next() {
    let server = with_rules_file(FsKind::Btrfs);
    server.init("a");
    jail_with_everything(&server, "a");
    server.take_inc(-1, "a");
    let killed = killed_at_each(&server, &["rename", "a", "b"], |what| {
        let half = server.jail("a").exists() || server.path("backup/jails/.rename-a").exists();
        server.bkctld(&["rename", "a", "b"]).exits(if half { 0 } else { 2 });
        assert_gone(&server, "a");
        assert_whole(&server, "b", 1);
        assert!(
            fs::read_dir(server.path("backup/jails")).unwrap().count() == 1,
            "{what}: rubbish beside the jail"
        );
        server.bkctld(&["rename", "b", "a"]).ok();
        assert_whole(&server, "a", 1);
    });
    assert!(killed > 20, "only {killed} steps");
}

#[apply(as_root)]
fn a_jail_that_was_on_is_on_after_a_rename_that_was_killed() {
    let server = with_rules_file(FsKind::Ext4);
    let client = server.started("a");
    jail_with_everything(&server, "a");
    let killed = killed_at_each(&server, &["rename", "a", "b"], |what| {
        if server.jail("a").exists() || server.path("backup/jails/.rename-a").exists() {
            server.bkctld(&["rename", "a", "b"]).ok();
        }
        assert_eq!(server.bkctld(&["is-on", "b"]).code, 0, "{what}");
        server.bkctld(&["rename", "b", "a"]).ok();
        assert!(server.greets(client.port), "{what}");
    });
    assert!(killed > 20, "only {killed} steps");
    assert_whole(&server, "a", 0);
}
