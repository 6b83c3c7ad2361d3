//! The structure that docs/architecture.md describes is the one that the code has.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::PathBuf;

use structure::{Workspace, circles, measure, picture, this_checkout};

/// More asks to be split.
const LONGEST_FILE: usize = 500;

fn workspace() -> Workspace {
    Workspace::read(&this_checkout()).unwrap()
}

fn architecture() -> (PathBuf, String) {
    let file = this_checkout().join("docs/architecture.md");
    let text = fs::read_to_string(&file).unwrap();
    (file, text)
}

#[test]
fn no_module_uses_one_above_it_and_no_files_import_in_a_circle() {
    let circles: Vec<String> = circles::find(&workspace()).iter().map(ToString::to_string).collect();
    assert!(circles.is_empty(), "{}", circles.join("\n"));
}

#[test]
fn the_picture_in_the_documentation_is_that_of_the_code() {
    let (file, text) = architecture();
    let (before, rest) = text.split_once(picture::BEGIN).unwrap();
    let (_, after) = rest.split_once(picture::END).unwrap();
    let drawn = picture::draw(&workspace())
        .lines()
        .map(|line| format!("    {line}").trim_end().to_owned() + "\n")
        .collect::<String>();
    let now = format!("{before}{}\n\n{drawn}\n{}{after}", picture::BEGIN, picture::END);
    if std::env::var_os("BKCTLD_WRITE").is_some() {
        return fs::write(&file, &now).unwrap();
    }
    assert!(text == now, "draw it again: BKCTLD_WRITE=1 cargo test -p structure, and look at the difference");
}

#[test]
fn each_step_of_the_walks_is_in_the_code_and_none_turns_back() {
    let (_, text) = architecture();
    let workspace = workspace();
    let walks = text.split_once("## Three walks").unwrap().1.split("\n## ").next().unwrap();
    let mut steps = 0;
    for walk in walks.split("\n### ").skip(1) {
        let mut last: Option<(String, String)> = None;
        for step in walk.lines().filter_map(|line| line.strip_prefix("- `")) {
            let step = step.split('`').next().unwrap();
            let place =
                measure::find(&workspace, step).unwrap_or_else(|| panic!("nothing in the code is {step}"));
            if let Some(before) = &last {
                assert!(
                    picture::is_below_or_beside(&workspace, before, &place),
                    "{step} is above the step before it"
                );
            }
            last = Some(place);
            steps += 1;
        }
    }
    assert!(steps > 15, "{steps} steps in all");
}

#[test]
fn no_file_is_so_long_that_it_asks_to_be_split() {
    for krate in workspace().crates.values() {
        for module in krate.modules.values() {
            let lines = module.text.lines().count();
            assert!(lines <= LONGEST_FILE, "{} has {lines} lines", module.file.display());
        }
    }
}
