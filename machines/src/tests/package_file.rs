//! The Debian package as a file: what lintian says of it, and what is in it. That it works is shown where systemd
//! is init.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::run::{output_of, run};
use crate::{built, host};

super::tests_here![
    building_it_leaves_nothing_in_the_tree,
    lintian_has_nothing_to_say,
    its_version_is_the_programs_and_later_than_any_of_the_original,
    entry_points_for_every_command_are_in_it,
    templates_and_manuals_are_in_it,
    programs_that_its_units_run_are_in_it,
    everything_in_it_is_roots,
    nothing_in_it_is_a_conffile_about_which_dpkg_could_ask,
    shellcheck_has_nothing_to_say_of_the_scripts,
];

/// The package's files, unpacked.
fn unpacked() -> TempDir {
    let directory = tempfile::tempdir_in(crate::confine::run_directory()).unwrap();
    run(Command::new("dpkg-deb").arg("--extract").arg(built::package()).arg(directory.path()));
    directory
}

fn files_in(directory: &Path) -> Vec<PathBuf> {
    fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect()
}

fn building_it_leaves_nothing_in_the_tree() {
    built::package();
    for left in ["debian/bkctld", "debian/.debhelper", "debian/files"] {
        assert!(!host::checkout().join(left).exists(), "{left} is left");
    }
}

fn lintian_has_nothing_to_say() {
    // It speaks of root where root runs it.
    run(Command::new("lintian")
        .args(["--no-user-dirs", "--allow-root", "--fail-on", "error,warning"])
        .arg(built::package()));
}

fn its_version_is_the_programs_and_later_than_any_of_the_original() {
    let version = output_of(Command::new("dpkg-deb").arg("--field").arg(built::package()).arg("Version"));
    let (program, revision) = version.trim().rsplit_once('-').unwrap();
    assert_eq!(program, env!("CARGO_PKG_VERSION"));
    assert!(revision.starts_with(|first: char| first.is_ascii_digit()), "{version}");
    run(Command::new("dpkg").args(["--compare-versions", version.trim(), "gt", "25.99"]));
}

fn entry_points_for_every_command_are_in_it() {
    let root = unpacked();
    let help = output_of(Command::new(root.path().join("usr/sbin/bkctld")).arg("--help"));
    let commands = help.split_once("\nCommands:\n").unwrap().1;
    let commands = commands.lines().take_while(|line| !line.is_empty());
    let commands: Vec<&str> = commands
        .filter_map(|line| {
            line.strip_prefix("  ").filter(|line| line.starts_with(|first: char| first.is_ascii_lowercase()))
        })
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert!(commands.len() > 20, "{commands:?}");
    for command in commands {
        let link = root.path().join(format!("usr/lib/bkctld/bkctld-{command}"));
        assert_eq!(fs::read_link(&link).ok(), Some(PathBuf::from("../../sbin/bkctld")), "{command}");
    }
}

fn templates_and_manuals_are_in_it() {
    let root = unpacked();
    for template in files_in(&host::checkout().join("templates")) {
        let packed = root.path().join("usr/share/bkctld").join(template.file_name().unwrap());
        assert!(fs::read(&template).unwrap() == fs::read(packed).unwrap(), "{}", template.display());
    }
    for page in files_in(&host::checkout().join("man")) {
        let name = page.file_name().unwrap().display().to_string();
        let section = page.extension().unwrap().display();
        let packed = root.path().join(format!("usr/share/man/man{section}/{name}.gz"));
        assert!(output_of(Command::new("zcat").arg(packed)) == fs::read_to_string(&page).unwrap(), "{name}");
    }
}

fn programs_that_its_units_run_are_in_it() {
    let root = unpacked();
    let mut found = 0;
    for unit in files_in(&root.path().join("usr/lib/systemd/system")).iter().filter(|path| path.is_file()) {
        for line in fs::read_to_string(unit).unwrap().lines().filter(|line| line.starts_with("Exec")) {
            let program = line.split_once('=').unwrap().1.split(' ').next().unwrap();
            if let Some(program) = program.strip_prefix('/').filter(|program| program.starts_with("usr")) {
                let file = fs::metadata(root.path().join(program));
                assert!(
                    file.is_ok_and(|file| file.permissions().mode() & 0o111 != 0),
                    "{program} is not in it"
                );
                found += 1;
            }
        }
    }
    assert!(found > 5, "only {found}");
}

fn everything_in_it_is_roots() {
    let contents = output_of(Command::new("dpkg-deb").arg("--contents").arg(built::package()));
    let strange = contents.lines().find(|line| !line.contains(" root/root "));
    assert_eq!(strange, None);
}

fn nothing_in_it_is_a_conffile_about_which_dpkg_could_ask() {
    let control = tempfile::tempdir_in(crate::confine::run_directory()).unwrap();
    run(Command::new("dpkg-deb").arg("--control").arg(built::package()).arg(control.path()));
    assert!(control.path().join("postinst").exists());
    assert!(!control.path().join("conffiles").exists());
}

fn shellcheck_has_nothing_to_say_of_the_scripts() {
    let git =
        ["-c", "safe.directory=*", "grep", "--files-with-matches", "-E", "^#!/bin/sh|^# shellcheck shell=sh"];
    let scripts = output_of(Command::new("git").args(git).current_dir(host::checkout()));
    let scripts: Vec<&str> =
        scripts.lines().filter(|script| !script.ends_with(".rs") && !script.ends_with(".md")).collect();
    assert!(scripts.len() > 10, "{scripts:?}");
    run(Command::new("shellcheck").arg("--external-sources").args(scripts).current_dir(host::checkout()));
}
