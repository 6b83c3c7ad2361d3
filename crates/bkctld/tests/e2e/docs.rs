//! Every shell example of the documentation is run, in order, as it stands; every test that the threat
//! model names exists.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::server::BKCTLD;
use crate::support::*;

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// The blocks fenced as `sh` in a text. Such a block is a promise; what is not to be run is fenced
/// as `text`, and what needs a whole machine as `console`.
fn examples(markdown: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut current: Option<String> = None;
    for line in markdown.lines() {
        match (&mut current, line.trim()) {
            (None, "```sh") => current = Some(String::new()),
            (Some(_), "```") => found.extend(current.take()),
            (Some(block), _) => *block += &format!("{line}\n"),
            _ => {}
        }
    }
    found
}

/// An example as it would be on this test's server: places, hosts and keys of the text are replaced
/// by those that exist here, and nothing else is.
fn here(example: &str, server: &Server) -> String {
    let path = |name: &str| server.path(name).display().to_string();
    let mut text = example.to_owned();
    let client = path("client-web01");
    let ssh = format!(
        "ssh -F /dev/null -i {client}/id -o UserKnownHostsFile={client}/known_hosts -o BatchMode=yes -p"
    );
    for (there, here) in [
        // Those that others contain come first: a temporary place has /tmp in it, too.
        (" /tmp/", format!(" {}/", path("tmp"))),
        (" /backup/", format!(" {}/", path("backup"))),
        ("/etc/evobackup", path("conf")),
        ("/root/web01.pub", format!("{client}/id.pub")),
        ("/root/web01-new.pub", format!("{client}/new.pub")),
        ("ssh -p", ssh),
        ("backup.example.org", "127.0.0.1".to_owned()),
    ] {
        text = text.replace(there, &here);
    }
    if let Some(inc) = server.incs("web01").last() {
        let name = inc.file_name().unwrap().to_string_lossy().into_owned();
        text = text.replace("2026-03-01-02", &name);
    }
    text
}

#[apply(as_root)]
fn the_shell_examples_of_the_documentation_run() {
    let mut count = 0;
    let readme = repository().join("README.md");
    let first_jail = examples(&fs::read_to_string(&readme).unwrap());
    for file in pages() {
        let of_page = examples(&fs::read_to_string(&file).unwrap());
        if of_page.is_empty() {
            continue;
        }
        // Every page goes on where the README ends: with the jail web01, its first push and its first inc.
        let examples = if file == readme { of_page } else { [first_jail.clone(), of_page].concat() };
        // One server for each page, whose examples tell one story.
        let server = Server::on(FsKind::Btrfs);
        for dir in ["bin", "tmp"] {
            fs::create_dir(server.path(dir)).unwrap();
        }
        std::os::unix::fs::symlink(BKCTLD, server.path("bin/bkctld")).unwrap();
        Client::make_key(&server, "web01");
        let id = server.path("client-web01/id.pub");
        fs::copy(id, server.path("client-web01/new.pub")).unwrap();
        for example in examples {
            if server.jail("web01").exists() {
                Client::trust(&server, "web01");
            }
            let mut command = Command::new("sh");
            server.environment(&mut command);
            let path = format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", server.path("bin").display());
            command.env("PATH", path).current_dir(server.path("tmp"));
            command.args(["-euc", &here(&example, &server)]);
            let ran = run(command);
            assert_eq!(ran.code, 0, "an example of {}: {}", file.display(), ran.told());
            count += 1;
        }
    }
    assert!(count >= 5, "only {count} examples were found");
}

/// The README, the other pages beside it, and those in `docs`.
fn pages() -> Vec<PathBuf> {
    let mut pages = Vec::new();
    for dir in [repository(), repository().join("docs")] {
        pages.extend(fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()));
    }
    pages.retain(|path| path.extension().is_some_and(|end| end == "md"));
    pages.sort();
    pages
}

/// The targets of all links of a page, `](TARGET)`, outside of its examples.
fn links(markdown: &str) -> Vec<String> {
    let text = markdown.split("```").step_by(2).collect::<String>();
    text.split("](").skip(1).filter_map(|rest| Some(rest.split_once(')')?.0.to_owned())).collect()
}

/// The anchors of a page's headings, as GitHub makes them.
fn anchors(markdown: &str) -> Vec<String> {
    let text = markdown.split("```").step_by(2).collect::<String>();
    let headings = text.lines().filter(|line| line.starts_with('#'));
    headings
        .map(|heading| {
            let words = heading.trim_start_matches('#').trim().to_lowercase();
            let kept = words.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
            kept.collect::<String>().replace(' ', "-")
        })
        .collect()
}

#[test]
fn every_link_of_the_documentation_leads_somewhere() {
    let mut count = 0;
    for page in pages() {
        for link in links(&fs::read_to_string(&page).unwrap()) {
            if link.contains("://") {
                continue;
            }
            let (file, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let target = if file.is_empty() { page.clone() } else { page.parent().unwrap().join(file) };
            let text = fs::read_to_string(&target);
            assert!(
                target.is_dir() || text.is_ok(),
                "{} links to {link}, which is not there",
                page.display()
            );
            let found = anchor.is_empty() || anchors(&text.unwrap()).iter().any(|heading| heading == anchor);
            assert!(found, "{} links to {link}: there is no such heading", page.display());
            count += 1;
        }
    }
    assert!(count >= 40, "only {count} links were found");
}

#[test]
fn the_readme_says_how_to_begin_on_one_screen() {
    let readme = fs::read_to_string(repository().join("README.md")).unwrap();
    let before_the_tasks = readme.lines().position(|line| line == "## First jail").unwrap();
    assert!(before_the_tasks <= 45, "{before_the_tasks} lines");
    assert!(readme.lines().count() <= 250);
}

/// The cells of each row of the tables with this head.
fn rows(markdown: &str, head: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    let mut inside = false;
    for line in markdown.lines() {
        let row = line.strip_prefix("| ").and_then(|line| line.strip_suffix(" |"));
        match row {
            None => inside = false,
            Some(row) if row == head => inside = true,
            Some(row) if inside && !row.starts_with("---") => {
                found.push(row.split(" | ").map(str::to_owned).collect());
            }
            Some(_) => {}
        }
    }
    found
}

/// Every Rust file of the repository's crates, by its name without `.rs`, with its text.
fn sources(dir: &Path, found: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|end| end == "rs") {
            let stem = path.file_stem().unwrap().to_string_lossy().into_owned();
            // `inc/mod.rs` is known as `inc`, as in the names of tests.
            let parent = path.parent().and_then(Path::file_name).unwrap().to_string_lossy().into_owned();
            let name = if stem == "mod" { parent } else { stem };
            found.push((name, fs::read_to_string(&path).unwrap()));
        }
    }
}

#[test]
fn every_sentence_of_the_threat_model_names_tests_that_exist() {
    let page = fs::read_to_string(repository().join("docs/threat-model.md")).unwrap();
    let mut files = Vec::new();
    for dir in ["crates", "machines/src"] {
        sources(&repository().join(dir), &mut files);
    }
    let rows = rows(&page, "sentence | test | result");
    assert!(rows.len() >= 30, "only {} sentences were found", rows.len());
    for row in rows {
        let [sentence, tests, result] = row.as_slice() else { panic!("not three cells: {row:?}") };
        assert!(
            ["held", "mended"].contains(&result.as_str()),
            "{sentence}: a result is held or mended: {result}"
        );
        let named: Vec<&str> = tests.split('`').skip(1).step_by(2).collect();
        assert!(!named.is_empty(), "no test for: {sentence}");
        for name in named {
            let (file, test) = name.split_once("::").unwrap_or_else(|| panic!("not FILE::TEST: {name}"));
            let is_there = |text: &str| text.contains(&format!("fn {test}("));
            assert!(
                files.iter().any(|(stem, text)| stem == file && is_there(text)),
                "there is no test {name}, which is to show: {sentence}"
            );
        }
    }
}
