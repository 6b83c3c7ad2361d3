//! What a client pushes arrives as it is, and comes back as it was.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

use crate::support::digest::disk_usage;
use crate::support::run::start;
use crate::support::*;

/// What a backup client uses.
const FAITHFUL: [&str; 3] = ["-aHAX", "--numeric-ids", "--sparse"];

/// Demands that rsync sees no difference between two trees, in either direction of time: not a
/// mode, owner, date, attribute, link or missing name.
#[track_caller]
fn assert_rsync_sees_no_difference(from: &Path, to: &Path) {
    let mut command = std::process::Command::new("rsync");
    command.args(["-aHAXn", "--numeric-ids", "--itemize-changes", "--delete"]);
    // XFS shows each ACL a second time, in its own form; `-A` compares the ACLs themselves.
    command.arg("--filter=-x trusted.SGI_ACL_*");
    command.arg(format!("{}/", from.display())).arg(format!("{}/", to.display()));
    let ran = start(command, b"").finish_within(Duration::from_secs(300)).ok().silent();
    assert!(ran.err().is_empty(), "{}", ran.told());
}

/// rsync as a backup client runs it, given minutes.
fn long_rsync(client: &Client, args: &[&str]) -> Ran {
    let all = [&FAITHFUL, args].concat();
    start(client.rsync_command(&all), b"").finish_within(Duration::from_secs(400))
}

/// All of `/usr/share` and `/etc` of this machine, and files made to be difficult.
#[apply(on_each_fs)]
fn a_real_tree_goes_in_and_comes_back_the_same(fs: FsKind) {
    let server = Server::on(fs);
    let client = server.started("a");
    let made = server.path("made");
    fs::create_dir(&made).unwrap();
    tree::every_kind(&made);
    tree::sparse(&made.join("sparse"));
    let from = format!("{}/", made.display());
    let pushes: [&[&str]; 2] =
        [&["-R", "/usr/share", "/etc", "jail:/data/host/"], &[&from, "jail:/data/made/"]];
    for push in pushes {
        let ran = long_rsync(&client, push).ok().silent();
        assert!(ran.err().is_empty(), "{}", ran.told());
    }
    let data = server.data("a");
    let assert_same_as_source = |at: &Path| {
        assert_rsync_sees_no_difference(Path::new("/usr/share"), &at.join("host/usr/share"));
        assert_rsync_sees_no_difference(Path::new("/etc"), &at.join("host/etc"));
        assert_rsync_sees_no_difference(&made, &at.join("made"));
        Digest::of(&made).assert_same(&Digest::of(&at.join("made")), "made files");
        assert!(disk_usage(&at.join("made/sparse")) < 1 << 20, "the sparse file was filled");
    };
    assert_same_as_source(&data);

    let inc = server.take_inc(0, "a");
    assert_same_as_source(&inc.join("data"));
    assert_rsync_sees_no_difference(&data, &inc.join("data"));

    let back = server.backup().join("back");
    long_rsync(&client, &["jail:/var/backup/", back.to_str().unwrap()]).ok();
    assert_same_as_source(&back);

    // Nothing to do the second time.
    for push in pushes {
        let again = [&["--itemize-changes"], push].concat();
        long_rsync(&client, &again).ok().silent();
    }
}

#[apply(on_each_fs)]
fn files_of_every_owner_arrive_with_it(fs: FsKind) {
    let server = Server::on(fs);
    let client = server.started("a");
    let source = server.path("source");
    for owner in [0, 1, 33, 65534, 65535, 65536, 70000, 165_536, 2_000_000_001, 4_294_967_294_u32] {
        let path = source.join(owner.to_string());
        write(&path, "x");
        std::os::unix::fs::chown(&path, Some(owner), Some(owner)).unwrap();
    }
    client.rsync(&["-a", "--numeric-ids", &format!("{}/", source.display()), "jail:/data/"]).ok();
    assert_rsync_sees_no_difference(&source, &server.data("a"));
}

#[apply(on_each_fs)]
fn sftp_and_both_scp_protocols_work(fs: FsKind) {
    let server = Server::on(fs);
    let client = server.started("a");
    write(&server.path("one"), "one");
    let one = server.path("one").display().to_string();
    client
        .sftp(&format!("put {one} /data/by-sftp\nrename /data/by-sftp /data/moved\nls -l /data\n"))
        .ok()
        .says("moved");
    client.scp(&[&one, "jail:/data/by-scp"]).ok();
    client.scp(&["-O", &one, "jail:/var/backup/by-old-scp"]).ok();
    for name in ["moved", "by-scp", "by-old-scp"] {
        assert_eq!(fs::read_to_string(server.data("a").join(name)).unwrap(), "one", "{name}");
    }
    let back = server.path("back");
    client.scp(&["jail:/data/moved", back.to_str().unwrap()]).ok();
    assert_eq!(fs::read_to_string(&back).unwrap(), "one");
    let lines = "-get /data/no-such /dev/null\nmkdir /data/d\nput /etc/passwd /data/d/passwd\nsymlink passwd /data/d/link\n";
    client.sftp(lines).ok();
    assert_eq!(fs::read_link(server.data("a").join("d/link")).unwrap(), Path::new("passwd"));
}

#[apply(as_root)]
fn a_terminal_session_works() {
    let server = Server::on(FsKind::Ext4);
    let client = server.started("a");
    run(client.ssh_command(&["-tt"], &["exit"])).ok();
    run(client.ssh_command(&["-tt"], &["test -t 0 && echo a terminal"])).ok().says("a terminal");
    client.ssh("exit 42").exits(42);
    client.ssh_reading(b"ls -d /data /var/backup\nexit 7\n", "").exits(7).says("/data");
}

#[apply(as_root)]
fn an_interrupted_push_is_taken_up_again() {
    let server = Server::on(FsKind::Ext4);
    let client = server.started("a");
    let source = server.path("source");
    write(&source.join("big"), vec![7; 64 << 20]);
    tree::many(&source.join("many"), 2000);
    let from = format!("{}/", source.display());
    let slow = client.rsync_command(&["-a", "--bwlimit=20m", "--partial", &from, "jail:/data/"]);
    let running = start(slow, b"");
    wait_for("some of it is there", || fs::read_dir(server.data("a")).unwrap().next().is_some());
    running.kill();
    wait_for("the session ends with its client", || server.session_processes().is_empty());
    client.rsync(&["-a", &from, "jail:/data/"]).ok();
    assert_rsync_sees_no_difference(&source, &server.data("a"));
}

#[apply(as_root)]
fn names_that_are_hard_to_say_go_in_and_out_by_every_program() {
    let server = Server::on(FsKind::Btrfs);
    let client = server.started("a");
    let source = server.path("source");
    let long = "l".repeat(255);
    for name in
        [&b"a\nb"[..], b"\xff\xfe", b"$(id)", b"*", b"'q\"", b"back\\slash", b"\x1b[2J", long.as_bytes()]
    {
        write(&source.join(OsStr::from_bytes(name)), name);
    }
    client.rsync(&["-a", &format!("{}/", source.display()), "jail:/data/"]).ok();
    assert_rsync_sees_no_difference(&source, &server.data("a"));
    let inc = server.take_inc(0, "a");
    assert_rsync_sees_no_difference(&source, &inc.join("data"));
    server.bkctld(&["-f", "remove", "a"]).ok();
}
