//! Finds the files of the server that a jail needs, and their paths below the runtime's `usr`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use lddtree::{DependencyAnalyzer, DependencyTree};

use crate::error::{Error, IoContext, Result};
use crate::program::{find, missing};
use crate::text;

/// Programs without which no jail works, with the Debian package that has them.
const REQUIRED: [(&str, &str); 8] = [
    ("sshd", "openssh-server"),
    ("rsync", "rsync"),
    ("sh", "dash"),
    ("ls", "coreutils"),
    ("mkdir", "coreutils"),
    ("cat", "coreutils"),
    ("rm", "coreutils"),
    ("touch", "coreutils"),
];

/// Programs that a jail gets if the server has them: `sed`, which the original's jails had, `scp` for clients
/// that still use its old protocol, `bash` for a `passwd` that names it as root's shell.
const OPTIONAL: [&str; 3] = ["sed", "scp", "bash"];

/// The directories of OpenSSH's helper programs on known systems.
const HELPER_DIRS: [&str; 4] = ["/usr/lib/openssh", "/usr/libexec/openssh", "/usr/lib/ssh", "/usr/libexec"];

/// sshd is split into these since OpenSSH 9.8 (`sshd-session`) and 10.0 (`sshd-auth`).
const SSHD_PARTS: [&str; 2] = ["sshd-session", "sshd-auth"];

const SFTP_SERVER: &str = "sftp-server";

/// C libraries before 2.34 load the reader of `/etc/passwd` at run time, so no program names it.
const LOADED_AT_RUN_TIME: [&str; 1] = ["libnss_files.so.2"];

/// The files of a runtime: each path below its root, with the server's file that is copied.
pub(super) type Files = BTreeMap<PathBuf, PathBuf>;

/// The host's sftp-server, which `sshd_config` must name.
pub(crate) fn sftp_server() -> Option<PathBuf> {
    helper(SFTP_SERVER)
}

/// Finds every file that a jail needs; an error names the missing program and its package.
pub(super) fn collect(extra: &[PathBuf]) -> Result<Files> {
    let mut programs = Vec::new();
    for (name, package) in REQUIRED {
        programs.push(find(name).ok_or_else(|| missing(name, package))?);
    }
    programs.extend(OPTIONAL.iter().filter_map(|name| find(name)));
    programs.push(sftp_server().ok_or_else(|| missing(SFTP_SERVER, "openssh-sftp-server"))?);
    programs.extend(SSHD_PARTS.iter().filter_map(|name| helper(name)));
    for program in extra {
        if !program.is_file() {
            let message = format!("JAIL_PROGRAMS names {}, which is not a file", text::path(program));
            return Err(Error::invalid(message).at(program));
        }
        programs.push(program.clone());
    }

    let mut files = Files::new();
    for program in &programs {
        files.insert(place(program)?, program.clone());
        add_libraries(program, &mut files)?;
    }
    Ok(files)
}

fn helper(name: &str) -> Option<PathBuf> {
    HELPER_DIRS.iter().map(|dir| Path::new(dir).join(name)).find(|path| path.is_file())
}

/// Adds the loader and the libraries that the program needs, as its loader would find them.
fn add_libraries(program: &Path, files: &mut Files) -> Result<()> {
    let tree = analyze(program)?;
    let loader = tree.interpreter.as_deref().map(PathBuf::from);
    if let Some(loader) = &loader {
        files.insert(place(loader)?, loader.clone());
    }
    let c_library_dir = tree
        .libraries
        .values()
        .find(|library| library.name.starts_with("libc."))
        .and_then(|library| library.path.parent().map(Path::to_path_buf));
    for library in tree.libraries.values() {
        let Some(source) = &library.realpath else {
            let reason = format!("{} is missing", text::printable(library.name.as_bytes()));
            return Err(unreadable(program, reason));
        };
        files.insert(place(&library.path)?, source.clone());
        // A library that the host finds through /etc/ld.so.conf would not be found without it;
        // the C library's own directory always is searched.
        if let Some(dir) = &c_library_dir
            && library.path.parent() != Some(dir)
            && Some(library.path.as_path()) != loader.as_deref()
        {
            files.entry(place(&dir.join(&library.name))?).or_insert_with(|| source.clone());
        }
    }
    if let Some(dir) = &c_library_dir {
        for name in LOADED_AT_RUN_TIME {
            let source = dir.join(name);
            if source.is_file() {
                files.insert(place(&source)?, source);
            }
        }
    }
    Ok(())
}

/// Whether the program needs neither a loader nor libraries.
pub(super) fn is_static(program: &Path) -> Result<bool> {
    let tree = analyze(program)?;
    Ok(tree.interpreter.is_none() && tree.needed.is_empty())
}

fn analyze(program: &Path) -> Result<DependencyTree> {
    let real = program.canonicalize().context("cannot read", program)?;
    DependencyAnalyzer::default().analyze(&real).map_err(|error| {
        let reason = match error {
            lddtree::Error::UnsupportedBinary | lddtree::Error::Goblin(_) => {
                "it is not a program for Linux (ELF)".to_owned()
            }
            error => text::printable(error.to_string().as_bytes()).into_owned(),
        };
        unreadable(program, reason)
    })
}

fn unreadable(program: &Path, reason: String) -> Error {
    Error::program(format_args!("looking for the libraries of {}", text::path(program)), reason)
}

/// The path below the runtime's root: the host's own, with `/bin`, `/lib` and the like moved below
/// `usr`, where merged systems have them anyway.
fn place(path: &Path) -> Result<PathBuf> {
    let dir = path.parent().unwrap_or(Path::new("/"));
    let dir = dir.canonicalize().context("cannot read", dir)?;
    let name = path.file_name().unwrap_or_default();
    let below = dir.strip_prefix("/usr").or_else(|_| dir.strip_prefix("/")).unwrap_or(&dir);
    Ok(Path::new("usr").join(below).join(name))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::process::Command;

    use super::*;

    #[test]
    fn the_libraries_are_those_that_the_loader_itself_names() {
        for name in ["sshd", "rsync", "ls"] {
            let program = find(name).unwrap();
            let mut files = Files::new();
            add_libraries(&program, &mut files).unwrap();
            let ours: BTreeSet<_> = files
                .keys()
                .filter_map(|path| path.file_name())
                .filter(|name| !LOADED_AT_RUN_TIME.iter().any(|extra| name == extra))
                .map(|name| name.to_owned())
                .collect();
            let output = Command::new("ldd").arg(&program).output().unwrap();
            let listing = String::from_utf8(output.stdout).unwrap();
            let theirs: BTreeSet<_> = listing
                .split_whitespace()
                .filter(|word| word.starts_with('/'))
                .filter_map(|path| Path::new(path).file_name())
                .map(|name| name.to_owned())
                .collect();
            assert!(!theirs.is_empty());
            assert_eq!(ours, theirs, "{name}");
        }
    }

    #[test]
    fn every_file_lands_below_usr() {
        let files = collect(&[]).unwrap();
        assert!(files.len() > 10);
        for path in files.keys() {
            assert!(path.starts_with("usr"), "{}", path.display());
            assert!(!path.components().any(|part| part.as_os_str() == ".."));
        }
        assert!(files.keys().any(|path| path.ends_with("sftp-server")));
    }

    #[test]
    fn a_program_of_the_administrators_that_is_missing_is_named() {
        assert!(
            collect(&["/nonexistent/tool".into()]).unwrap_err().to_string().contains("/nonexistent/tool")
        );
    }
}
