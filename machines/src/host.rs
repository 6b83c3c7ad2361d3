//! The machine that runs the tests: its checkout, its release, its way to packages.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::run::{output_of, run};

/// The checkout whose program is tested.
pub fn checkout() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// What one run makes once and later ones find: bare systems, packages, what was built inside.
pub fn cache() -> PathBuf {
    let cache = std::env::var_os("BKCTLD_MACHINES_CACHE").map(PathBuf::from);
    let cache = cache.unwrap_or_else(|| checkout().join("target/containers"));
    fs::create_dir_all(&cache).unwrap();
    cache
}

/// The version of this machine's C library, as 2.36, against which the program is built here.
pub fn glibc() -> (u32, u32) {
    let version = output_of(Command::new("getconf").arg("GNU_LIBC_VERSION"));
    let (major, minor) = version.trim().rsplit_once(' ').unwrap().1.split_once('.').unwrap();
    (major.parse().unwrap(), minor.parse().unwrap())
}

/// Where this machine's apt gets Debian from: no mirror stands in this repository, because behind a company's
/// wall another one is right.
pub fn debian_mirror() -> String {
    let sites = output_of(Command::new("apt-get").args([
        "indextargets",
        "--format",
        "$(REPO_URI)",
        "Created-By: Packages",
    ]));
    let site = sites.lines().find(|site| !site.contains("-security"));
    site.expect("apt of this machine knows no Debian mirror").to_owned()
}

/// Gives a tree this machine's way to the network: names, proxy and certificates.
pub fn connect(tree: &Path) {
    fs::copy("/etc/resolv.conf", tree.join("etc/resolv.conf")).unwrap();
    fs::write(tree.join("etc/hosts"), "127.0.0.1 localhost bare\n::1 localhost\n").unwrap();
    let proxies = output_of(Command::new("apt-config").arg("dump"))
        .lines()
        .filter(|line| line.to_lowercase().starts_with("acquire::") && line.contains("Proxy"))
        .fold(String::new(), |text, line| text + line + "\n");
    fs::write(tree.join("etc/apt/apt.conf.d/90host"), proxies).unwrap();
    if let Some(certificates) = certificates() {
        fs::copy(certificates, tree.join("root/certificates.pem")).unwrap();
    }
}

/// A bundle of certificates that this machine was told to trust.
pub fn certificates() -> Option<OsString> {
    std::env::var_os("SSL_CERT_FILE").filter(|file| Path::new(file).is_file())
}

/// Makes a copy to break.
pub fn copy_tree(from: &Path, to: &Path) {
    run(Command::new("cp").args(["-a", "--reflink=auto"]).arg(from).arg(to));
}
