//! What a client can do, and what the server knows of it afterwards.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends where something is not as it must be")]

mod fixture;

use std::fs;
use std::os::unix::fs::{MetadataExt, chown, symlink};
use std::process::Command;
use std::time::SystemTime;

use bkctld_core::session::{Ending, Kind, log_newest_first, without_login};
use fixture::{Server, eventually, run, shown};

#[test]
fn a_command_runs_and_is_recorded_with_key_status_and_bytes() {
    let server = Server::new();
    let jail = server.jail("j", "allowed=0.0.0.0/0\n");
    jail.start();
    let out = jail.ssh().arg("echo hello; exit 7").output().unwrap();
    assert_eq!(
        (out.status.code(), out.stdout.as_slice()),
        (Some(7), b"hello\n".as_slice()),
        "{}",
        shown(&out)
    );
    let record = jail.last_session();
    let key = fs::read(server.base().join("id.pub")).unwrap();
    fs::write(server.base().join("k"), key).unwrap();
    let printed = run(Command::new("ssh-keygen").arg("-lf").arg(server.base().join("k"))).stdout;
    assert!(String::from_utf8(printed).unwrap().contains(record.key.as_deref().unwrap()));
    assert_eq!(record.kind, Some(Kind::Command));
    assert_eq!(record.command.as_deref(), Some("echo hello; exit 7"));
    assert_eq!((record.exit, record.ending), (Some(7), Some(Ending::Closed)));
    assert_eq!(record.source.to_string(), "127.0.0.1");
    assert!(record.bytes_in > 1000 && record.bytes_out > 1000, "{record:?}");
    assert!(record.end.unwrap() >= record.begin);
    let log: Vec<String> = log_newest_first(&jail.jail).unwrap().collect();
    assert!(log.iter().any(|line| line.contains(&record.id) && line.contains("Accepted publickey for root")));
}

#[test]
fn every_login_sets_the_time_of_lastlog_and_follows_nothing_there() {
    let server = Server::new();
    let jail = server.jail("j", "allowed=0.0.0.0/0\n");
    jail.start();
    let lastlog = jail.jail.var().join("log/lastlog");
    jail.run("true");
    assert!(fs::metadata(&lastlog).unwrap().is_file());
    let old = SystemTime::UNIX_EPOCH;
    fs::File::options().write(true).open(&lastlog).unwrap().set_modified(old).unwrap();
    jail.run("true");
    assert!(fs::metadata(&lastlog).unwrap().modified().unwrap() > old);

    let victim = server.base().join("victim");
    fs::write(&victim, "x").unwrap();
    fs::File::options().write(true).open(&victim).unwrap().set_modified(old).unwrap();
    fs::remove_file(&lastlog).unwrap();
    symlink(&victim, &lastlog).unwrap();
    jail.run("true");
    assert_eq!(fs::metadata(&victim).unwrap().modified().unwrap(), old);
    fs::remove_file(&lastlog).unwrap();
    run(Command::new("mkfifo").arg(&lastlog));
    jail.run("true");
}

#[test]
fn rsync_sftp_scp_and_a_terminal_work_and_are_told_apart() {
    let server = Server::new();
    let jail = server.jail("j", "allowed=0.0.0.0/0\n");
    jail.start();
    let source = server.base().join("source");
    fs::create_dir(&source).unwrap();
    for (name, owner) in
        [("root", 0), ("www", 33), ("nobody", 65534), ("far", 70000), ("farther", 2_000_000_001)]
    {
        fs::write(source.join(name), vec![b'x'; 100_000]).unwrap();
        chown(source.join(name), Some(owner), Some(owner)).unwrap();
    }
    let rsync = |args: &[&str]| {
        run(Command::new("rsync").args(["-aHAX", "--numeric-ids", "-e", &jail.rsync_shell()]).args(args))
    };
    rsync(&[&format!("{}/", source.display()), "root@127.0.0.1:/data/"]);
    let record = jail.last_session();
    assert_eq!(
        (record.kind, record.exit, record.ending),
        (Some(Kind::RsyncPush), Some(0), Some(Ending::Closed))
    );
    assert!(record.bytes_in > 10_000);
    for name in ["root", "www", "nobody", "far", "farther"] {
        let there = fs::metadata(jail.jail.data().join(name)).unwrap();
        let here = fs::metadata(source.join(name)).unwrap();
        assert_eq!((there.uid(), there.gid(), there.len()), (here.uid(), here.gid(), here.len()), "{name}");
    }
    let back = server.base().join("back");
    rsync(&["root@127.0.0.1:/var/backup/", back.to_str().unwrap()]);
    assert_eq!(jail.last_session().kind, Some(Kind::RsyncPull));
    let differences = rsync(&["-ni", "--delete", &format!("{}/", back.display()), "root@127.0.0.1:/data/"]);
    assert!(differences.stdout.is_empty(), "{}", shown(&differences));

    let port = jail.port.to_string();
    for (protocol, kind) in [("-O", Kind::Scp), ("-s", Kind::Sftp)] {
        let mut scp = Command::new("scp");
        scp.args(jail.ssh_options()).args([protocol, "-q", "-P", &port]);
        run(scp.arg(source.join("www")).arg("root@127.0.0.1:/data/copied"));
        assert_eq!(jail.last_session().kind, Some(kind));
    }
    assert_eq!(fs::read(jail.jail.data().join("copied")).unwrap().len(), 100_000);

    let mut terminal = Command::new("script");
    let command = format!("{} -tt root@127.0.0.1 <<< 'exit 3'", jail.rsync_shell());
    let out = terminal.args(["-qec", &format!("bash -c \"{command}\""), "/dev/null"]).output().unwrap();
    assert_eq!(out.status.code(), Some(3), "{}", shown(&out));
    let record = jail.last_session();
    assert_eq!((record.kind, record.exit), (Some(Kind::Shell), Some(3)), "{record:?}");
}

#[test]
fn a_client_that_spoils_its_own_mount_point_is_served_without_it() {
    let server = Server::new();
    let jail = server.jail("j", "allowed=0.0.0.0/0\n");
    fs::create_dir(server.base().join("elsewhere")).unwrap();
    symlink(server.base().join("elsewhere"), jail.jail.var().join("backup")).unwrap();
    jail.start();
    jail.run("touch /data/here");
    assert!(jail.jail.data().join("here").exists());
    assert!(fs::read_dir(server.base().join("elsewhere")).unwrap().next().is_none());
    assert!(log_newest_first(&jail.jail).unwrap().any(|line| line.contains("var/backup")));
}

#[test]
fn a_killed_transfer_and_a_failed_login_end_as_what_they_were() {
    let server = Server::new();
    let jail = server.jail("j", "allowed=0.0.0.0/0\n");
    jail.start();
    let mut client = jail.ssh().arg("sleep 60").spawn().unwrap();
    eventually("the session is known", || {
        bkctld_core::session::active(&jail.jail).unwrap().iter().any(|one| one.kind.is_some())
    });
    client.kill().unwrap();
    client.wait().unwrap();
    let record = jail.last_session();
    assert_eq!((record.exit, record.ending), (None, Some(Ending::Closed)), "{record:?}");

    fs::write(jail.jail.authorized_keys(), "").unwrap();
    assert_eq!(jail.ssh().arg("true").output().unwrap().status.code(), Some(255));
    eventually("the refused one is counted", || {
        without_login(&jail.jail).unwrap().is_some_and(|count| (count.connections, count.refused) == (1, 0))
    });
    assert_eq!(jail.last_session(), record);
}

#[test]
fn both_families_are_served_and_only_listed_addresses() {
    let server = Server::new();
    let jail = server.jail("j", "allowed=0.0.0.0/0\n");
    jail.start();
    assert!(jail.ssh_to("::1").arg("true").status().unwrap().success());
    jail.configure(jail.port, "allowed=127.0.0.2/32\n");
    bkctld_core::service::reload(&jail.jail).unwrap();
    assert!(!jail.ssh_to("::1").arg("true").output().unwrap().status.success());
    assert!(!jail.ssh().arg("true").output().unwrap().status.success());
    let mut ssh = Command::new("ssh");
    ssh.args(jail.ssh_options()).args(["-b", "127.0.0.2", "-p", &jail.port.to_string()]);
    run(ssh.args(["root@127.0.0.1", "true"]));
}

#[test]
fn each_file_system_serves_and_none_lets_a_client_make_a_subvolume() {
    for kind in ["ext4", "xfs", "btrfs"] {
        // Each in a thread of its own, whose mounts and network end with it.
        std::thread::spawn(move || {
            let server = Server::on(kind);
            let jail = server.jail("j", "allowed=0.0.0.0/0\n");
            jail.start();
            let script = format!(
                "opendir(my $d, '/data') or die; my $args = pack('q a4088', 0, 'sub'); \
                 my $r = syscall({}, fileno($d), {}, $args); print $!+0; \
                 open(my $f, '>', '/data/f') or die; chown(70000, 2000000001, '/data/f') or die;",
                linux_raw_sys::general::__NR_ioctl,
                linux_raw_sys::ioctl::BTRFS_IOC_SUBVOL_CREATE,
            );
            let out = jail.perl(&script);
            assert_eq!(out, "1", "{kind}: EPERM");
            assert!(!jail.jail.data().join("sub").exists());
            let meta = fs::metadata(jail.jail.data().join("f")).unwrap();
            assert_eq!((meta.uid(), meta.gid()), (70000, 2_000_000_001), "{kind}");
        })
        .join()
        .unwrap();
    }
}
