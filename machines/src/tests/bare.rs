//! The README's commands that try the program and install it, from a fresh clone of the last commit, on a bare
//! system with only a Rust toolchain added.
//!
//! What the tests say is asked outside; that `test.sh` installs what it needs, builds and runs on such a system is
//! the question here.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use tempfile::TempDir;

use crate::entered::{Bind, Entered};
use crate::run::{output_of, run};
use crate::suite::Suite;
use crate::{confine, host};

super::tests![
    try_sh_runs_where_nothing_was_installed_and_leaves_nothing_behind,
    test_sh_installs_what_it_needs_builds_and_runs,
    package_sh_builds_a_package_that_apt_installs,
];

/// A bare system with a clone in `/root/bkctld`, and the directory that both go with.
struct Bare {
    entered: Entered,
    _work: TempDir,
    /// They share fetched packages, of which apt allows one user, and what was built, of which cargo does.
    _turn: MutexGuard<'static, ()>,
}

static TURN: Mutex<()> = Mutex::new(());

impl Bare {
    fn make(suite: &Suite) -> Bare {
        // A test that failed in its turn does not fail the next.
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let base = suite.bare();
        let work = tempfile::Builder::new().prefix("bare.").tempdir_in(confine::run_directory()).unwrap();
        let tree = work.path().join("tree");
        host::copy_tree(&base, &tree);
        host::connect(&tree);
        host::copy_tree(clone(), &tree.join("root/bkctld"));
        let entered = Entered { tree, binds: binds(suite), environment: environment() };
        Bare { entered, _work: work, _turn: turn }
    }
}

/// One clone for all, so that what is built from its files is built once.
fn clone() -> &'static Path {
    static CLONE: OnceLock<PathBuf> = OnceLock::new();
    CLONE.get_or_init(|| {
        let clone = confine::run_directory().join("clone");
        run(Command::new("git")
            .args(["-c", "safe.directory=*", "clone", "--quiet", "--no-hardlinks"])
            .arg(host::checkout())
            .arg(&clone));
        clone
    })
}

/// The toolchain, what it has fetched, what was built, and packages.
fn binds(suite: &Suite) -> Vec<Bind> {
    let toolchain =
        output_of(Command::new("rustc").args(["--print", "sysroot"]).current_dir(host::checkout()));
    let built = host::cache().join("built").join(suite.name);
    let registry = cargo_home().join("registry");
    for directory in [&built, &registry] {
        fs::create_dir_all(directory).unwrap();
    }
    vec![
        Bind::read_only(toolchain.trim(), "/usr/local/rust"),
        Bind::writable(registry, "/root/.cargo/registry"),
        Bind::writable(built, "/root/bkctld/target"),
        Bind::writable(suite.packages("bare"), "/var/cache/apt/archives"),
    ]
}

fn cargo_home() -> PathBuf {
    let home = std::env::var_os("HOME").unwrap_or("/root".into());
    std::env::var_os("CARGO_HOME").map_or_else(|| Path::new(&home).join(".cargo"), PathBuf::from)
}

/// Where the toolchain is, and this machine's way to the network.
fn environment() -> Vec<(String, String)> {
    let passed = std::env::vars().filter(|(name, _)| {
        let cargo = ["CARGO_NET", "CARGO_HTTP", "CARGO_REGISTR", "CARGO_SOURCE"];
        cargo.iter().any(|prefix| name.starts_with(prefix)) || name.to_lowercase().ends_with("_proxy")
    });
    let mut environment: Vec<(String, String)> = passed.collect();
    let path = "/usr/local/rust/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    environment.extend([("HOME".to_owned(), "/root".to_owned()), ("PATH".to_owned(), path.to_owned())]);
    if host::certificates().is_some() {
        environment.push(("SSL_CERT_FILE".to_owned(), "/root/certificates.pem".to_owned()));
    }
    environment
}

fn try_sh_runs_where_nothing_was_installed_and_leaves_nothing_behind(suite: &Suite) {
    let bare = Bare::make(suite);
    let shown = bare.entered.run(
        "cd /root/bkctld
        ! command -v sudo cc sshd rsync mkfs.btrfs || exit 1
        ./try.sh 2>&1
        ! ls -d /tmp/bkctld-try.* 2>/dev/null || exit 1
        ! grep bkctld /proc/mounts | grep -v /root/bkctld/target || exit 1
        for exe in /proc/[0-9]*/exe; do
            case $(readlink \"$exe\" || true) in */bkctld) ls -l \"$exe\"; exit 1 ;; esac
        done",
    );
    let shows = |what: &str, is_so: bool| assert!(is_so, "it does not show {what}:\n{shown}");
    shows("the inc unchanged", shown.lines().any(|line| line == "written before the first inc"));
    let fingerprints: Vec<&str> = shown
        .lines()
        .filter(|line| {
            line.starts_with("and now:") || line.starts_with("fingerprint ") && line.contains(" before:")
        })
        .filter_map(|line| line.split_once(':').map(|(_, fingerprint)| fingerprint.trim()))
        .collect();
    let same =
        fingerprints.len() >= 2 && fingerprints.iter().all(|fingerprint| *fingerprint == fingerprints[0]);
    shows("the same fingerprint of the inc twice", same);
    shows("what rm would do", shown.lines().any(|line| line.starts_with("keep ") && line.contains("web01/")));
    shows("the main job done at its end", shown.contains("That was the main job"));
}

fn test_sh_installs_what_it_needs_builds_and_runs(suite: &Suite) {
    let bare = Bare::make(suite);
    bare.entered.run("cd /root/bkctld; ./test.sh -p bkctld --test e2e -- init:: remove:: lifecycle:: 2>&1");
}

fn package_sh_builds_a_package_that_apt_installs(suite: &Suite) {
    let bare = Bare::make(suite);
    bare.entered.run(
        "cd /root/bkctld
        ./package.sh --debug /root/packages 2>&1
        DEBIAN_FRONTEND=noninteractive apt-get -qq --yes --no-install-recommends install /root/packages/bkctld_*.deb
        bkctld --version
        [ -x /usr/lib/bkctld/bkctld-inc ]",
    );
}
