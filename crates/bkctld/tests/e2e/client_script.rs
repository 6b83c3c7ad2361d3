//! The script that `bkctld client` prints, run as a client's cron runs it, by both shells that are common on
//! small machines.

mod machine;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use self::machine::{Machine, Shell, lacking};
use crate::support::*;

/// One test for each shell: `#[apply(by_each_shell)] fn name_of_the_test(shell: Shell) { … }`.
macro_rules! by_each_shell {
    ($(#[$meta:meta])* fn $name:ident($($argument:tt)+) $body:block) => {
        fn $name($($argument)+) $body

        $(#[$meta])*
        mod $name {
            use super::Shell;
            use crate::support::cases::can_run;

            #[test]
            fn by_dash() {
                if can_run() {
                    super::$name(Shell::Dash);
                }
            }

            #[test]
            fn by_busybox() {
                if can_run() {
                    super::$name(Shell::Busybox);
                }
            }
        }
    };
}

#[apply(by_each_shell)]
fn the_script_sends_the_machine_with_all_that_a_file_has(shell: Shell) {
    let server = Server::on(FsKind::Ext4);
    let machine = Machine::new(&server, shell, "web01", &["127.0.0.1"]);
    let root = machine.path("root");
    sh(&format!(
        "cd {}
        ln etc/hosts etc/hosts.again
        ln -s hosts etc/link
        echo x >etc/capable; setcap cap_net_raw+ep etc/capable
        setfacl -m u:12345:rw etc/hosts
        setfattr -n user.note -v kept etc/hosts
        setfattr -n trusted.note -v stays etc/hosts
        setfattr -n security.selinux -v system_u:object_r:etc_t:s0 etc/hosts
        chown 4711:4712 home/ann/diary
        mknod etc/node c 1 3
        mkdir other",
        root.display()
    ));
    // What another server has mounted here, as far as the kind of the mount tells.
    let other = root.join("other");
    sh(&format!("mount -t tmpfs none {0} && echo theirs >{0}/file", other.display()));
    let first = machine.backup().ok().silent();
    sh(&format!("umount {}", other.display()));
    assert!(first.stderr.is_empty(), "cron would mail this: {}", first.told());
    assert_eq!(machine.mails(), "");
    machine.logged("ended with exit code 0");
    let data = server.data("web01");
    sh(&format!("diff -r --no-dereference -x node {}/etc {}/etc", root.display(), data.display()));
    sh(&format!(
        "cd {}
        [ etc/hosts -ef etc/hosts.again ]
        getcap etc/capable | grep cap_net_raw
        getfacl -n etc/hosts | grep user:12345:rw-
        [ \"$(getfattr --only-values -n user.note etc/hosts)\" = kept ]
        [ \"$(stat -c %u:%g home/ann/diary)\" = 4711:4712 ]
        [ -d tmp ] && [ ! -e tmp/scratch ]
        [ -d proc ] && [ ! -e proc/version ]
        [ -d other ] && [ ! -e other/file ]
        [ ! -e etc/node ]",
        data.display()
    ));
    assert_eq!(server.last_session("web01")["kind"], "rsync-push");
    server.bkctld(&["check-canary", "web01"]).ok();

    fs::remove_file(root.join("home/ann/diary")).unwrap();
    write(&root.join("home/ann/novel"), "Chapter 1\n");
    machine.set("MORE_EXCLUDES='/etc/link'");
    machine.backup().ok();
    assert_eq!((machine.sent("home/ann/diary"), machine.sent("home/ann/novel").is_some()), (None, true));
    assert!(fs::symlink_metadata(data.join("etc/link")).is_err(), "what is excluded later on goes");
    assert_eq!(machine.sent("zzz_evobackup/canary").unwrap().lines().count(), 2);
}

#[apply(by_each_shell)]
fn another_server_is_taken_where_one_does_not_answer(shell: Shell) {
    let server = Server::on(FsKind::Ext4);
    let machine = Machine::new(&server, shell, "web01", &["127.0.0.1:1", "localhost"]);
    machine.backup().ok();
    machine.logged("127.0.0.1:1 did not accept the backup");
    assert!(machine.sent("etc/hosts").is_some());
    assert_eq!(machine.mails(), "");
    server.bkctld(&["stop", "web01"]).ok();
    machine.backup().exits(3).silent();
    let mail = machine.mails();
    assert!(
        mail.contains("into jail web01: exit code 3") && mail.contains("no server took the backup"),
        "{mail}"
    );
}

#[apply(by_each_shell)]
fn a_server_with_another_host_key_gets_nothing(shell: Shell) {
    let server = Server::on(FsKind::Ext4);
    server.started("other");
    // The key may log in there, so that only the host key is against it.
    let machine = Machine::new(&server, shell, "web01", &[]);
    let key = server.path("client-web01/id.pub").display().to_string();
    server.bkctld(&["key", "other", &key]).ok();
    machine.take_script("web01", &[&format!("127.0.0.1:{}", server.port("other")), "127.0.0.1"]);
    machine.backup().exits(4);
    machine.logged("has a wrong host key");
    assert!(machine.mails().contains("exit code 4"));
    assert!(!server.data("other").join("etc").exists());
    assert!(machine.sent("etc/hosts").is_some(), "the right server takes the backup");
    fs::remove_file(server.data("web01").join("etc/hosts")).unwrap();
    machine.take_script("web01", &[&format!("127.0.0.1:{}", server.port("other"))]);
    machine.backup().exits(4);
    assert_eq!(machine.sent("etc/hosts"), None);
}

#[apply(by_each_shell)]
fn only_one_runs_at_a_time_and_a_dead_one_blocks_nobody(shell: Shell) {
    let server = Server::on(FsKind::Ext4);
    let machine = Machine::new(&server, shell, "web01", &["127.0.0.1"]);
    let dir = machine.dir.display().to_string();
    machine
        .program("hooks/wait", &format!("[ ! -e {dir}/hold ] || {{ echo $$ >{dir}/held; exec sleep 300; }}"));
    for without in ["", "flock"] {
        machine.set(&lacking(without));
        write(&machine.path("hold"), "");
        let mut first = machine.begin();
        wait_for("the first run has its lock, or has ended", || {
            let held = fs::metadata(machine.path("held")).is_ok_and(|held| held.len() > 0);
            held || first.child.try_wait().unwrap().is_some()
        });
        assert_eq!(fs::symlink_metadata(machine.path("lock.pid")).is_ok(), without == "flock");
        if first.child.try_wait().unwrap().is_some() {
            panic!("{}\n{}", first.finish().told(), machine.log());
        }
        let second = machine.backup().exits(75).silent();
        assert!(second.stderr.is_empty(), "{}", second.told());
        machine.logged("another run is still going on");
        assert_eq!((machine.mails(), machine.sent("etc/hosts")), (String::new(), None));
        sh(&format!("touch -d '2 days ago' {dir}/lock"));
        machine.backup().exits(75).silent().warns("for more than a day");
        // Without a chance to clear anything away. What it started goes on, and is not waited for.
        first.kill();
        fs::remove_file(machine.path("hold")).unwrap();
        machine.backup().ok();
        assert!(machine.sent("etc/hosts").is_some());
        fs::remove_file(server.data("web01").join("etc/hosts")).unwrap();
        sh(&format!("kill $(cat {dir}/held); rm {dir}/held"));
    }
    // The number of a dead run belongs to another program now.
    sh(&format!("ln -s {} {dir}/lock.pid", std::process::id()));
    // Another was killed while it took that lock over.
    sh(&format!("mkdir {dir}/lock.stale"));
    machine.backup().exits(75);
    sh(&format!("touch -d '2 hours ago' {dir}/lock.stale"));
    machine.backup().ok();
    assert!(fs::symlink_metadata(machine.path("lock.pid")).is_err() && !machine.path("lock.stale").exists());
}

#[apply(by_each_shell)]
fn what_was_not_sent_is_an_exit_code_and_a_mail(shell: Shell) {
    let server = Server::on(FsKind::Ext4);
    let machine = Machine::new(&server, shell, "web01", &["127.0.0.1"]);
    sh(&format!("mknod {}/root/etc/node c 1 3", machine.dir.display()));
    // Device nodes cannot be stored without ISOLATION=compat.
    machine.set("DEVICES=yes\nMAILTO='root ann@example.org'");
    machine.backup().exits(1).silent();
    let mail = machine.mails();
    assert!(mail.starts_with("-s backup of ") && mail.contains("root ann@example.org\n"), "{mail}");
    // Of the file itself, or, by some releases of rsync, of the temporary one that it was to be: `etc/.node.5`.
    assert!(
        mail.contains("rsync ended with exit code 23") && mail.contains("mknod \"/var/backup/etc/"),
        "{mail}"
    );
    assert!(machine.sent("etc/hosts").is_some(), "the rest is there");

    machine.program("bin/sendmail", r#"{ echo "sendmail $*"; cat; } >>"${0%/bin/sendmail}/mails""#);
    fs::remove_file(machine.path("bin/mail")).unwrap();
    machine.set(&format!("DEVICES=yes\nMAILTO='root ann@example.org'\n{}", lacking("mail")));
    machine.backup().exits(1).silent();
    let mail = machine.mails();
    assert!(
        mail.starts_with("sendmail -oi root ann@example.org\nTo: root, ann@example.org\nSubject: backup of "),
        "{mail}"
    );
    // A machine that cannot send any: cron does.
    machine.program("bin/sendmail", "exit 1");
    machine.backup().exits(1).silent().warns("rsync ended with exit code 23");
    machine.set("DEVICES=yes\nMAILTO=");
    let quiet = machine.backup().exits(1);
    assert!(quiet.stderr.is_empty(), "{}", quiet.told());
}

#[apply(by_each_shell)]
fn hooks_run_before_and_one_that_fails_does_not_keep_the_rest_back(shell: Shell) {
    let server = Server::on(FsKind::Ext4);
    let machine = Machine::new(&server, shell, "web01", &["127.0.0.1"]);
    machine.program("hooks/10-dump", "echo dump >$DUMPS/dump");
    machine.program("hooks/20-uses-it", "cat $DUMPS/dump >$DUMPS/copy");
    machine.program("hooks/30-old.bak", "exit 9");
    machine.program("hooks/40-off", "exit 9");
    fs::set_permissions(machine.path("hooks/40-off"), fs::Permissions::from_mode(0o644)).unwrap();
    machine.backup().ok();
    assert_eq!(machine.sent("dumps/copy").as_deref(), Some("dump\n"));
    // As of a whole machine, but only this part of it.
    let root = machine.path("root").display().to_string();
    machine.set(&format!("ROOT=/\nSOURCES={root}\nCANARY={root}/canary\nEXCLUDES=\nFOREIGN=yes"));
    machine.program("hooks/20-uses-it", "echo no database; exit 7");
    machine.program("hooks/10-dump", "echo newer >$DUMPS/dump");
    machine.backup().exits(5);
    let mail = machine.mails();
    assert!(
        mail.contains("hook 20-uses-it failed with exit code 7") && mail.contains("no database"),
        "{mail}"
    );
    assert_eq!(machine.sent(&format!("{}/dumps/dump", &root[1..])).as_deref(), Some("newer\n"));
}

#[apply(by_each_shell)]
fn a_tree_that_is_not_there_does_not_empty_the_live_copy(shell: Shell) {
    let server = Server::on(FsKind::Ext4);
    let machine = Machine::new(&server, shell, "web01", &["127.0.0.1"]);
    let (dir, snapshot) = (machine.dir.display().to_string(), machine.path("snapshot"));
    machine.set(&format!("ROOT={dir}/snapshot\nDUMPS={dir}/dumps"));
    machine.program(
        "hooks/mount",
        &format!("mkdir -p {dir}/snapshot && mount --bind {dir}/root {dir}/snapshot"),
    );
    machine.backup().ok();
    sh(&format!("umount {dir}/snapshot"));
    assert!(machine.sent("etc/hosts").is_some());
    machine.program("hooks/mount", "true");
    for exists in [true, false] {
        if !exists {
            fs::remove_dir(&snapshot).unwrap();
        }
        machine.backup().exits(2);
        assert!(machine.mails().contains("snapshot"));
        assert!(machine.sent("etc/hosts").is_some() && machine.sent("zzz_evobackup/canary").is_some());
    }
    write(&snapshot.join("leftover"), "x");
    machine.program("hooks/mount", "exit 1");
    machine.backup().exits(2);
    assert!(machine.sent("etc/hosts").is_some() && machine.sent("leftover").is_none());
}

#[apply(by_each_shell)]
fn a_signal_ends_the_run_and_all_that_it_started(shell: Shell) {
    let server = Server::on(FsKind::Ext4);
    let machine = Machine::new(&server, shell, "web01", &["127.0.0.1"]);
    // A transfer that takes its time: 16 MiB at 100 KiB a second.
    sh(&format!("head -c 16777216 /dev/urandom >{}/root/home/big", machine.dir.display()));
    machine.set("RSYNC_OPTIONS='--bwlimit=100'");
    let running = machine.begin();
    wait_for("the transfer runs", || server.status("web01")["sessions"]["active"][0]["kind"] == "rsync-push");
    // unshare, sh and env have become the shell itself.
    sh(&format!("kill -TERM {}", running.child.id()));
    running.finish().exits(143);
    machine.logged("interrupted by a signal");
    assert!(machine.mails().contains("exit code 143"));
    wait_for("the session has ended", || server.active_sessions("web01") == 0);
    machine.set("");
    machine.backup().ok();
    assert!(
        !fs::read_dir(server.data("web01").join("home"))
            .unwrap()
            .any(|entry| { entry.unwrap().file_name().as_encoded_bytes().starts_with(b".rsync") })
    );
}

#[apply(by_each_shell)]
fn an_rsync_that_knows_little_sends_what_it_can(shell: Shell) {
    let server = Server::on(FsKind::Ext4);
    let machine = Machine::new(&server, shell, "web01", &["127.0.0.1"]);
    // As openrsync is on OpenBSD.
    machine.program(
        "bin/rsync",
        r#"for option; do
            case $option in
                -H | -A | -X | -R | --delete-excluded | --partial-dir=* | --stats | --no-devices | --filter=*)
                    echo "rsync: unknown option -- $option" >&2; exit 1 ;;
            esac
        done
        exec /usr/bin/rsync "$@""#,
    );
    machine.backup().ok();
    machine.logged("warning: this rsync has no -X");
    assert!(machine.sent("etc/hosts").is_some() && machine.sent("tmp/scratch").is_none());
}

#[apply(as_root)]
fn only_what_is_named_is_sent_with_its_path_and_the_canary() {
    let server = Server::on(FsKind::Ext4);
    let machine = Machine::new(&server, Shell::Dash, "web01", &["127.0.0.1"]);
    write(&machine.path("root/srv/a dir/file"), "x");
    machine.set("SOURCES='/etc\n/srv/a dir\n'\nMORE_EXCLUDES='/etc/hosts'");
    machine.backup().ok();
    assert_eq!(
        (machine.sent("srv/a dir/file").as_deref(), machine.sent("home/ann/diary")),
        (Some("x"), None)
    );
    assert!(server.data("web01").join("etc").is_dir() && machine.sent("etc/hosts").is_none());
    server.bkctld(&["check-canary", "web01"]).ok();
    machine.set("SOURCES='/etc\n/nowhere'");
    machine.backup().exits(1);
    assert!(machine.mails().contains("nowhere"));
}

#[apply(as_root)]
fn the_name_of_a_mount_is_no_option_of_rsync() {
    let server = Server::on(FsKind::Ext4);
    let machine = Machine::new(&server, Shell::Dash, "web01", &["127.0.0.1"]);
    let dir = machine.dir.display().to_string();
    for name in [format!("evil\n--log-file={dir}/log"), "a b [x] *#\\040".to_owned()] {
        let mount = machine.path("root").join(&name);
        write(&mount.join("below"), "");
        let quoted = format!("'{}'", mount.display());
        sh(&format!("mount -t tmpfs none {quoted} && echo theirs >{quoted}/file"));
        machine.backup().ok();
        sh(&format!("umount {quoted}"));
        assert!(!machine.path("log/*").exists(), "rsync took the name of a mount for an option");
        let sent = server.data("web01").join(&name);
        assert!(sent.is_dir() && !sent.join("file").exists(), "{name}");
    }
}

#[apply(as_root)]
fn other_shells_run_the_script_too() {
    let server = Server::on(FsKind::Ext4);
    let mut machine = Machine::new(&server, Shell::Dash, "web01", &["127.0.0.1"]);
    let dir = machine.dir.display().to_string();
    machine
        .program("hooks/wait", &format!("[ ! -e {dir}/hold ] || {{ echo $$ >{dir}/held; exec sleep 300; }}"));
    for shell in ["bash --posix", "mksh", "ksh93", "yash", "zsh --emulate sh"] {
        let name = shell.split(' ').next().unwrap();
        if !Path::new("/usr/bin").join(name).exists() {
            assert_ne!(name, "bash", "every Debian has it");
            eprintln!("skipped {name}: it is not installed");
            continue;
        }
        machine.shell = Shell::Other(shell);
        write(&machine.path("root/etc/shell"), shell);
        machine.backup().ok().silent();
        assert_eq!(machine.sent("etc/shell").as_deref(), Some(shell));
        write(&machine.path("hold"), "");
        let first = machine.begin();
        wait_for("the first run is at its hook", || machine.path("held").exists());
        machine.backup().exits(75);
        sh(&format!("rm {dir}/hold; kill -TERM {}", first.child.id()));
        first.finish().exits(143);
        fs::remove_file(machine.path("held")).unwrap();
    }
}

#[apply(as_root)]
fn access_lists_of_xfs_are_no_error() {
    let server = Server::on(FsKind::Xfs);
    let machine = Machine::new(&server, Shell::Dash, "web01", &["127.0.0.1"]);
    let root = server.backup().join("machine");
    write(&root.join("etc/hosts"), "x");
    sh(&format!("setfacl -m u:12345:rw {}/etc/hosts", root.display()));
    machine.set(&format!("ROOT={}", root.display()));
    machine.backup().ok();
    sh(&format!("getfacl -n {}/etc/hosts | grep user:12345:rw-", server.data("web01").display()));
}

#[apply(as_root)]
fn the_servers_take_turns_where_they_shall() {
    let server = Server::on(FsKind::Ext4);
    let machine = Machine::new(&server, Shell::Dash, "web01", &["127.0.0.1", "localhost"]);
    machine.set("ROTATE=yes");
    let mut first = Vec::new();
    for day in ["2026-03-01", "2026-03-02", "2026-03-03"] {
        machine.program("bin/date", &format!("exec /usr/bin/date --date {day} \"$@\""));
        fs::remove_file(machine.path("log/backup.log")).unwrap_or_default();
        machine.backup().ok();
        let log = machine.log();
        first.push(log.lines().find_map(|line| Some(line.split_once("sending to ")?.1.to_owned())).unwrap());
    }
    assert!(first[0] != first[1] && first[0] == first[2], "{first:?}");
}
