//! A program that tries whatever could lead out of a session, in one that a client has and in the place of
//! sshd. `prober/` has its source: what it tries, and what must come of each attempt.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends where something is not as it must be")]
#![allow(clippy::print_stderr, reason = "a test says how many attempts it made")]

mod fixture;

use std::fs;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::thread::sleep;
use std::time::{Duration, Instant};

use fixture::{Server, TestJail, run};
use macro_rules_attribute::apply;
use tempfile::TempDir;

/// The program, compiled once.
fn prober() -> &'static Path {
    static PROBER: OnceLock<PathBuf> = OnceLock::new();
    PROBER.get_or_init(|| {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/prober");
        let mut files: Vec<PathBuf> =
            fs::read_dir(source).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.retain(|file| file.extension().is_some_and(|kind| kind == "c"));
        let made = Path::new(env!("CARGO_TARGET_TMPDIR")).join("prober");
        // Another run may use the last one now.
        let new = made.with_extension(std::process::id().to_string());
        run(Command::new("cc").args(["-static", "-O1", "-Wall", "-Wextra", "-o"]).arg(&new).args(files));
        fs::rename(&new, &made).unwrap();
        made
    })
}

/// Programs for the jails of this server alone: those that all tests share, and this one at this place
/// below `usr`.
fn with_program(server: &Server, at: &str, program: &Path) -> TempDir {
    let current = server.settings.data_dir.join("runtime/current");
    let shared = fs::read_link(&current).unwrap();
    let own = tempfile::Builder::new().prefix("runtime-").tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    run(Command::new("cp").arg("-al").arg(shared.join("usr")).arg(own.path()));
    run(Command::new("chmod").arg("0755").arg(own.path()));
    let place = own.path().join("usr").join(at);
    let _ = fs::remove_file(&place);
    run(Command::new("install").args(["-m", "0755"]).args([program, &place]));
    fs::remove_file(&current).unwrap();
    std::os::unix::fs::symlink(own.path(), &current).unwrap();
    own
}

/// A jail on this kind of file system, and a service of the server that nobody may reach.
fn jail(kind: &str, isolation: &str) -> (Server, TestJail, TcpListener) {
    let server = Server::on(kind);
    let isolated = if isolation == "compat" { "ISOLATION=compat\n" } else { "" };
    let jail = server.jail("j", &format!("allowed=0.0.0.0/0\n{isolated}"));
    let service = TcpListener::bind("127.0.0.1:0").unwrap();
    service.set_nonblocking(true).unwrap();
    let port = service.local_addr().unwrap().port();
    fs::write(jail.jail.data().join("prober.conf"), format!("{isolation} {port}\n")).unwrap();
    (server, jail, service)
}

/// Fails if the report has an attempt that went otherwise than it must; says how many it has.
fn judge(report: &str, what: &str) {
    assert!(report.contains("unexpected in all: 0\n"), "{what}:\n{report}");
    let tried: Vec<&str> = report.lines().filter_map(|line| line.strip_prefix("tried: ")).collect();
    eprintln!("{what}: tried {}", tried.join(", "));
}

/// One test for each file system and each isolation of a jail.
macro_rules! everywhere {
    (fn $name:ident($($argument:tt)+) $body:block) => {
        fn $name($($argument)+) $body

        mod $name {
            #[test]
            fn on_btrfs() {
                super::$name("btrfs", "full");
            }

            #[test]
            fn on_ext4() {
                super::$name("ext4", "full");
            }

            #[test]
            fn on_xfs() {
                super::$name("xfs", "full");
            }

            #[test]
            fn in_compat_isolation_on_btrfs() {
                super::$name("btrfs", "compat");
            }

            #[test]
            fn in_compat_isolation_on_ext4() {
                super::$name("ext4", "compat");
            }

            #[test]
            fn in_compat_isolation_on_xfs() {
                super::$name("xfs", "compat");
            }
        }
    };
}

#[apply(everywhere)]
fn in_a_session(kind: &str, isolation: &str) {
    let (server, jail, service) = jail(kind, isolation);
    let _programs = with_program(&server, "bin/prober", prober());
    jail.start();
    let out = jail.ssh().arg("prober").output().unwrap();
    let words = [out.stdout, out.stderr].concat();
    judge(&String::from_utf8_lossy(&words), &format!("in a session, {isolation} on {kind}"));
    assert!(service.accept().is_err(), "a session reached a service of the server");
}

#[apply(everywhere)]
fn in_the_place_of_sshd(kind: &str, isolation: &str) {
    let (server, jail, service) = jail(kind, isolation);
    let _programs = with_program(&server, "sbin/sshd", prober());
    jail.start();
    let mut client = TcpStream::connect(("127.0.0.1", jail.port)).unwrap();
    client.write_all(b"go\n").unwrap();
    let deadline = Instant::now() + Duration::from_secs(120);
    let report = loop {
        let report = fs::read_to_string(jail.jail.data().join("prober.report")).unwrap_or_default();
        if report.contains("unexpected in all: ") {
            break report;
        }
        assert!(Instant::now() < deadline, "the prober has not ended: {report}");
        sleep(Duration::from_millis(50));
    };
    judge(&report, &format!("in the place of sshd, {isolation} on {kind}"));
    assert!(service.accept().is_err(), "sshd reached a service of the server");
}

#[test]
fn an_sshd_that_closes_its_connection_and_stays_fails_the_start_and_does_not_hold_it_up() {
    let server = Server::new();
    let jail = server.jail("j", "allowed=0.0.0.0/0\n");
    let script = server.base().join("sshd");
    fs::write(&script, "#!/bin/sh\nexec 0<&- 1>&-\nexec sleep 100\n").unwrap();
    let _programs = with_program(&server, "sbin/sshd", &script);
    let error = jail.try_start().unwrap_err().to_string();
    assert!(error.contains("sshd does not serve this jail"), "{error}");
}
