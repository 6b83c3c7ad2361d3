//! The configuration file: read, never run.

use crate::support::*;

/// A configuration for this server in the words of an old installation.
fn old_style(server: &Server) -> String {
    let top = server.path("");
    let top = top.display().to_string();
    let top = top.trim_end_matches('/');
    format!(
        "# Defaults for bkctld\n\
         \n\
         export TOP='{top}'\n\
         BACKUP_PARTITION=\"${{TOP}}/backup\"  # the disk\n\
         CONFDIR=$TOP/conf\n\
         DATADIR=\"$TOP\"/state\n\
         LOCKDIR=\"${{TOP}}/${{LOCKS:-lock}}\"\n\
         INCDIR=\"${{BACKUP_PARTITION}}/incs\"\n\
         JAILDIR=\"${{BACKUP_PARTITION}}/other-jails\"\n\
         SERVICE=background\n"
    )
}

#[apply(as_root)]
fn quotes_export_and_references_are_understood() {
    let server = Server::on(FsKind::Ext4);
    server.write_config(&old_style(&server));
    std::fs::create_dir(server.path("backup/other-jails")).unwrap();
    server.bkctld(&["init", "a"]).ok();
    assert!(server.path("backup/other-jails/a/data").is_dir());
    assert!(server.path("backup/incs/a").is_dir());
    assert!(server.path("lock").is_dir());
}

#[apply(as_root)]
fn the_config_option_wins_over_the_environment() {
    let server = Server::on(FsKind::Ext4);
    let good = server.path("good.conf");
    write(&good, old_style(&server));
    std::fs::create_dir(server.path("backup/other-jails")).unwrap();
    server.bkctld(&["--config", good.to_str().unwrap(), "init", "a"]).ok();
    assert!(server.path("backup/other-jails/a").is_dir());
}

#[apply(as_root)]
fn an_unknown_variable_is_a_warning_with_its_name() {
    let server = Server::plain();
    let text = format!("{}FROBNICATE=1\n", std::fs::read_to_string(server.config_file()).unwrap());
    server.write_config(&text);
    server.bkctld(&["list"]).ok().warns("FROBNICATE");
}

#[apply(as_root)]
fn what_cannot_be_read_without_running_it_names_file_and_line() {
    let server = Server::plain();
    let evil = server.path("evil");
    let good = std::fs::read_to_string(server.config_file()).unwrap();
    let line = good.lines().count() + 1;
    let bad = [
        format!("NODE=$(touch {})", evil.display()),
        format!("NODE=`touch {}`", evil.display()),
        "NODE=\"unclosed".to_owned(),
        "NODE='unclosed".to_owned(),
        "if true; then NODE=x; fi".to_owned(),
        "NODE=${UNCLOSED".to_owned(),
        "NODE=$((1+1))".to_owned(),
        ". /etc/other".to_owned(),
        "NODE=a b".to_owned(),
        format!("NODE=x; touch {}", evil.display()),
        "LOGLEVEL=loud".to_owned(),
        "WARNING=-1".to_owned(),
        "SERVICE=upstart".to_owned(),
        "MAX_SESSIONS=0".to_owned(),
        "JAILDIR=relative/path".to_owned(),
        "N\u{1b}[31mODE=x".to_owned(),
    ];
    for text in bad {
        server.write_config(&format!("{good}{text}\n"));
        server.bkctld(&["list"]).refuses(&["bkctld.conf", &line.to_string()]).silent();
        assert!(!evil.exists(), "the configuration was run: {text}");
    }
    server.write_config(&good);
    server.bkctld(&["list"]).ok();
}

#[apply(as_root)]
fn a_missing_configuration_is_an_error_where_it_was_asked_for() {
    let server = Server::plain();
    server.bkctld(&["--config", "/nonexistent/bkctld.conf", "list"]).refuses(&["/nonexistent/bkctld.conf"]);
    let mut command = server.command(&["list"]);
    command.env("BKCTLD_CONFIG", "/nonexistent/bkctld.conf");
    run(command).refuses(&["/nonexistent/bkctld.conf"]);
    server.bkctld(&["--config", server.path("").to_str().unwrap(), "list"]).refuses(&[]);
}
