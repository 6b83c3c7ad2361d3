//! What a client pushes arrives as it is, and comes back as it was.

use std::ffi::{OsStr, OsString};
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
    command.arg(format!("{}/", from.display())).arg(format!("{}/", to.display()));
    let ran = start(command, b"").finish_within(Duration::from_secs(300)).ok().silent();
    assert!(ran.err().is_empty(), "{}", ran.told());
}

on_each_fs! {
    /// All of `/usr/share` and `/etc` of this machine, and files made to be difficult.
    fn a_real_tree_goes_in_and_comes_back_the_same(fs) {
        let server = Server::on(fs);
        let client = server.started("a");
        let source = server.backup().join("source");
        fs::create_dir(&source).unwrap();
        tree::every_kind(&source);
        tree::sparse(&source.join("sparse"));

        // -R keeps /usr/share and /etc apart from the made files, in one run with one set of links.
        let made = format!("{}/./", source.display());
        let mut args: Vec<OsString> = FAITHFUL.iter().map(OsString::from).collect();
        args.extend(["-R", "/usr/share", "/etc", &made, "jail:/data/"].map(OsString::from));
        let pushed = start(client.rsync_command(&args), b"").finish_within(Duration::from_secs(300)).ok();
        assert!(pushed.err().is_empty(), "{}", pushed.told());

        let data = server.data("a");
        assert_rsync_sees_no_difference(Path::new("/usr/share"), &data.join("usr/share"));
        assert_rsync_sees_no_difference(Path::new("/etc"), &data.join("etc"));
        let gathered = server.backup().join("gathered");
        fs::create_dir_all(gathered.join("usr")).unwrap();
        for (from, to) in [("usr/share", "usr"), ("etc", ".")] {
            fs::rename(data.join(from), gathered.join(to).join(Path::new(from).file_name().unwrap())).unwrap();
        }
        fs::remove_dir(data.join("usr")).unwrap();
        assert_rsync_sees_no_difference(&source, &data);
        Digest::of(&source).assert_same(&Digest::of(&data), "made files in the jail");
        assert!(disk_usage(&data.join("sparse")) < 1 << 20, "the sparse file was filled");
        fs::create_dir(data.join("usr")).unwrap();
        fs::rename(gathered.join("usr/share"), data.join("usr/share")).unwrap();
        fs::rename(gathered.join("etc"), data.join("etc")).unwrap();

        let inc = server.take_inc(0, "a");
        assert_rsync_sees_no_difference(&data, &inc.join("data"));
        Digest::of(&data).assert_same(&Digest::of(&inc.join("data")), "the inc");
        assert!(disk_usage(&inc.join("data/sparse")) < 1 << 20, "the sparse file was filled in the inc");

        let back = server.backup().join("back");
        let mut args: Vec<OsString> = FAITHFUL.iter().map(OsString::from).collect();
        args.extend([OsString::from("jail:/var/backup/"), back.clone().into()]);
        start(client.rsync_command(&args), b"").finish_within(Duration::from_secs(300)).ok();
        assert_rsync_sees_no_difference(&data, &back);

        // Nothing to do the second time.
        let mut args: Vec<OsString> = FAITHFUL.iter().map(OsString::from).collect();
        args.extend(["--itemize-changes", "-R", "/usr/share", "/etc", &made, "jail:/data/"].map(OsString::from));
        start(client.rsync_command(&args), b"").finish_within(Duration::from_secs(300)).ok().silent();
    }

    fn files_of_every_owner_arrive_with_it(fs) {
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

    fn sftp_and_both_scp_protocols_work(fs) {
        let server = Server::on(fs);
        let client = server.started("a");
        write(&server.path("one"), "one");
        let one = server.path("one").display().to_string();
        client.sftp(&format!("put {one} /data/by-sftp\nrename /data/by-sftp /data/moved\nls -l /data\n")).ok().says("moved");
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
}

as_root! {
    fn a_terminal_session_works() {
        let server = Server::on(FsKind::Ext4);
        let client = server.started("a");
        run(client.ssh_command(&["-tt"], &["exit"])).ok();
        run(client.ssh_command(&["-tt"], &["test -t 0 && echo a terminal"])).ok().says("a terminal");
        client.ssh("exit 42").exits(42);
        client.ssh_reading(b"ls -d /data /var/backup\nexit 7\n", "").exits(7).says("/data");
    }

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

    fn names_that_are_hard_to_say_go_in_and_out_by_every_program() {
        let server = Server::on(FsKind::Btrfs);
        let client = server.started("a");
        let source = server.path("source");
        let long = "l".repeat(255);
        for name in [&b"a\nb"[..], b"\xff\xfe", b"$(id)", b"*", b"'q\"", b"back\\slash", b"\x1b[2J", long.as_bytes()] {
            write(&source.join(OsStr::from_bytes(name)), name);
        }
        client.rsync(&["-a", &format!("{}/", source.display()), "jail:/data/"]).ok();
        assert_rsync_sees_no_difference(&source, &server.data("a"));
        let inc = server.take_inc(0, "a");
        assert_rsync_sees_no_difference(&source, &inc.join("data"));
        server.bkctld(&["-f", "remove", "a"]).ok();
    }
}
