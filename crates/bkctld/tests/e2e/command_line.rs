//! Options, help, exit codes.

use std::collections::BTreeSet;
use std::os::unix::fs::symlink;
use std::process::Command;

use crate::support::commands::{command_of, every_command};
use crate::support::server::BKCTLD;
use crate::support::*;

#[apply(as_root)]
fn help_lists_every_command_with_its_usage_and_one_line() {
    let server = Server::plain();
    let help = server.bkctld(&["--help"]).ok();
    for command in every_command() {
        let described = help.out().lines().any(|line| {
            let mut words = line.split_whitespace();
            words.next() == Some(&command) && words.count() >= 2
        });
        assert!(described, "no line for '{command}': {}", help.told());
    }
    for option in ["--force", "--no-header", "--json", "--dry-run", "--config", "--version", "-q", "-v", "-?"]
    {
        assert!(help.out().contains(option), "{option} is not in the help");
    }
    for spelling in ["-h", "-?"] {
        assert_eq!(server.bkctld(&[spelling]).ok().out(), help.out());
    }
}

#[apply(as_root)]
fn help_of_one_command_is_a_success() {
    let server = Server::plain();
    for command in every_command() {
        let help = server.bkctld(&[&command, "--help"]).ok();
        assert!(help.out().contains(&command) && help.out().contains("Usage"), "{}", help.told());
    }
}

#[apply(as_root)]
fn version_and_licence_are_told() {
    let server = Server::plain();
    for option in ["-V", "--version"] {
        let ran = server.bkctld(&[option]).ok().says(env!("CARGO_PKG_VERSION")).says("AGPL");
        assert!(ran.err().is_empty(), "{}", ran.told());
    }
}

#[apply(as_root)]
fn wrong_usage_is_exit_1_with_six_lines_at_most_on_stderr() {
    let server = Server::plain();
    let general = "Usage: bkctld [options] <command>";
    let wrong: [(&[&str], &str, &str); 12] = [
        (&[], "no command given", general),
        (&["no-such-command"], "no-such-command", general),
        (&["stauts"], "status", general),
        (&["init"], "JAIL", "Usage: bkctld [options] init JAIL\n"),
        (&["init", "a", "b"], "'b'", "Usage: bkctld [options] init JAIL\n"),
        (&["--no-such-option", "list"], "--no-such-option", general),
        (&["list", "--jason"], "--json", "Usage: bkctld [options] list\n"),
        (&["is-on"], "JAIL", "Usage: bkctld [options] is-on JAIL\n"),
        (&["port"], "JAIL", "Usage: bkctld [options] port JAIL [N|auto]\n"),
        (&["list", "--config"], "--config", general),
        (&["remove"], "JAIL|all", "Usage: bkctld [options] remove JAIL|all\n"),
        (&["li\u{1b}st", "\n\n\n\n\n\n\n"], "li\\u{1b}st", general),
    ];
    for (args, names, usage) in wrong {
        let ran = server.bkctld(args).exits(1).silent().warns(names).warns(usage).warns("--help");
        let said = ran.err();
        assert!(said.starts_with("bkctld: ") && said.lines().count() <= 6, "{}", ran.told());
    }
    assert!(std::fs::read_dir(server.path("backup/jails")).unwrap().next().is_none());
}

#[apply(as_root)]
fn options_are_taken_before_and_after_the_command() {
    let server = Server::on(FsKind::Ext4);
    server.bkctld(&["init", "a"]).ok();
    let before = server.bkctld(&["--json", "--no-header", "status", "a"]).ok();
    let between = server.bkctld(&["status", "--json", "a", "--no-header"]).ok();
    assert_eq!(before.json(), between.json());
    server.bkctld(&["remove", "nobody", "--force"]).ok();
    server.bkctld(&["-f", "remove", "nobody"]).ok();
    server.bkctld(&["remove", "-f", "nobody"]).ok();
    let other = server.path("other.conf");
    write(&other, "BACKUP_PARTITION=/nonexistent\nJAILDIR=/nonexistent/jails\n");
    for args in [["--config", other.to_str().unwrap(), "list"], ["list", "--config", other.to_str().unwrap()]]
    {
        server.bkctld(&args).fails();
    }
}

#[apply(as_root)]
fn variables_of_the_environment_stand_for_options() {
    let server = Server::on(FsKind::Ext4);
    server.bkctld(&["init", "a"]).ok();
    let with = |name: &str, value: &str, args: &[&str]| {
        let mut command = server.command(args);
        command.env(name, value);
        run(command)
    };
    with("DRY_RUN", "1", &["-f", "remove", "a"]).ok();
    assert!(server.jail("a").is_dir(), "DRY_RUN=1 was not heard");
    with("FORCE", "0", &["remove", "a"]).fails();
    with("FORCE", "1", &["remove", "a"]).ok();
    assert!(!server.jail("a").exists(), "FORCE=1 was not heard");
}

#[apply(as_root)]
fn dry_run_says_what_would_be_done_and_changes_nothing() {
    let server = Server::on(FsKind::Btrfs);
    let client = server.started("a");
    server.take_inc(-3, "a");
    original::old_jail(&server, FsKind::Btrfs, "old", 2299);
    server.set("FIREWALL", "nftables");
    let metrics = server.path("metrics.prom").display().to_string();
    let state = || {
        let backup = Digest::of(&server.backup());
        (backup, Digest::of(&server.path("conf")))
    };
    let before = state();
    let key = client.file("id.pub");
    let changing: &[&[&str]] = &[
        &["init", "b"],
        &["update", "a"],
        &["remove", "a"],
        &["start", "a"],
        &["stop", "a"],
        &["reload", "a"],
        &["restart", "a"],
        &["key", "a", &key],
        &["port", "a", "4000"],
        &["port", "a", "auto"],
        &["ip", "a", "192.0.2.1"],
        &["inc"],
        &["rm"],
        &["inc-lock", "all"],
        &["inc-unlock", "a"],
        &["rename", "a", "z"],
        &["archive", "a"],
        &["firewall", "a"],
        &["upgrade-config", "old"],
        &["convert-v2", "old"],
        &["metrics", &metrics],
    ];
    let rehearsed: BTreeSet<&str> = changing.iter().map(|line| command_of(line)).collect();
    let not_rehearsed: Vec<String> = every_command()
        .into_iter()
        .filter(|command| schema::acts_on_jails(command) && !rehearsed.contains(command.as_str()))
        .collect();
    // That needs another server: `sync::a_rehearsal_lists_what_would_change_and_changes_nothing`.
    assert_eq!(not_rehearsed, ["sync"]);
    for &args in changing {
        let mut all = vec!["-n"];
        all.extend(args);
        server.bkctld(&all).ok();
        all[0] = "--dry-run";
        let ran = server.bkctld(&all).ok();
        assert!(!ran.stdout.is_empty() || !ran.stderr.is_empty(), "says nothing: {}", ran.told());
    }
    let after = state();
    before.0.assert_same(&after.0, "backup partition after dry runs");
    before.1.assert_same(&after.1, "configuration after dry runs");
    assert!(!server.path("metrics.prom").exists());
    server.bkctld(&["is-on", "a"]).ok();
    // Where the real thing would fail, so does the rehearsal.
    server.bkctld(&["-n", "init", "a"]).exits(1);
    server.bkctld(&["-n", "remove", "nobody"]).exits(2);
    server.bkctld(&["-n", "port", "a", "0"]).exits(1);
}

#[apply(as_root)]
fn quiet_says_nothing_but_errors_and_verbose_says_more() {
    let server = Server::on(FsKind::Ext4);
    let quiet = server.bkctld(&["-q", "init", "a"]).ok().silent();
    assert!(quiet.err().is_empty(), "{}", quiet.told());
    server.bkctld(&["-q", "init", "a"]).refuses(&["exists"]);
    let normal = server.bkctld(&["init", "b"]).ok();
    let verbose = server.bkctld(&["-v", "init", "c"]).ok();
    let said = |ran: &Ran| ran.stdout.len() + ran.stderr.len();
    assert!(said(&verbose) >= said(&normal), "{}", verbose.told());
}

#[apply(as_root)]
fn a_closed_pipe_is_no_panic() {
    let server = Server::plain();
    for args in ["--help", "list", "status"] {
        let mut command = Command::new("sh");
        server.environment(&mut command);
        command.args(["-c", &format!("{BKCTLD} {args} | true")]);
        let ran = run(command).ok();
        assert!(!ran.err().contains("panicked"), "{}", ran.told());
    }
}

#[apply(as_root)]
fn an_ordinary_user_is_told_so_in_one_line() {
    let server = Server::plain();
    let copy = server.path("bkctld");
    write_program(&copy, std::fs::read(BKCTLD).unwrap());
    sh(&format!("chmod 755 {}", server.path("").display()));
    for args in [&["list"][..], &["status"], &["init", "a"], &["rm"]] {
        let mut command = Command::new("setpriv");
        server.environment(&mut command);
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(&copy).args(args);
        run(command).refuses(&["root"]).silent();
    }
}

#[apply(as_root)]
fn the_old_entry_points_are_the_commands() {
    let server = Server::on(FsKind::Ext4);
    std::fs::create_dir(server.path("lib")).unwrap();
    let old = |name: &str, args: &[&str]| {
        let link = server.path("lib").join(name);
        if !link.exists() {
            symlink(BKCTLD, &link).unwrap();
        }
        let mut command = Command::new(&link);
        server.environment(&mut command);
        command.args(args);
        run(command)
    };
    old("bkctld-init", &["a"]).ok();
    assert_eq!(old("bkctld-list", &[]).ok().lines(), ["a"]);
    old("bkctld-is-on", &["a"]).exits(100);
    old("bkctld-is-on", &["nobody"]).exits(2);
    assert_eq!(old("bkctld-port", &["a"]).ok().out().trim(), "2222");
    let mut forced = Command::new(server.path("lib/bkctld-remove"));
    symlink(BKCTLD, server.path("lib/bkctld-remove")).unwrap();
    server.environment(&mut forced);
    run({
        forced.env("FORCE", "1").arg("a");
        forced
    })
    .ok();
    assert!(!server.jail("a").exists());
}
