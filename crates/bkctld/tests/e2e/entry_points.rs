//! `/usr/lib/bkctld`: the programs and the file that scripts of the original call and source.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::server::BKCTLD;
use crate::support::*;

/// `/usr/lib/bkctld` and `/usr/sbin/bkctld` below this server's directory, made as for a package.
fn install(server: &Server) -> PathBuf {
    let root = server.path("root");
    fs::create_dir_all(root.join("usr/sbin")).unwrap();
    std::os::unix::fs::symlink(BKCTLD, root.join("usr/sbin/bkctld")).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/entry-points");
    let mut command = Command::new(script);
    server.environment(&mut command);
    run({
        command.args([Path::new(BKCTLD), &root]);
        command
    })
    .ok();
    root.join("usr/lib/bkctld")
}

fn call(server: &Server, program: &Path, args: &[&str]) -> Ran {
    let mut command = Command::new(program);
    server.environment(&mut command);
    command.args(args);
    run(command)
}

#[apply(as_root)]
fn every_command_has_an_entry_point_that_is_the_command() {
    let server = Server::plain();
    let dir = install(&server);
    let help = server.bkctld(&["--help"]).ok();
    let out = help.out();
    let listed: Vec<&str> = out
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty())
        // Titles of groups are set in less.
        .filter(|line| line.starts_with("  "))
        .map(|line| line.split_whitespace().next().unwrap())
        .collect();
    assert!(listed.len() > 16, "{listed:?}");
    for command in &listed {
        let point = dir.join(format!("bkctld-{command}"));
        call(&server, &point, &["--help"]).ok().says(&format!("Usage: bkctld [options] {command}"));
    }
    // Those of the original that its users' scripts call.
    for name in
        ["init", "is-on", "key", "list", "reload", "start", "status", "stop", "inc-lock", "check-last-incs"]
    {
        assert!(dir.join(format!("bkctld-{name}")).exists(), "no bkctld-{name}");
    }
    let found = fs::read_dir(&dir).unwrap().count();
    assert_eq!(found, listed.len() + 2, "one for each command, check-last-incs and includes");
    // Made again over an older version's, they are the same.
    std::os::unix::fs::symlink("../../sbin/bkctld", dir.join("bkctld-of-old")).unwrap();
    fs::write(dir.join("bkctld-mine"), "a file of the administrator's").unwrap();
    fs::remove_file(server.path("root/usr/sbin/bkctld")).unwrap();
    install(&server);
    assert!(fs::symlink_metadata(dir.join("bkctld-of-old")).is_err() && dir.join("bkctld-mine").exists());
}

#[apply(as_root)]
fn a_jail_may_be_called_as_the_internal_commands() {
    let server = Server::on(FsKind::Ext4);
    let dir = install(&server);
    for name in ["run", "supervise"] {
        call(&server, &dir.join("bkctld-init"), &[name]).ok();
        call(&server, &dir.join("bkctld-start"), &[name]).ok();
        call(&server, &dir.join("bkctld-is-on"), &[name]).ok();
    }
}

#[apply(as_root)]
fn the_check_of_the_last_incs_is_a_program_of_its_own() {
    let server = Server::on(FsKind::Ext4);
    let check = install(&server).join("bkctld-check-last-incs");
    server.bkctld(&["init", "a"]).ok();
    let ran = call(&server, &check, &[]).exits(1);
    assert_eq!(ran.err(), server.bkctld(&["check-incs", "last"]).exits(1).err());
    server.bkctld(&["inc", "a"]).ok();
    call(&server, &check, &[]).ok();
}

#[apply(as_root)]
fn one_inc_is_locked_and_unlocked_by_its_path() {
    let server = Server::on(FsKind::Btrfs);
    let dir = install(&server);
    server.bkctld(&["init", "a"]).ok();
    let inc = server.take_inc(-1, "a");
    let path = inc.to_str().unwrap();
    let lock = |args: &[&str]| call(&server, &dir.join("bkctld-inc-lock"), args);
    lock(&["off", path]).ok();
    fs::write(inc.join("data/file"), "writable").unwrap();
    lock(&["on", path]).ok();
    fs::write(inc.join("data/file"), "read-only").unwrap_err();
    lock(&["off", "/etc"]).refuses(&["leads out of INCDIR"]);
    lock(&["maybe", path]).exits(1).warns("Usage");
    lock(&[]).exits(1).warns("Usage");
}

#[apply(as_root)]
fn includes_gives_version_and_directories_as_the_program_has_them() {
    let server = Server::plain();
    let includes = install(&server).join("includes");
    let asks = |config: &Path, shell: &str, variables: &str| {
        let mut command = Command::new(shell);
        server.environment(&mut command);
        command.env("BKCTLD_CONFIG", config);
        let script =
            format!("set -eu; . {}; for v in {variables}; do eval echo \"\\$$v\"; done", includes.display());
        command.args(["-c", &script]);
        run(command).ok().out()
    };
    let expected =
        [env!("CARGO_PKG_VERSION"), "/srv/my backup/jails", "/srv/my backup/incs", "/etc/evobackup"];
    let config = server.path("shell.conf");
    write(&config, "export BACKUP_PARTITION='/srv/my backup'\nINCDIR=\"${BACKUP_PARTITION}/incs\"\nMINE=1\n");
    for shell in ["dash", "bash"] {
        let told = asks(&config, shell, "VERSION JAILDIR INCDIR CONFDIR");
        assert_eq!(told.lines().collect::<Vec<_>>(), expected, "{shell}");
        assert_eq!(asks(&server.path("none"), shell, "JAILDIR").trim(), "/backup/jails");
    }
    // As `sync` of the original looks for it.
    assert_eq!(sh(&format!("grep ^VERSION= {}", includes.display())), format!("VERSION=\"{}\"", expected[0]));
    // Every variable of the specification that has a default other than "empty" gets that default.
    let defaults = asks(
        &server.path("none"),
        "dash",
        "DATADIR ARCHIVESDIR IDX_FILE TPLDIR LOCALTPLDIR LOCKDIR LOGLEVEL",
    );
    let expected = "/var/lib/bkctld\n/backup/archives\n/backup/index/bkctld-jails.idx\n/usr/share/bkctld\n\
                    /usr/local/share/bkctld\n/run/bkctld\n6\n";
    assert_eq!(defaults, expected);
}
