//! Attacks by a local user of the server who is not root: on whatever root makes, wherever others may write.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::support::server::BKCTLD;
use crate::support::*;

/// `bkctld` as a root with this umask starts it.
fn with_umask(server: &Server, umask: &str, args: &[&str]) -> Ran {
    let mut command = Command::new("sh");
    server.environment(&mut command);
    command.args(["-c", &format!("umask {umask}; exec \"$@\""), "sh", BKCTLD]).args(args);
    run(command)
}

/// All that root has made for the jails and for itself, without what clients have: their data, their `/var`.
fn found(server: &Server, which: &str) -> Vec<String> {
    let top = server.path("");
    let listing = sh(&format!(
        "cd {}; find state conf lock rules backup \\( -path '*/data' -o -path '*/var' \\) -prune -o ! -type l {which} \
         -printf '%m %p\\n'",
        top.display()
    ));
    listing.lines().map(str::to_owned).collect()
}

#[apply(as_root)]
fn nothing_that_root_makes_may_be_written_to_by_others_whatever_the_umask() {
    for umask in ["000", "002", "077"] {
        let server = Server::on(FsKind::Ext4);
        server.set("FIREWALL_RULES", &server.path("rules").display().to_string());
        let bkctld = |args: &[&str]| with_umask(&server, umask, args).ok();
        for name in ["a", "b"] {
            bkctld(&["init", name]);
        }
        let client = Client::new(&server, "a");
        bkctld(&["start", "all"]);
        client.ssh("umask 000; echo pushed > /data/file; mkdir /data/dir").ok();
        server.last_session("a");
        bkctld(&["ip", "b", "192.0.2.7"]);
        bkctld(&["port", "b", "auto"]);
        bkctld(&["inc"]);
        bkctld(&["-f", "stats"]);
        bkctld(&["rm"]);
        bkctld(&["update", "all"]);
        bkctld(&["metrics", &server.path("state/metrics.prom").display().to_string()]);
        bkctld(&["rename", "b", "c"]);
        bkctld(&["-f", "archive", "c"]);
        let writable = found(&server, "-perm /022 ! -perm -1000");
        assert_eq!(writable, Vec::<String>::new(), "umask {umask}");
        assert_eq!(found(&server, "! -user root"), Vec::<String>::new(), "umask {umask}");
        // A sticky directory that everybody may write to is one for clients, below `var`.
        assert_eq!(found(&server, "-perm /022"), Vec::<String>::new(), "umask {umask}");
    }
}

#[apply(as_root)]
fn what_root_keeps_of_clients_is_not_shown_to_others() {
    let server = Server::on(FsKind::Ext4);
    // What is below is only closed by itself.
    fs::set_permissions(server.path(""), fs::Permissions::from_mode(0o755)).unwrap();
    let client = server.started("a");
    client.ssh("echo pushed > /data/file").ok();
    server.last_session("a");
    server.bkctld(&["inc", "a"]).ok();
    server.bkctld(&["-f", "stats"]).ok();
    let reads = |path: &str| {
        let script =
            format!("setpriv --reuid 65534 --regid 65534 --clear-groups sh -c 'ls {path}/. || cat {path}'");
        let mut command = Command::new("sh");
        command.args(["-c", &script]);
        run(command).code == 0
    };
    let at = |below: &str| server.path(below).display().to_string();
    assert!(reads(&at("conf/a.d/incs_policy")), "the fixture shows nothing");
    for secret in [
        "backup/jails/a",
        "backup/jails/a/rootfs/etc/ssh",
        "backup/incs/a",
        "state/sessions/a",
        "state/sizes",
        "lock",
    ] {
        assert!(server.path(secret).exists(), "{secret}");
        assert!(!reads(&at(secret)), "{secret}");
    }
    for (file, mode) in
        [("root/.ssh/authorized_keys", 0o600), ("etc/shadow", 0o600), ("etc/ssh/ssh_host_ed25519_key", 0o600)]
    {
        let file = server.jail("a").join("rootfs").join(file);
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o7777, mode, "{}", file.display());
    }
}

#[apply(as_root)]
fn a_lock_that_another_user_takes_on_the_shared_programs_holds_up_no_session() {
    let server = Server::on(FsKind::Ext4);
    fs::set_permissions(server.path(""), fs::Permissions::from_mode(0o755)).unwrap();
    let client = server.init("a");
    let runtime = server.path("state/runtime");
    // As the program made it before.
    fs::set_permissions(&runtime, fs::Permissions::from_mode(0o755)).unwrap();
    server.bkctld(&["start", "a"]).ok();
    let mut attack = Command::new("setpriv");
    attack.args(["--reuid", "65534", "--regid", "65534", "--clear-groups", "sh", "-c"]);
    attack.arg(format!("flock -x {}/current/. sleep 60", runtime.display()));
    let mut attack = attack.stderr(Stdio::null()).spawn().unwrap();
    // Has its lock, or was refused.
    std::thread::sleep(Duration::from_millis(500));
    let session = client.begin("echo hello").finish_within(Duration::from_secs(30));
    let _ = attack.kill();
    let _ = attack.wait();
    session.ok().says("hello");
}

#[apply(as_root)]
fn who_may_write_what_root_reads_is_told_by_check_setup() {
    let server = Server::on(FsKind::Ext4);
    server.init("a");
    let told = |word: &str| {
        let ran = server.bkctld(&["check-setup"]);
        ran.out().lines().filter(|line| line.starts_with("WARNING") && line.contains(word)).count()
    };
    assert_eq!(told("may be written to by others"), 0);
    for (name, place) in [
        ("CONFDIR", "conf"),
        ("DATADIR", "state"),
        ("JAILDIR", "backup/jails"),
        ("INCDIR", "backup/incs"),
        ("the configuration", "bkctld.conf"),
    ] {
        let path = server.path(place);
        let before = fs::metadata(&path).unwrap().permissions();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).unwrap();
        assert_eq!(told(&format!("{name} {}: {0} may be written to by others", path.display())), 1, "{name}");
        fs::set_permissions(&path, before).unwrap();
        std::os::unix::fs::chown(&path, Some(65534), None).unwrap();
        assert_eq!(told(&format!("{name} {}: {0} belongs to uid 65534", path.display())), 1, "{name}");
        std::os::unix::fs::chown(&path, Some(0), None).unwrap();
    }
    // On the way there it counts as much.
    fs::set_permissions(server.backup(), fs::Permissions::from_mode(0o775)).unwrap();
    assert_eq!(told(&format!("{} may be written to by others", server.backup().display())), 3);
}
