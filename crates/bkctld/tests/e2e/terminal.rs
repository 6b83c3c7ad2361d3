//! What a person sees: the program on a real pseudo-terminal.

use std::fs;
use std::process::Command;

use crate::support::server::{BKCTLD, TOOLS};
use crate::support::terminal::{OnTerminal, Shown};
use crate::support::*;

/// Starts `bkctld` on a terminal.
fn begin(server: &Server, args: &[&str]) -> OnTerminal {
    OnTerminal::start(server.command(args))
}

/// Runs `bkctld` on a terminal to its end.
#[track_caller]
fn on_terminal(server: &Server, args: &[&str]) -> Shown {
    begin(server, args).finish()
}

#[apply(as_root)]
fn remove_says_which_incs_go_before_it_is_answered() {
    let server = Server::on(FsKind::Ext4);
    server.bkctld(&["init", "a"]).ok();
    for inc in ["2025-01-31-02", "2026-03-01-02", "2026-02-28-23"] {
        fs::create_dir(server.path("backup/incs/a").join(inc)).unwrap();
    }
    let question = "Are you sure you want to delete jail 'a' and its 3 incs, \
                    from 2025-01-31-02 to 2026-03-01-02? [Y,n,?] ";
    let mut asked = begin(&server, &["remove", "a"]);
    asked.answers(question, "?\n");
    asked.answers("n does nothing", "n\n");
    asked.finish().exits(101);
    server.bkctld(&["-n", "remove", "a"]).ok().says("its 3 incs, from 2025-01-31-02 to 2026-03-01-02,");
    assert!(server.jail("a").is_dir() && server.incs("a").len() == 3);
    fs::remove_dir(server.path("backup/incs/a/2026-02-28-23")).unwrap();
    fs::remove_dir(server.path("backup/incs/a/2026-03-01-02")).unwrap();
    let mut asked = begin(&server, &["remove", "a"]);
    asked.answers("delete jail 'a' and its inc 2025-01-31-02? [Y,n,?] ", "y\n");
    asked.finish().exits(0);
    assert!(!server.jail("a").exists() && server.incs("a").is_empty());
}

#[apply(as_root)]
fn a_question_without_an_answer_is_a_no_that_names_force() {
    let server = Server::on(FsKind::Ext4);
    for name in ["a", "b", "c"] {
        server.bkctld(&["init", name]).ok();
    }
    let ran = server.bkctld(&["remove", "a"]).exits(101).warns("--force").silent();
    // The question ends its line, so that the answer's absence stands on one of its own.
    assert!(
        ran.err().ends_with(
            "\nbkctld: jail 'a' is not deleted: no answer on standard input (--force skips the question)\n"
        ),
        "{}",
        ran.told()
    );
    server.bkctld(&["archive", "a"]).exits(101).warns("jail 'a' is not archived: no answer").warns("--force");
    // With `all` it is said once, and what was agreed to before is done.
    let ran = server.bkctld_reading(b"y\n", &["remove", "all"]).exits(101);
    ran.warns("2 jails are not deleted: no answer on standard input (--force skips the question)");
    assert_eq!(server.bkctld(&["list"]).ok().lines(), ["b", "c"]);
    // On a terminal, an end of input is Ctrl-D.
    let mut asked = begin(&server, &["remove", "b"]);
    asked.answers("[Y,n,?] ", "\u{4}");
    asked.finish().exits(101).shows("jail 'b' is not deleted: no answer");
    // An answer is no surprise.
    let ran = server.bkctld_reading(b"n\n", &["remove", "b"]).exits(101);
    assert!(!ran.err().contains("--force"), "{}", ran.told());
}

#[apply(as_root)]
fn init_says_what_comes_next_in_lines_that_can_be_pasted() {
    let server = Server::on(FsKind::Ext4);
    let shown = on_terminal(&server, &["init", "web01"]).exits(0).shows("jail 'web01' created on port 2222");
    // Such lines are set in.
    let lines: Vec<&str> = shown.screen.iter().filter_map(|line| line.strip_prefix("    ")).collect();
    assert_eq!(lines.len(), 5, "{}", shown.told());
    let client = server.path("client-web01");
    Client::make_key(&server, "web01");
    fs::create_dir(server.path("bin")).unwrap();
    std::os::unix::fs::symlink(BKCTLD, server.path("bin/bkctld")).unwrap();
    let host = host_of(&shown);
    let dir = client.display();
    for line in lines {
        // What is the client's, at its place here; the rest as it stands.
        let line = line
            .replace("ADDRESS", "127.0.0.1")
            .replace("~/.ssh", &dir.to_string())
            .replace("-e 'ssh ", &format!(
                "-e 'ssh -F /dev/null -i {dir}/id -o UserKnownHostsFile={dir}/known_hosts -o BatchMode=yes -o HostKeyAlias=[{host}]:2222 "
            ))
            .replace("/etc /home ", "/etc/hostname ")
            .replace(&format!("root@{host}:"), "root@127.0.0.1:");
        let mut command = Command::new("sh");
        server.environment(&mut command);
        // The lines name the configuration that the jail was made with.
        command.env_remove("BKCTLD_CONFIG");
        command.env("PATH", format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", server.path("bin").display()));
        let input =
            if line.contains(" key ") { fs::read(client.join("id.pub")).unwrap() } else { Vec::new() };
        command.args(["-euc", &line]);
        crate::support::run::start(command, &input).finish().ok();
    }
    assert!(server.data("web01").join("hostname").exists(), "nothing was pushed: {}", shown.told());
    assert_eq!(server.bkctld(&["ip", "web01"]).ok().lines(), ["127.0.0.1"]);
}

#[apply(as_root)]
fn init_on_a_pipe_says_no_more_than_ever() {
    let server = Server::on(FsKind::Ext4);
    let ran = server.bkctld(&["init", "a"]).ok().silent();
    assert!(ran.err().is_empty(), "{}", ran.told());
    let ran = server.bkctld(&["-v", "init", "b"]).ok().silent();
    assert_eq!(ran.err(), "bkctld: jail 'b' created on port 2223\n");
    let shown = on_terminal(&server, &["-q", "init", "c"]).exits(0);
    assert!(shown.screen.is_empty(), "{}", shown.told());
    let shown = on_terminal(&server, &["--json", "init", "d"]).exits(0);
    assert!(!shown.written.contains("rsync"), "{}", shown.told());
    let shown = on_terminal(&server, &["-n", "init", "e"]).exits(0);
    assert_eq!(shown.screen, ["would create jail 'e' on port 2226"], "{}", shown.told());
    // The result goes into a pipe, whoever looks on.
    let mut command = Command::new("sh");
    server.environment(&mut command);
    command.args(["-euc", &format!("{} init f | cat", BKCTLD)]);
    let shown = OnTerminal::start(command).finish().exits(0);
    assert_eq!(shown.screen, ["bkctld: jail 'f' created on port 2226"], "{}", shown.told());
}

#[apply(as_root)]
fn status_of_one_jail_on_a_terminal_is_the_jail_in_full() {
    let server = Server::on(FsKind::Ext4);
    let client = server.started("a");
    server.bkctld(&["init", "b"]).ok();
    let first = on_terminal(&server, &["status", "a"]).exits(0);
    for told in
        ["last session    none", "last good push  none", "sessions        none now", "incs            none"]
    {
        assert!(
            first.screen.iter().any(|line| line.trim() == told),
            "'{told}' is not there: {}",
            first.told()
        );
    }
    server.bkctld(&["ip", "a", "127.0.0.0/8"]).ok();
    write(&server.path("source/file"), "data");
    client.rsync(&["-a", &format!("{}/", server.path("source").display()), "jail:/data/"]).ok();
    server.last_session("a");
    for inc in ["2020-01-01-00", "2020-01-02-00"] {
        fs::create_dir(server.path("backup/incs/a").join(inc)).unwrap();
    }
    let kept = server.take_inc(0, "a");
    let kept = kept.file_name().unwrap().to_str().unwrap();
    let held = client.hold();
    let shown = on_terminal(&server, &["status", "a"])
        .exits(0)
        .shows("jail a")
        .shows("state           on")
        .shows("port            2222")
        .shows("addresses       127.0.0.0/8")
        .shows(&format!("keys            ssh-ed25519 {} a", client.fingerprint()))
        .shows("isolation       full")
        .shows(", from 127.0.0.1: rsync-push, exit status 0, closed, ")
        .shows("last good push  the last session")
        .shows("from 127.0.0.1: command 'echo in; cat'")
        .shows("policy          4 rules by day, 2 by month")
        .shows(&format!("incs            3, from 2020-01-01-00 to {kept}"))
        .shows("rm now          deletes 2: 2020-01-01-00, 2020-01-02-00");
    drop(held);
    let dry = server.bkctld(&["-n", "rm", "a"]).ok().lines();
    let goes = dry.iter().filter(|line| line.starts_with("delete ")).count();
    assert_eq!(goes, 2, "what is shown is what rm does: {} {dry:?}", shown.told());
    // The table is for programs, and errors elsewhere are no program.
    let mut command = Command::new("sh");
    server.environment(&mut command);
    command.args(["-euc", &format!("{BKCTLD} status b 2>/dev/null")]);
    OnTerminal::start(command).finish().exits(0).shows("jail b");
    on_terminal(&server, &["status", "b"])
        .exits(0)
        .shows("state           off; 'bkctld start b' starts it")
        .shows("none, so nobody can log in: bkctld key b FILE");
}

#[apply(as_root)]
fn status_is_the_table_for_scripts_and_for_all_jails() {
    let server = Server::on(FsKind::Ext4);
    for name in ["a", "b"] {
        server.bkctld(&["init", name]).ok();
    }
    let header = "JAIL NAME                     STATUS    PORT      RETENTION (DAY/MONTH)    IP";
    let a = "a                             OFF       2222      4/2                      0.0.0.0/0";
    let b = "b                             OFF       2223      4/2                      0.0.0.0/0";
    assert_eq!(server.bkctld(&["status", "a"]).ok().lines(), [header, a]);
    assert_eq!(server.bkctld(&["--no-header", "status", "a"]).ok().lines(), [a]);
    for args in [&["status"][..], &["status", "all"]] {
        assert_eq!(on_terminal(&server, args).exits(0).screen, [header, a, b]);
        assert_eq!(server.bkctld(args).ok().lines(), [header, a, b]);
    }
    let json = on_terminal(&server, &["--json", "status", "a"]).exits(0);
    assert!(json.written.starts_with("{\"version\""), "{}", json.told());
    on_terminal(&server, &["status", "nobody"]).exits(1).shows("no jail named 'nobody'");
}

#[apply(as_root)]
fn a_jail_that_is_to_be_off_is_told_so() {
    let server = Server::on(FsKind::Ext4);
    server.bkctld(&["init", "a"]).ok();
    write(&server.path("conf/a.d/check_policy"), "EXPECTED_STATE=OFF\n");
    on_terminal(&server, &["status", "a"])
        .exits(0)
        .shows("state           off, as expected (EXPECTED_STATE=OFF");
    // What cannot be read is said, and takes nothing else away.
    fs::remove_file(server.path("conf/a.d/incs_policy")).unwrap();
    fs::create_dir(server.path("conf/a.d/incs_policy")).unwrap();
    fs::create_dir(server.path("backup/incs/a/2026-03-01-02")).unwrap();
    let shown = on_terminal(&server, &["status", "a"])
        .exits(1)
        .shows("incs            1: 2026-03-01-02")
        .shows("rm now          unknown");
    let errors = shown.screen.iter().filter(|line| line.starts_with("bkctld: ")).count();
    assert_eq!(errors, 1, "{}", shown.told());
}

#[apply(as_root)]
fn what_an_old_jail_has_as_its_keys_is_not_opened() {
    let server = Server::on(FsKind::Ext4);
    let old = server.jail("old");
    for dir in ["etc/ssh", "root/.ssh", "var/backup"] {
        fs::create_dir_all(old.join(dir)).unwrap();
    }
    write(&old.join("etc/ssh/sshd_config"), "Port 2300\nAllowUsers root@0.0.0.0/0\n");
    // Whoever opened it would wait for ever.
    sh(&format!("mkfifo {}", old.join("root/.ssh/authorized_keys").display()));
    on_terminal(&server, &["status", "old"])
        .exits(0)
        .shows("port            2300")
        .shows("keys            unknown: the jail has another format")
        .shows("format version 1");
}

#[apply(as_root)]
fn keys_are_asked_for_where_they_are_to_be_typed() {
    let server = Server::on(FsKind::Ext4);
    server.bkctld(&["init", "a"]).ok();
    let key = fs::read_to_string(Client::make_key(&server, "a").join("id.pub")).unwrap();
    let mut typed = begin(&server, &["key", "a", "-"]);
    typed.answers("Ctrl-D on an empty line", &format!("{key}\u{4}"));
    typed.finish().exits(0).shows("jail 'a' has 1 key now");
    assert_eq!(server.bkctld(&["key", "a"]).ok().out(), key);
    let piped = server.bkctld_reading(key.as_bytes(), &["-v", "key", "a", "-"]).ok();
    assert!(!piped.err().contains("Ctrl-D"), "{}", piped.told());
}

#[apply(as_root)]
fn what_a_client_wrote_steers_no_terminal() {
    let server = Server::on(FsKind::Ext4);
    server.set("JAIL_PROGRAMS", TOOLS);
    let client = server.started("a");
    let held = client.begin("echo '\u{1b}]0;owned\u{7}\u{1b}[2J\u{9b}31m\u{202e}' >/dev/null; sleep 60");
    wait_for("the command runs", || server.status("a")["sessions"]["active"][0]["command"].is_string());
    let shown = on_terminal(&server, &["status", "a"]).exits(0).shows("command 'echo ");
    held.kill();
    server.last_session("a");
    let after = on_terminal(&server, &["status", "a"]).exits(0).shows("command 'echo ");
    for shown in [shown, after] {
        let steers = |c: char| (c.is_control() && c != '\r' && c != '\n') || c == '\u{202e}';
        assert!(!shown.written.contains(steers), "{}", shown.told());
    }
}

#[apply(as_root)]
fn a_progress_line_vanishes_and_mixes_with_no_message() {
    let server = Server::on(FsKind::Ext4);
    for name in ["large", "small"] {
        server.bkctld(&["init", name]).ok();
    }
    sh(&format!("cd {} && seq 40000 | xargs touch", server.data("large").display()));
    let shown = on_terminal(&server, &["inc"]).exits(0);
    let drawn = shown.written.contains(" files, ");
    assert!(drawn, "nothing moved while 40,000 files were copied: {}", shown.told());
    assert_eq!(shown.screen.len(), 2, "{}", shown.told());
    for jail in ["small", "large"] {
        let made = |line: &&String| {
            line.starts_with("bkctld: inc ") && line.ends_with(&format!("of jail '{jail}' made"))
        };
        assert_eq!(shown.screen.iter().filter(made).count(), 1, "{}", shown.told());
    }
    sh(&format!("mv {0}/large/20* {0}/large/2020-01-01-00", server.path("backup/incs").display()));
    let shown = on_terminal(&server, &["rm"]).exits(0);
    assert!(shown.screen.iter().all(|line| line.starts_with("bkctld: jail '")), "{}", shown.told());
}

#[apply(as_root)]
fn nothing_is_drawn_for_nothing() {
    let server = Server::on(FsKind::Ext4);
    let shown = on_terminal(&server, &["rm"]).exits(0);
    assert_eq!(shown.written, "", "no jail, no line");
    let shown = on_terminal(&server, &["inc"]).exits(0);
    assert_eq!(shown.written, "", "no jail, no line");
    for name in ["a", "b"] {
        server.bkctld(&["init", name]).ok();
    }
    server.bkctld(&["inc"]).ok();
    let shown = on_terminal(&server, &["rm"]).exits(0);
    assert_eq!(shown.screen.len(), 2, "{}", shown.told());
    for name in ["a", "b"] {
        assert!(
            shown.written.contains(&format!("jail '{name}': 0 incs deleted, 1 kept\r\n")),
            "{}",
            shown.told()
        );
    }
    assert!(!shown.written.contains('\u{1b}'), "drawn for nothing to delete: {}", shown.told());
}

/// The name by which the client is told to reach this server.
fn host_of(shown: &Shown) -> String {
    let line = shown.screen.iter().find(|line| line.contains("root@")).expect("the line of the push");
    let (_, rest) = line.split_once("root@").expect("root@");
    rest.split(':').next().expect("host").to_owned()
}
