//! SIGKILL in the middle of everything.

use std::fs;
use std::time::Duration;

use crate::support::processes::kill;
use crate::support::run::start;
use crate::support::server::{TOOLS, is_inc_name};
use crate::support::*;

/// Demands that everything said about a jail agrees with whether its port answers.
#[track_caller]
fn assert_truth(server: &Server, name: &str) {
    let answers = server.greets(server.port(name));
    let on = server.bkctld(&["is-on", name]).code;
    assert_eq!(on, if answers { 0 } else { 100 }, "is-on, and the port {answers}");
    assert_eq!(server.status(name)["status"], if answers { "ON" } else { "OFF" });
}

/// Demands that beside the incs there are only the records and indexes of these.
#[track_caller]
fn assert_no_leftovers(server: &Server, name: &str) {
    let entries = server.inc_dir_entries(name);
    let belongs = |entry: &str| {
        let inc = entry.trim_start_matches('.').trim_end_matches(".record").trim_end_matches(".index");
        is_inc_name(inc) && entries.iter().any(|entry| entry == inc)
    };
    assert!(entries.iter().all(|entry| belongs(entry)), "what killed runs left was not cleared: {entries:?}");
}

#[apply(on_each_fs)]
fn an_inc_that_is_killed_leaves_no_half_inc_and_the_next_completes(fs: FsKind) {
    let server = Server::on(fs);
    server.init("a");
    tree::many(&server.data("a"), 6000);
    let kinds = server.data("a").join("kinds");
    fs::create_dir(&kinds).unwrap();
    tree::every_kind(&kinds);
    let expected = Digest::of(&server.jail("a"));
    server.settle();
    let mut delay = 2;
    let mut killed_in_the_middle = 0;
    for hour in -11..0 {
        let before = server.incs("a").len();
        let running = start(server.command_ahead(hour, &["inc", "a"]), b"");
        std::thread::sleep(Duration::from_millis(delay));
        killed_in_the_middle += usize::from(running.kill().code != 0);
        delay = delay * 3 / 2 + 3;
        for inc in server.incs("a").into_iter().skip(before) {
            expected.assert_same(&Digest::of(&inc), &format!("an inc killed after {delay} ms"));
        }
    }
    assert!(killed_in_the_middle > 0, "no run was killed in its middle");
    let last = server.take_inc(0, "a");
    expected.assert_same(&Digest::of(&last), "the inc after the killed ones");
    assert_no_leftovers(&server, "a");
}

#[apply(on_each_fs)]
fn an_rm_that_is_killed_is_taken_up_by_the_next(fs: FsKind) {
    let server = Server::on(fs);
    server.init("a");
    tree::many(&server.data("a"), 4000);
    server.settle();
    let mut names = Vec::new();
    for hour in -6..0 {
        names.push(server.take_inc(hour, "a"));
    }
    let keep = server.take_inc(0, "a");
    let digest = Digest::of(&keep);
    // All of them are of days that the policy does not name, but for the last.
    for (at, inc) in names.iter().enumerate() {
        fs::rename(inc, inc.with_file_name(format!("2019-01-0{}-00", at + 1))).unwrap();
    }
    server.policy("a", "+%Y-%m-%d.-0day\n");
    for delay in [3, 8, 15, 25, 40] {
        let running = start(server.command_ahead(0, &["rm", "a"]), b"");
        std::thread::sleep(Duration::from_millis(delay));
        running.kill();
        for inc in server.incs("a") {
            assert_eq!(
                fs::read_dir(inc.join("data")).map(Iterator::count).unwrap_or(0),
                40,
                "{} has its name, but not all of its files",
                inc.display()
            );
        }
    }
    run(server.command_ahead(0, &["rm", "a"])).ok();
    assert_eq!(server.only_inc("a"), keep);
    assert_no_leftovers(&server, "a");
    digest.assert_same(&Digest::of(&keep), "the inc that is kept");
}

#[apply(on_each_fs)]
fn a_killed_listener_comes_back_and_everything_tells_the_truth(fs: FsKind) {
    let server = Server::on(fs);
    let client = server.started("a");
    let listener = server.listener("a");
    kill(listener.pid);
    wait_for("the listener is restarted", || {
        server.greets(client.port) && server.bkctld(&["is-on", "a"]).code == 0
    });
    client.ssh("true").ok();
    assert_truth(&server, "a");
    server.bkctld(&["stop", "a"]).ok();
    assert_eq!(server.processes(), []);
}

#[apply(as_root)]
fn a_listener_and_its_keeper_killed_together_are_off_and_start_again() {
    let server = Server::on(FsKind::Ext4);
    let client = server.started("a");
    let held = client.hold();
    for process in server.processes().into_iter().filter(|process| !process.in_session) {
        kill(process.pid);
    }
    wait_for("the jail is off", || server.bkctld(&["is-on", "a"]).code == 100);
    assert_truth(&server, "a");
    server.bkctld(&["start", "a"]).ok();
    client.ssh("true").ok();
    assert_truth(&server, "a");
    // Sessions of the one before are found as well.
    server.bkctld(&["stop", "a"]).ok();
    assert_eq!(server.processes(), [], "`stop` does not find the sessions of the killed listener");
    held.ended();
}

#[apply(as_root)]
fn a_killed_sshd_takes_its_session_along_and_no_other() {
    let server = Server::on(FsKind::Ext4);
    server.set("JAIL_PROGRAMS", TOOLS);
    let client = server.started("a");
    let first = client.hold();
    let of_first = server.session_processes();
    let mut second = client.hold();
    let sshd = of_first.iter().filter(|process| process.command.contains("sshd"));
    let mut killed = 0;
    for process in sshd {
        kill(process.pid);
        killed += 1;
    }
    assert!(killed > 0, "{of_first:#?}");
    assert_eq!(first.ended(), 255);
    wait_for("the rest of that session is gone", || server.active_sessions("a") == 1);
    assert!(second.answers());
    let last = server.status("a")["sessions"]["last"].clone();
    assert_eq!(last["ending"], "killed", "{last}");
    second.close();
    wait_for("all is gone", || server.session_processes().is_empty());
    assert_truth(&server, "a");
}

#[apply(as_root)]
fn any_process_may_be_killed_and_nothing_strays() {
    let server = Server::on(FsKind::Ext4);
    let client = server.started("a");
    // One after another: each process of a running server, the listener included.
    for victim in 0..8 {
        server.bkctld(&["start", "a"]).ok();
        wait_for("the jail answers", || server.greets(client.port));
        wait_for("earlier sessions are gone", || server.session_processes().is_empty());
        let held = client.hold();
        let all = server.processes();
        let Some(process) = all.get(victim) else { break };
        kill(process.pid);
        drop(held);
        wait_for("no process of the session strays", || server.session_processes().is_empty());
        server.bkctld(&["stop", "a"]).ok();
        assert_eq!(server.processes(), [], "after the end of {process:?}");
        assert_truth(&server, "a");
    }
    server.bkctld(&["start", "a"]).ok();
    client.ssh("true").ok();
}

#[apply(as_root)]
fn a_killed_start_or_stop_can_be_repeated() {
    let server = Server::on(FsKind::Ext4);
    let client = server.init("a");
    for delay in [1, 4, 10, 20, 40, 80] {
        for command in ["start", "stop", "restart"] {
            let running = server.begin(&[command, "a"]);
            std::thread::sleep(Duration::from_millis(delay));
            running.kill();
        }
    }
    server.bkctld(&["restart", "a"]).ok();
    client.ssh("true").ok();
    assert_truth(&server, "a");
    server.bkctld(&["stop", "a"]).ok();
    assert_eq!(server.processes(), []);
    assert_truth(&server, "a");
}

#[apply(as_root)]
fn a_killed_remove_can_be_repeated() {
    let server = Server::on(FsKind::Ext4);
    server.init("b");
    for delay in [2, 6, 12, 25] {
        server.init("a");
        tree::many(&server.data("a"), 2000);
        server.take_inc(0, "a");
        server.bkctld(&["start", "a"]).ok();
        let running = server.begin(&["-f", "remove", "a"]);
        std::thread::sleep(Duration::from_millis(delay));
        running.kill();
        server.bkctld(&["-f", "remove", "a"]).ok();
        assert_eq!(server.bkctld(&["list"]).ok().lines(), ["b"]);
        for gone in ["backup/jails/a", "backup/incs/a", "conf/a.d"] {
            assert!(!server.path(gone).exists(), "{gone} is left");
        }
        let jails = fs::read_dir(server.path("backup/jails")).unwrap().count();
        assert_eq!(jails, 1, "rubbish beside the jails");
        fs::remove_dir_all(server.path("client-a")).unwrap();
    }
}

#[apply(as_root)]
fn a_client_that_disappears_leaves_nothing_behind() {
    let server = Server::on(FsKind::Ext4);
    let client = server.started("a");
    for _ in 0..5 {
        let held = client.hold();
        drop(held); // SIGKILL to ssh
    }
    wait_for("its sessions end", || server.session_processes().is_empty());
    assert_eq!(server.active_sessions("a"), 0);
}
