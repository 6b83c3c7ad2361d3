//! The releases of Debian and Ubuntu that the tests run on, each made once by debootstrap and kept.

use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::entered::{Bind, Entered};
use crate::host;
use crate::run::{output_of, run};

/// A release.
#[derive(Debug)]
pub struct Suite {
    /// The name that its archive has.
    pub name: &'static str,
    /// The version of its C library.
    glibc: (u32, u32),
    distribution: Distribution,
}

#[derive(Debug)]
enum Distribution {
    Debian,
    Ubuntu,
}

/// The releases, oldest first.
pub const SUITES: &[Suite] = &[
    Suite { name: "bookworm", glibc: (2, 36), distribution: Distribution::Debian },
    Suite { name: "noble", glibc: (2, 39), distribution: Distribution::Ubuntu },
    Suite { name: "trixie", glibc: (2, 41), distribution: Distribution::Debian },
];

const UBUNTU_KEYRING: &str = "pool/main/u/ubuntu-keyring/ubuntu-keyring_2023.11.28.1_all.deb";
const UBUNTU_KEYRING_SHA256: &str = "36de43b15853ccae0028e9a767613770c704833f82586f28eb262f0311adb8a8";

/// What a receiver has that boots; systemd-container and dbus are for jails that still are containers of the
/// shell program.
const PACKAGES: &[&str] = &[
    "systemd",
    "systemd-sysv",
    "openssh-server",
    "openssh-client",
    "rsync",
    "iproute2",
    "nftables",
    "systemd-container",
    "dbus",
    "systemd-coredump",
];

/// Units that prove nothing here: a container has no network, and neither its own sshd nor a login prompt is
/// asked for.
const MASKED: &[&str] = &[
    "ssh.service",
    "ssh.socket",
    "systemd-networkd.service",
    "systemd-resolved.service",
    "systemd-logind.service",
    "getty.target",
    "console-getty.service",
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
];

impl Suite {
    /// Whether a program that was built here starts there: it asks for the C library of this machine or an
    /// older one.
    pub fn runs_programs_of_this_machine(&self) -> bool {
        self.glibc >= host::glibc()
    }

    /// Whether it is among those that were asked for: where an archive cannot be reached, the others can.
    pub fn is_wanted(&self) -> bool {
        std::env::var("BKCTLD_MACHINES_SUITES")
            .map_or(true, |names| names.split_whitespace().any(|name| name == self.name))
    }

    /// The tree in which nothing is installed.
    pub fn bare(&self) -> PathBuf {
        self.prepared(self.name, |tree| self.debootstrap(tree))
    }

    /// The tree that boots systemd.
    pub fn booting(&self) -> PathBuf {
        let mut hash = DefaultHasher::new();
        (PACKAGES, MASKED).hash(&mut hash);
        let name = format!("{}-systemd-{:08x}", self.name, hash.finish() as u32);
        // Before the lock, which is the same one.
        let bare = self.bare();
        self.prepared(&name, |tree| install_systemd(self, &bare, tree))
    }

    /// Where its packages are kept once they are fetched; for one user at a time, whom the name is of.
    pub fn packages(&self, user: &str) -> PathBuf {
        let packages = host::cache().join("packages").join(format!("{}-{user}", self.name));
        fs::create_dir_all(packages.join("partial")).unwrap();
        packages
    }

    /// The tree of that name in the cache, made if it is not there. Whoever else wants it meanwhile waits.
    fn prepared(&self, name: &str, make: impl FnOnce(&Path)) -> PathBuf {
        let tree = host::cache().join(name);
        let lock = File::create(host::cache().join(format!("{}.lock", self.name))).unwrap();
        lock.lock().unwrap();
        if !tree.exists() {
            let new = host::cache().join(format!("{name}.new"));
            if new.exists() {
                fs::remove_dir_all(&new).unwrap();
            }
            eprintln!("# making {name}");
            make(&new);
            fs::rename(new, &tree).unwrap();
        }
        tree
    }

    fn debootstrap(&self, tree: &Path) {
        let mut debootstrap = Command::new("debootstrap");
        debootstrap.arg("--variant=minbase");
        let (site, components) = match self.distribution {
            Distribution::Debian => (host::debian_mirror(), "main"),
            Distribution::Ubuntu => (ubuntu_mirror(), "main,universe"),
        };
        // apt of a minimal system trusts no certificate.
        if site.starts_with("https:") {
            debootstrap.arg("--include=ca-certificates");
        }
        debootstrap.arg(format!("--components={components}"));
        if matches!(self.distribution, Distribution::Ubuntu) {
            debootstrap.arg(format!("--keyring={}", ubuntu_keyring(&site).display()));
        }
        debootstrap.arg(self.name).arg(tree).arg(&site);
        if matches!(self.distribution, Distribution::Ubuntu) {
            // The script of all its releases: a debootstrap of Debian may be older than the release.
            debootstrap.arg("/usr/share/debootstrap/scripts/gutsy");
        }
        run(&mut debootstrap);
        let source = format!("deb {site} {} {}\n", self.name, components.replace(',', " "));
        fs::write(tree.join("etc/apt/sources.list"), source).unwrap();
    }
}

fn ubuntu_mirror() -> String {
    std::env::var("BKCTLD_UBUNTU_MIRROR").unwrap_or_else(|_| "http://archive.ubuntu.com/ubuntu".to_owned())
}

/// The keys of Ubuntu's archive, of which Debian has no package. The package of Ubuntu that has them is
/// trusted by its digest.
fn ubuntu_keyring(site: &str) -> PathBuf {
    let file = host::cache().join(UBUNTU_KEYRING.rsplit_once('/').unwrap().1);
    let keys = host::cache().join("ubuntu-keyring");
    if !keys.exists() {
        run(Command::new("curl")
            .args(["--silent", "--show-error", "--fail", "--location", "--output"])
            .args([file.as_os_str(), format!("{site}/{UBUNTU_KEYRING}").as_ref()]));
        let digest = output_of(Command::new("sha256sum").arg(&file));
        assert!(
            digest.starts_with(UBUNTU_KEYRING_SHA256),
            "{site}/{UBUNTU_KEYRING} is another file: {digest}"
        );
        run(Command::new("dpkg-deb").arg("--extract").args([&file, &keys]));
    }
    keys.join("usr/share/keyrings/ubuntu-archive-keyring.gpg")
}

fn install_systemd(suite: &Suite, bare: &Path, tree: &Path) {
    host::copy_tree(bare, tree);
    host::connect(tree);
    // Its systemd must not set this machine's pattern for core files.
    fs::create_dir_all(tree.join("etc/sysctl.d")).unwrap();
    symlink("/dev/null", tree.join("etc/sysctl.d/50-coredump.conf")).unwrap();
    let entered = Entered {
        tree: tree.to_owned(),
        binds: vec![Bind::writable(suite.packages("systemd"), "/var/cache/apt/archives")],
        environment: vec![("DEBIAN_FRONTEND".to_owned(), "noninteractive".to_owned())],
    };
    // No package may set the kernel's variables of this machine.
    entered.run(&format!(
        "mount --bind /proc/sys /proc/sys; mount -o remount,bind,ro /proc/sys
        apt-get -qq update
        apt-get -qq --yes --no-install-recommends install {}
        rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin",
        PACKAGES.join(" ")
    ));
    for unit in MASKED {
        let file = tree.join("etc/systemd/system").join(unit);
        drop(fs::remove_file(&file));
        symlink("/dev/null", file).unwrap();
    }
}
