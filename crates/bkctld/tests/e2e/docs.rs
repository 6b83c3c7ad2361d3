//! Every shell example of the documentation is run, in order, as it stands.

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

as_root! {
    fn the_shell_examples_of_the_documentation_run() {
        let mut files = vec![repository().join("README.md")];
        files.extend(fs::read_dir(repository().join("docs")).unwrap().map(|entry| entry.unwrap().path()));
        files.retain(|path| path.extension().is_some_and(|end| end == "md") && path.exists());
        for file in files {
            let blocks = examples(&fs::read_to_string(&file).unwrap());
            if blocks.is_empty() {
                continue;
            }
            // One server for each page: its examples tell one story.
            let server = Server::on(FsKind::Btrfs);
            fs::create_dir(server.path("bin")).unwrap();
            std::os::unix::fs::symlink(BKCTLD, server.path("bin/bkctld")).unwrap();
            for block in blocks {
                let mut command = Command::new("sh");
                server.environment(&mut command);
                let path = format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", server.path("bin").display());
                command.env("PATH", path).current_dir(server.path("")).args(["-euc", &block]);
                let ran = run(command);
                assert_eq!(ran.code, 0, "an example of {}: {}", file.display(), ran.told());
            }
        }
    }
}
