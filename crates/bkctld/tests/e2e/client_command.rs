//! What `bkctld client` prints, and the examples of hooks in it.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::*;

#[apply(as_root)]
fn a_jail_in_compat_mode_gets_device_nodes_too() {
    let server = Server::on(FsKind::Ext4);
    server.init("web01");
    write(&server.path("conf/web01.d/session_policy"), "ISOLATION=compat\n");
    let printed = server.bkctld(&["client", "web01", "a"]).ok();
    assert!(printed.out().contains("\nDEVICES=yes\n"));
}

#[apply(as_root)]
fn shellcheck_finds_nothing_in_the_script_and_its_examples() {
    let server = Server::plain();
    server.bkctld(&["init", "web01"]).ok();
    let script = server.path("script");
    fs::write(
        &script,
        server.bkctld(&["client", "web01", "a.example.org", "[2001:db8::1]:2200"]).ok().stdout,
    )
    .unwrap();
    sh(&format!("shellcheck {}", script.display()));
    for (name, example) in examples(&script) {
        let path = server.path(&name);
        fs::write(&path, example).unwrap();
        sh(&format!("shellcheck {0}; dash -n {0}; busybox sh -n {0}", path.display()));
    }
}

#[apply(as_root)]
fn the_examples_of_hooks_replace_a_dump_only_by_a_whole_one() {
    let server = Server::plain();
    server.bkctld(&["init", "web01"]).ok();
    let script = server.path("script");
    fs::write(&script, server.bkctld(&["client", "web01", "a"]).ok().stdout).unwrap();
    let examples = examples(&script);
    let names: Vec<&str> = examples.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["mysql", "postgresql", "ldap", "redis", "mongodb"]);
    let (bin, dumps) = (server.path("bin"), server.path("dumps"));
    fs::create_dir(&bin).unwrap();
    for program in ["mysqldump", "mariadb-dump", "su", "slapcat", "redis-cli", "mongodump"] {
        // Writes where it is told to, half of it where it fails.
        write_program(&bin.join(program), "#!/bin/sh
            for word; do case $word in --archive=*) exec >\"${word#*=}\" ;; */redis.rdb.new) exec >\"$word\" ;; esac; done
            echo \"begin $TEXT\"; [ -z \"$BROKEN\" ] || exit 3; echo end\n");
    }
    for (name, example) in &examples {
        fs::create_dir(&dumps).unwrap();
        let hook = |text: &str, broken: &str| {
            let mut command = Command::new("dash");
            command.args(["-c", example]).env("DUMPS", &dumps).env("TEXT", text).env("BROKEN", broken);
            command.env("PATH", format!("{}:/usr/bin:/bin", bin.display()));
            run(command)
        };
        hook("first", "").ok();
        let content = || -> Vec<(String, String)> {
            let entries = fs::read_dir(&dumps).unwrap().map(|entry| entry.unwrap().path());
            let mut all: Vec<_> = entries
                .filter(|path| path.extension().is_none_or(|end| end != "new"))
                .map(|path| (path.display().to_string(), fs::read_to_string(path).unwrap()))
                .collect();
            all.sort();
            all
        };
        let first = content();
        assert!(
            !first.is_empty() && first.iter().all(|(_, text)| text == "begin first\nend\n"),
            "{name}: {first:?}"
        );
        hook("second", "yes").fails();
        assert_eq!(content(), first, "{name}");
        hook("third", "").ok();
        assert!(content().iter().all(|(_, text)| text == "begin third\nend\n"), "{name}");
        fs::remove_dir_all(&dumps).unwrap();
    }
}

#[apply(as_root)]
fn the_command_takes_servers_by_name_and_refuses_what_is_none() {
    let server = Server::plain();
    server.set("NODE", "root@mirror.example.org 2001:db8::9");
    server.bkctld(&["client", "web01"]).exits(2);
    server.bkctld(&["init", "web01"]).ok();
    for bad in ["a;reboot", "$(x)", "a b", "-x", "a:0", "'"] {
        server.bkctld(&["client", "web01", "--", bad]).fails().silent();
    }
    let json = server.bkctld(&["client", "web01", "backup.example.org:2299", "--json"]).ok().json();
    assert_eq!(
        json["servers"],
        serde_json::json!(["backup.example.org:2299", "mirror.example.org:2222", "[2001:db8::9]:2222"])
    );
    let known = json["known_hosts"].as_array().unwrap();
    assert!(
        known.len() >= 3
            && known.len().is_multiple_of(3)
            && known.iter().all(|line| line.as_str().unwrap().starts_with('['))
    );
    let text = json["text"].as_str().unwrap();
    assert!(known.iter().all(|line| text.contains(&format!("\n{}\n", line.as_str().unwrap()))));
    // Without an argument: this host, as clients may know it.
    let own = server.bkctld(&["client", "web01", "--json"]).ok().json();
    let host = own["servers"][0].as_str().unwrap().to_owned();
    assert!(host.ends_with(":2222") && !host.starts_with("localhost"), "{host}");
}

/// The examples of hooks in the script: name and text.
fn examples(script: &Path) -> Vec<(String, String)> {
    let text = fs::read_to_string(script).unwrap();
    let mut found: Vec<(String, String)> = Vec::new();
    let mut before = "";
    for line in text.lines() {
        if let Some(line_of_hook) = line.strip_prefix("#: ") {
            if line_of_hook == "#!/bin/sh" {
                let name = before.trim_start_matches("# ").split(':').next().unwrap();
                found.push((name.to_owned(), String::new()));
            }
            let (_, example) = found.last_mut().unwrap();
            example.push_str(line_of_hook);
            example.push('\n');
        }
        before = line;
    }
    found
}
