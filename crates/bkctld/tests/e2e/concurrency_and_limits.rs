//! Many clients, many jails, many commands at once.

use std::io::Read;
use std::net::TcpStream;
use std::time::Duration;

use crate::support::run::start;
use crate::support::*;

#[apply(on_each_fs)]
fn twenty_connections_at_once_to_one_jail_are_all_served(fs: FsKind) {
    let server = Server::on(fs);
    let client = server.started("a");
    let source = server.path("source");
    tree::many(&source, 50);
    let running: Vec<_> = (0..20)
        .map(|at| {
            let (from, to) = (format!("{}/", source.display()), format!("jail:/data/{at}"));
            start(client.rsync_command(&["-a", &from, &to]), b"")
        })
        .collect();
    for one in running {
        one.finish().ok();
    }
    let expected = Digest::of(&source);
    for at in 0..20 {
        expected.assert_same(&Digest::of(&server.data("a").join(at.to_string())), "a concurrent push");
    }
}

#[apply(on_each_fs)]
fn one_connection_to_each_of_twenty_jails_is_served(fs: FsKind) {
    let server = Server::on(fs);
    let names: Vec<String> = (0..20).map(|at| format!("j{at}")).collect();
    let made: Vec<_> = names.iter().map(|name| server.begin(&["init", name])).collect();
    for one in made {
        one.finish().ok();
    }
    server.bkctld(&["start", "all"]).ok();
    let clients: Vec<Client> = names.iter().map(|name| Client::new(&server, name)).collect();
    let running: Vec<_> =
        clients.iter().map(|client| client.begin(&format!("echo {} > /data/me", client.port))).collect();
    for one in running {
        one.finish().ok();
    }
    for name in &names {
        assert_eq!(
            std::fs::read_to_string(server.data(name).join("me")).unwrap().trim(),
            server.port(name).to_string()
        );
    }
    server.bkctld(&["inc"]).ok();
    for name in &names {
        server.only_inc(name);
    }
    server.bkctld(&["stop", "all"]).ok();
    assert_eq!(server.processes(), []);
}

#[apply(as_root)]
fn the_one_over_the_limit_is_refused_politely() {
    let server = Server::on(FsKind::Ext4);
    let client = server.started("a");
    let mut held: Vec<_> = (0..20).map(|_| client.hold()).collect();
    assert_eq!(server.active_sessions("a"), 20);
    let mut stream = TcpStream::connect(("127.0.0.1", client.port)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut said = Vec::new();
    stream.read_to_end(&mut said).expect("the connection is closed at once");
    let said = String::from_utf8_lossy(&said);
    assert!(said.contains("too many sessions"), "no word of why: {said:?}");
    // A client shows it to its user.
    client.ssh("true").exits(255).warns("too many sessions");
    for one in &mut held {
        assert!(one.answers(), "a session suffered from the refused one");
    }
    // Another address is not the one that uses its share up.
    run(client.ssh_command(&["-b", "127.0.0.3"], &["true"])).ok();
    held.pop().unwrap().close();
    wait_for("a place is free again", || client.ssh("true").code == 0);
}

#[apply(as_root)]
fn limits_are_set_for_the_server_and_for_a_jail() {
    let server = Server::on(FsKind::Ext4);
    server.set("MAX_SESSIONS", "3");
    server.set("MAX_SESSIONS_PER_SOURCE", "2");
    let client = server.started("a");
    let held = [client.hold(), client.hold()];
    client.ssh("true").exits(255);
    run(client.ssh_command(&["-b", "127.0.0.3"], &["true"])).ok();
    drop(held);
    write(&server.path("conf/a.d/session_policy"), "MAX_SESSIONS=1\nMAX_SESSIONS_PER_SOURCE=1\n");
    server.bkctld(&["reload", "a"]).ok();
    wait_for("the first two are gone", || server.active_sessions("a") == 0);
    let only = client.hold();
    client.ssh("true").exits(255);
    run(client.ssh_command(&["-b", "127.0.0.3"], &["true"])).exits(255);
    only.close();
}

#[apply(as_root)]
fn connections_that_say_nothing_do_not_keep_a_client_out() {
    let server = Server::on(FsKind::Ext4);
    // Not for long, so that the test does not wait for its end.
    server.set("MAX_PENALTY", "5");
    let client = server.started("a");
    let idle: Vec<_> = (0..60).filter_map(|_| TcpStream::connect(("127.0.0.1", client.port)).ok()).collect();
    run(client.ssh_command(&["-b", "127.0.0.3"], &["true"])).ok();
    drop(idle);
    wait_for("their places are free again", || client.ssh("true").code == 0);
}

#[apply(as_root)]
fn two_commands_on_the_same_jail_wait_for_each_other() {
    let server = Server::on(FsKind::Ext4);
    server.init("a");
    tree::many(&server.data("a"), 3000);
    let incs: Vec<_> = (0..3).map(|hour| start(server.command_ahead(hour, &["inc", "a"]), b"")).collect();
    for one in incs {
        one.finish().ok();
    }
    assert_eq!(server.incs("a").len(), 3);
    let expected = Digest::of(&server.jail("a"));
    for inc in server.incs("a") {
        expected.assert_same(&Digest::of(&inc), "one of several incs at once");
    }
    let both = [server.begin(&["start", "a"]), server.begin(&["start", "a"]), server.begin(&["start", "a"])];
    for one in both {
        one.finish().ok();
    }
    server.listener("a");
    let many: Vec<_> = ["stop", "start", "restart", "stop", "start", "reload", "restart", "stop"]
        .iter()
        .map(|command| server.begin(&[command, "a"]))
        .collect();
    for one in many {
        one.finish();
    }
    // Whatever came last, they agree with each other.
    let on = server.bkctld(&["is-on", "a"]).code == 0;
    assert_eq!(server.status("a")["status"], if on { "ON" } else { "OFF" });
    assert_eq!(server.greets(server.port("a")), on);
    server.bkctld(&["-f", "remove", "a"]).ok();
    server.assert_quiet();
}

#[apply(as_root)]
fn the_same_init_twice_at_once_makes_one_jail() {
    let server = Server::on(FsKind::Btrfs);
    let both = [server.begin(&["init", "a"]), server.begin(&["init", "a"]), server.begin(&["init", "a"])];
    let mut codes: Vec<i32> = both.into_iter().map(|one| one.finish().code).collect();
    codes.sort_unstable();
    assert_eq!(codes, [0, 1, 1]);
    server.bkctld(&["start", "a"]).ok();
}

#[apply(as_root)]
fn a_second_rm_lets_the_running_one_finish() {
    let server = Server::on(FsKind::Ext4);
    server.init("a");
    for day in 1..9 {
        tree::many(&server.path(&format!("backup/incs/a/2020-01-0{day}-00")), 2000);
    }
    // `rm` is held in the middle by holding what it holds while it runs.
    let mut command = std::process::Command::new("flock");
    server.environment(&mut command);
    command.arg(server.path("lock/rm.0")).args([crate::support::server::BKCTLD, "-v", "rm"]);
    let second = run(command).ok();
    assert!((second.out() + &second.err()).contains("another rm is running"), "{}", second.told());
    assert_eq!(server.incs("a").len(), 8);
    // One that only looks does so, and counts for none.
    let mut command = std::process::Command::new("flock");
    server.environment(&mut command);
    command.arg(server.path("lock/rm.0")).args([crate::support::server::BKCTLD, "-n", "rm"]);
    let looked = run(command).ok();
    assert!(looked.out().contains("delete a/2020-01-01-00"), "{}", looked.told());
    let both = [server.begin(&["rm"]), server.begin(&["rm"])];
    for one in both {
        one.finish().ok();
    }
    assert!(server.incs("a").is_empty());
}
