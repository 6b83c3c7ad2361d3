//! What is tested: the program and its package, built once in a run.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::run::run;
use crate::{confine, host};

/// The program.
pub fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        run(Command::new("cargo")
            .args(["build", "--quiet", "--locked", "--package", "bkctld"])
            .current_dir(host::checkout()));
        host::checkout().join("target/debug/bkctld")
    })
}

/// The Debian package, as `./package.sh` builds it.
pub fn package() -> &'static Path {
    static PACKAGE: OnceLock<PathBuf> = OnceLock::new();
    PACKAGE.get_or_init(|| {
        let directory = confine::run_directory().join("packages");
        run(Command::new(host::checkout().join("package.sh")).arg("--debug").arg(&directory));
        let mut packages = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
        packages.find(|path| path.extension().is_some_and(|extension| extension == "deb")).unwrap()
    })
}
