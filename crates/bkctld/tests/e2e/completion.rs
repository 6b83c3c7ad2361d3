//! Completion, in the shells themselves.

use std::process::Command;

use crate::support::server::BKCTLD;
use crate::support::*;

/// Loads the script as bash does, and then lets it complete a line as bash does. Each word of the line
/// is one argument; the last one is where the cursor is.
const BASH: &str = r#"
    source <(_BKCTLD_COMPLETE=bash "$BKCTLD")
    declaration=($(complete -p bkctld))
    for ((at = 0; at < ${#declaration[@]}; at++)); do
        [ "${declaration[at]}" != -F ] || function=${declaration[at + 1]}
    done
    COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMP_TYPE=9 COMP_LINE="$*" COMP_POINT=${#COMP_LINE} COMPREPLY=()
    "$function" bkctld "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
    printf '%s\n' "${COMPREPLY[@]}"
"#;

const FISH: &str = r#"
    _BKCTLD_COMPLETE=fish "$BKCTLD" | source
    complete --do-complete "$argv"
"#;

/// The two functions of zsh's completion system that the script calls: the first would need a terminal.
const ZSH: &str = r#"
    compdef() { completer=$1 }
    _describe() { local list=$3; print -l -- "${(@P)list}" }
    source <(_BKCTLD_COMPLETE=zsh "$BKCTLD")
    words=("$@") CURRENT=$#
    "$completer"
"#;

fn shell(server: &Server, program: &str, before: &[&str], line: &[&str]) -> Vec<String> {
    let mut command = Command::new(program);
    server.environment(&mut command);
    // The tests' programs are found by their paths.
    command.env("BKCTLD", BKCTLD).args(before).args(line);
    let said = run(command).ok();
    assert!(said.err().is_empty(), "{}", said.told());
    // What comes after a tab or a colon describes the word.
    said.lines().iter().map(|line| line.split(['\t', ':']).next().unwrap_or_default().to_owned()).collect()
}

fn bash(server: &Server, line: &[&str]) -> Vec<String> {
    shell(server, "bash", &["--norc", "-euc", BASH, "bash"], line)
}

/// What all three shells offer for the last of these words.
fn offered(server: &Server, line: &[&str]) -> Vec<String> {
    let bash = bash(server, line);
    let zsh = shell(server, "zsh", &["-fec", ZSH, "zsh"], line);
    assert_eq!(bash, zsh, "zsh differs from bash for {line:?}");
    let fish = shell(server, "fish", &["--no-config", "-c", FISH], &[&line.join(" ")]);
    let sorted = |mut words: Vec<String>| {
        words.sort();
        words
    };
    assert_eq!(sorted(bash.clone()), sorted(fish), "fish differs from bash for {line:?}");
    bash
}

#[apply(as_root)]
fn commands_options_and_jails_are_completed_in_bash_zsh_and_fish() {
    let server = Server::plain();
    for name in ["db", "web01", "web02"] {
        server.bkctld(&["init", name]).ok();
    }
    assert_eq!(offered(&server, &["bkctld", "st"])[..2], ["start", "stop"]);
    assert_eq!(offered(&server, &["bkctld", "--no"]), ["--no-header"]);
    assert_eq!(offered(&server, &["bkctld", "status", "--js"]), ["--json"]);
    assert_eq!(offered(&server, &["bkctld", "start", ""]), ["db", "web01", "web02", "all"]);
    assert_eq!(offered(&server, &["bkctld", "-q", "key", "w"]), ["web01", "web02"]);
    assert_eq!(offered(&server, &["bkctld", "inc", "db", "web0"]), ["web01", "web02"]);
    assert_eq!(offered(&server, &["bkctld", "port", "db", "a"]), ["auto"]);
    assert_eq!(offered(&server, &["bkctld", "ip", "db", "a"]), ["all"]);
    for inc in ["2026-03-01-02", "2026-03-02-02"] {
        write(&server.path("backup/incs/web01").join(inc).join("version"), "2");
    }
    assert_eq!(offered(&server, &["bkctld", "inc-lock", "web"]), ["web01", "web02"]);
    assert_eq!(offered(&server, &["bkctld", "inc-unlock", "web01/2026-03-02"]), ["web01/2026-03-02-02"]);
}

#[apply(as_root)]
fn incs_are_completed_after_the_name_of_their_jail() {
    let server = Server::plain();
    server.bkctld(&["init", "web01"]).ok();
    for inc in ["2026-03-01-02", "2026-03-02-02", ".2026-03-02-02.record"] {
        std::fs::create_dir_all(server.path("backup/incs/web01").join(inc)).unwrap();
    }
    assert_eq!(offered(&server, &["bkctld", "inc-lock", ""]), ["web01", "all"]);
    for typed in ["web01/", "web01/2026-03"] {
        let both = ["web01/2026-03-01-02", "web01/2026-03-02-02"];
        assert_eq!(offered(&server, &["bkctld", "inc-unlock", typed]), both);
    }
    assert_eq!(bash(&server, &["bkctld", "inc-lock", "../x/"]).join(""), "");
}

#[apply(as_root)]
fn the_jails_are_those_of_the_configuration_that_the_line_names() {
    let (server, other) = (Server::plain(), Server::plain());
    other.bkctld(&["init", "elsewhere"]).ok();
    let config = other.config_file();
    let line = ["bkctld", "--config", config.to_str().unwrap(), "start", "else"];
    assert_eq!(bash(&server, &line), ["elsewhere"]);
}

#[apply(as_root)]
fn a_file_of_keys_is_completed_as_a_path() {
    let server = Server::plain();
    server.bkctld(&["init", "a"]).ok();
    let file = server.path("some.pub");
    write(&file, "");
    let typed = server.path("som");
    assert_eq!(bash(&server, &["bkctld", "key", "a", typed.to_str().unwrap()]), [file.to_str().unwrap()]);
}

#[apply(as_root)]
fn where_nothing_can_be_completed_the_shells_are_left_alone() {
    let server = Server::plain();
    for line in [["bkctld", "start", "nobody"], ["bkctld", "no-such-command", "x"]] {
        assert_eq!(bash(&server, &line).join(""), "");
    }
    server.lenient.set(true);
    server.write_config("this is not a configuration");
    assert_eq!(bash(&server, &["bkctld", "is-on", "w"]).join(""), "");
}

#[apply(as_root)]
fn an_unknown_shell_is_refused_and_an_unset_variable_completes_nothing() {
    let server = Server::plain();
    let with = |value: &str| {
        let mut command = server.command(&["list"]);
        command.env("_BKCTLD_COMPLETE", value);
        run(command)
    };
    with("tcsh").exits(1).refuses(&["tcsh", "bash"]);
    assert!(with("").ok().silent().err().is_empty());
}
