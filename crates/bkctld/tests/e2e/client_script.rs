//! The script that `bkctld client` prints, run as a client's cron runs it, by both shells that are common on
//! small machines.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::run::{Running, start};
use crate::support::*;

/// What runs the script.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shell {
    Dash,
    /// With busybox's own programs, too.
    Busybox,
    /// Another one, by this command.
    Other(&'static str),
}

/// A client machine: a tree of files, a key, a place for the script and what it needs.
struct Machine<'s> {
    server: &'s Server,
    dir: PathBuf,
    shell: Shell,
}

impl<'s> Machine<'s> {
    /// The client of a jail that is on, with a script for these servers.
    fn new(server: &'s Server, shell: Shell, jail: &str, servers: &[&str]) -> Machine<'s> {
        server.started(jail);
        let dir = server.path(&format!("machine-{jail}"));
        let machine = Machine { server, dir, shell };
        for dir in ["root/etc", "root/tmp", "root/proc", "root/home/ann", "hooks", "bin", "log", "tmp"] {
            fs::create_dir_all(machine.path(dir)).unwrap();
        }
        write(&machine.path("root/etc/hosts"), "127.0.0.1 localhost\n");
        write(&machine.path("root/home/ann/diary"), "a day\n");
        write(&machine.path("root/tmp/scratch"), "scratch");
        write(&machine.path("root/proc/version"), "of the kernel");
        // Whoever sends mail here: the whole mail in a file.
        machine.program("bin/mail", r#"{ echo "$@"; cat; } >>"${0%/bin/mail}/mails""#);
        if shell == Shell::Busybox {
            fs::create_dir(machine.path("busybox")).unwrap();
            sh(&format!("busybox --install -s {}", machine.path("busybox").display()));
        }
        machine.set("");
        machine.take_script(jail, servers);
        machine
    }

    fn path(&self, below: &str) -> PathBuf {
        self.dir.join(below)
    }

    fn take_script(&self, jail: &str, servers: &[&str]) {
        let printed = self.server.bkctld(&[&["client", jail], servers].concat()).ok();
        assert!(printed.stderr.is_empty(), "{}", printed.told());
        fs::write(self.path("backup.sh"), printed.stdout).unwrap();
    }

    /// What the administrator of the machine has changed, and more of it.
    fn set(&self, more: &str) {
        let dir = self.dir.display();
        let key = self.server.path("client-web01/id");
        let text = format!(
            "ROOT={dir}/root\nKEY={}\nLOG={dir}/log/backup.log\nLOCK={dir}/lock\nHOOKS={dir}/hooks\n\
             DUMPS={dir}/root/dumps\nTIMEOUT=10\n{more}\n",
            key.display()
        );
        fs::write(self.path("client.conf"), text).unwrap();
    }

    fn program(&self, name: &str, script: &str) {
        write_program(&self.path(name), format!("#!/bin/sh\n{script}\n"));
    }

    fn command(&self) -> Command {
        let words = match self.shell {
            Shell::Dash => "dash",
            Shell::Busybox => "busybox sh",
            Shell::Other(words) => words,
        };
        let mut words = words.split(' ');
        let mut command = Command::new(words.next().unwrap());
        self.server.environment(&mut command);
        command.env("PATH", format!("{0}/bin:{0}/busybox:/usr/bin:/bin", self.dir.display()));
        command.env("TMPDIR", self.path("tmp")).env("BKCTLD_CLIENT_CONFIG", self.path("client.conf"));
        command.args(words).arg(self.path("backup.sh"));
        command
    }

    fn backup(&self) -> Ran {
        run(self.command())
    }

    fn begin(&self) -> Running {
        start(self.command(), b"")
    }

    fn log(&self) -> String {
        fs::read_to_string(self.path("log/backup.log")).unwrap_or_default()
    }

    #[track_caller]
    fn logged(&self, words: &str) {
        assert!(self.log().contains(words), "'{words}' is not in the log:\n{}", self.log());
    }

    /// The mails so far, which are thereby read.
    fn mails(&self) -> String {
        let mails = fs::read_to_string(self.path("mails")).unwrap_or_default();
        let _ = fs::remove_file(self.path("mails"));
        mails
    }

    /// What the jail has of a file.
    fn sent(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.server.data("web01").join(name)).ok()
    }
}

macro_rules! by_each_shell {
    ($($(#[$meta:meta])* fn $name:ident($shell:ident) $body:block)+) => {$(
        $(#[$meta])*
        mod $name {
            use super::*;

            fn check($shell: Shell) $body

            #[test]
            fn by_dash() {
                if can_run() { check(Shell::Dash) }
            }

            #[test]
            fn by_busybox() {
                if can_run() { check(Shell::Busybox) }
            }
        }
    )+};
}

by_each_shell! {
    fn the_script_sends_the_machine_with_all_that_a_file_has(shell) {
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

    fn another_server_is_taken_where_one_does_not_answer(shell) {
        let server = Server::on(FsKind::Ext4);
        let machine = Machine::new(&server, shell, "web01", &["127.0.0.1:1", "localhost"]);
        machine.backup().ok();
        machine.logged("127.0.0.1:1 did not take the backup");
        assert!(machine.sent("etc/hosts").is_some());
        assert_eq!(machine.mails(), "");
        server.bkctld(&["stop", "web01"]).ok();
        machine.backup().exits(3).silent();
        let mail = machine.mails();
        assert!(mail.contains("into jail web01: exit code 3") && mail.contains("no server took the backup"), "{mail}");
    }

    fn a_server_with_another_host_key_gets_nothing(shell) {
        let server = Server::on(FsKind::Ext4);
        server.started("other");
        // The key may log in there, so that only the host key is against it.
        let machine = Machine::new(&server, shell, "web01", &[]);
        let key = server.path("client-web01/id.pub").display().to_string();
        server.bkctld(&["key", "other", &key]).ok();
        machine.take_script("web01", &[&format!("127.0.0.1:{}", server.port("other")), "127.0.0.1"]);
        machine.backup().exits(4);
        machine.logged("has another host key than it should have");
        assert!(machine.mails().contains("exit code 4"));
        assert!(!server.data("other").join("etc").exists());
        assert!(machine.sent("etc/hosts").is_some(), "the right server takes the backup");
        fs::remove_file(server.data("web01").join("etc/hosts")).unwrap();
        machine.take_script("web01", &[&format!("127.0.0.1:{}", server.port("other"))]);
        machine.backup().exits(4);
        assert_eq!(machine.sent("etc/hosts"), None);
    }

    fn only_one_runs_at_a_time_and_a_dead_one_blocks_nobody(shell) {
        let server = Server::on(FsKind::Ext4);
        let machine = Machine::new(&server, shell, "web01", &["127.0.0.1"]);
        let dir = machine.dir.display().to_string();
        machine.program("hooks/wait", &format!("[ ! -e {dir}/hold ] || {{ echo $$ >{dir}/held; exec sleep 300; }}"));
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
        machine.backup().ok();
        assert!(fs::symlink_metadata(machine.path("lock.pid")).is_err());
    }

    fn what_was_not_sent_is_an_exit_code_and_a_mail(shell) {
        let server = Server::on(FsKind::Ext4);
        let machine = Machine::new(&server, shell, "web01", &["127.0.0.1"]);
        sh(&format!("mknod {}/root/etc/node c 1 3", machine.dir.display()));
        // Device nodes cannot be stored without ISOLATION=compat.
        machine.set("DEVICES=yes\nMAILTO='root ann@example.org'");
        machine.backup().exits(1).silent();
        let mail = machine.mails();
        assert!(mail.starts_with("-s backup of ") && mail.contains("root ann@example.org\n"), "{mail}");
        assert!(mail.contains("rsync ended with exit code 23") && mail.contains("etc/node"), "{mail}");
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

    fn hooks_run_before_and_one_that_fails_does_not_keep_the_rest_back(shell) {
        let server = Server::on(FsKind::Ext4);
        let machine = Machine::new(&server, shell, "web01", &["127.0.0.1"]);
        machine.program("hooks/10-dump", "echo dump >$DUMPS/dump");
        machine.program("hooks/20-uses-it", "cat $DUMPS/dump >$DUMPS/copy");
        machine.program("hooks/30-old.bak", "exit 9");
        machine.program("hooks/40-off", "exit 9");
        fs::set_permissions(machine.path("hooks/40-off"), fs::Permissions::from_mode(0o644)).unwrap();
        machine.backup().ok();
        assert_eq!(machine.sent("dumps/copy").as_deref(), Some("dump\n"));
        machine.program("hooks/20-uses-it", "echo no database; exit 7");
        machine.program("hooks/10-dump", "echo newer >$DUMPS/dump");
        machine.backup().exits(5);
        let mail = machine.mails();
        assert!(mail.contains("hook 20-uses-it failed with exit code 7") && mail.contains("no database"), "{mail}");
        assert_eq!(machine.sent("dumps/dump").as_deref(), Some("newer\n"));
    }

    fn a_signal_ends_the_run_and_all_that_it_started(shell) {
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
        assert!(!fs::read_dir(server.data("web01").join("home")).unwrap().any(|entry| {
            entry.unwrap().file_name().as_encoded_bytes().starts_with(b".rsync")
        }));
    }

    fn an_rsync_that_knows_little_sends_what_it_can(shell) {
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
}

as_root! {
    fn only_what_is_named_is_sent_with_its_path_and_the_canary() {
        let server = Server::on(FsKind::Ext4);
        let machine = Machine::new(&server, Shell::Dash, "web01", &["127.0.0.1"]);
        write(&machine.path("root/srv/a dir/file"), "x");
        machine.set("SOURCES='/etc\n/srv/a dir\n'\nMORE_EXCLUDES='/etc/hosts'");
        machine.backup().ok();
        assert_eq!((machine.sent("srv/a dir/file").as_deref(), machine.sent("home/ann/diary")), (Some("x"), None));
        assert!(server.data("web01").join("etc").is_dir() && machine.sent("etc/hosts").is_none());
        server.bkctld(&["check-canary", "web01"]).ok();
        machine.set("SOURCES='/etc\n/nowhere'");
        machine.backup().exits(1);
        assert!(machine.mails().contains("nowhere"));
    }

    fn other_shells_run_the_script_too() {
        let server = Server::on(FsKind::Ext4);
        let mut machine = Machine::new(&server, Shell::Dash, "web01", &["127.0.0.1"]);
        let dir = machine.dir.display().to_string();
        machine.program("hooks/wait", &format!("[ ! -e {dir}/hold ] || {{ echo $$ >{dir}/held; exec sleep 300; }}"));
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

    fn a_jail_in_compat_mode_gets_device_nodes_too() {
        let server = Server::on(FsKind::Ext4);
        server.init("web01");
        write(&server.path("conf/web01.d/session_policy"), "ISOLATION=compat\n");
        let printed = server.bkctld(&["client", "web01", "a"]).ok();
        assert!(printed.out().contains("\nDEVICES=yes\n"));
    }

    fn shellcheck_finds_nothing_in_the_script_and_its_examples() {
        let server = Server::plain();
        server.bkctld(&["init", "web01"]).ok();
        let script = server.path("script");
        fs::write(&script, server.bkctld(&["client", "web01", "a.example.org", "[2001:db8::1]:2200"]).ok().stdout)
            .unwrap();
        sh(&format!("shellcheck {}", script.display()));
        for (name, example) in examples(&script) {
            let path = server.path(&name);
            fs::write(&path, example).unwrap();
            sh(&format!("shellcheck {0}; dash -n {0}; busybox sh -n {0}", path.display()));
        }
    }

    fn the_examples_of_hooks_replace_a_dump_only_by_a_whole_one() {
        let server = Server::plain();
        server.bkctld(&["init", "web01"]).ok();
        let script = server.path("script");
        fs::write(&script, server.bkctld(&["client", "web01", "a"]).ok().stdout).unwrap();
        let examples = examples(&script);
        let names: Vec<&str> = examples.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["mysql", "postgresql", "ldap", "redis", "mongodb"]);
        let (bin, dumps) = (server.path("bin"), server.path("dumps"));
        fs::create_dir(&bin).unwrap();
        for program in ["mysqldump", "mariadb-dump", "su", "slapcat", "redis-cli", "mongodump"] {
            // Writes where it is told to, half of it where it fails.
            write_program(&bin.join(program), "#!/bin/sh
                for word; do case $word in --archive=*) exec >\"${word#*=}\" ;; */redis.rdb.new) exec >\"$word\" ;; esac; done
                echo \"begin $TEXT\"; [ -z \"$BROKEN\" ] || exit 3; echo end\n");
        }
        for (name, example) in &examples {
            fs::create_dir(&dumps).unwrap();
            let hook = |text: &str, broken: &str| {
                let mut command = Command::new("dash");
                command.args(["-c", example]).env("DUMPS", &dumps).env("TEXT", text).env("BROKEN", broken);
                command.env("PATH", format!("{}:/usr/bin:/bin", bin.display()));
                run(command)
            };
            hook("first", "").ok();
            let content = || -> Vec<(String, String)> {
                let entries = fs::read_dir(&dumps).unwrap().map(|entry| entry.unwrap().path());
                let mut all: Vec<_> = entries
                    .filter(|path| path.extension().is_none_or(|end| end != "new"))
                    .map(|path| (path.display().to_string(), fs::read_to_string(path).unwrap()))
                    .collect();
                all.sort();
                all
            };
            let first = content();
            assert!(!first.is_empty() && first.iter().all(|(_, text)| text == "begin first\nend\n"), "{name}: {first:?}");
            hook("second", "yes").fails();
            assert_eq!(content(), first, "{name}");
            hook("third", "").ok();
            assert!(content().iter().all(|(_, text)| text == "begin third\nend\n"), "{name}");
            fs::remove_dir_all(&dumps).unwrap();
        }
    }

    fn the_command_takes_servers_by_name_and_refuses_what_is_none() {
        let server = Server::plain();
        server.set("NODE", "root@mirror.example.org 2001:db8::9");
        server.bkctld(&["client", "web01"]).exits(2);
        server.bkctld(&["init", "web01"]).ok();
        for bad in ["a;reboot", "$(x)", "a b", "-x", "a:0", "'"] {
            server.bkctld(&["client", "web01", "--", bad]).fails().silent();
        }
        let json = server.bkctld(&["client", "web01", "backup.example.org:2299", "--json"]).ok().json();
        assert_eq!(
            json["servers"],
            serde_json::json!(["backup.example.org:2299", "mirror.example.org:2222", "[2001:db8::9]:2222"])
        );
        let known = json["known_hosts"].as_array().unwrap();
        assert!(known.len() >= 3 && known.len().is_multiple_of(3) && known.iter().all(|line| line.as_str().unwrap().starts_with('[')));
        let text = json["text"].as_str().unwrap();
        assert!(known.iter().all(|line| text.contains(&format!("\n{}\n", line.as_str().unwrap()))));
        // Without an argument: this host, as clients may know it.
        let own = server.bkctld(&["client", "web01", "--json"]).ok().json();
        let host = own["servers"][0].as_str().unwrap().to_owned();
        assert!(host.ends_with(":2222") && !host.starts_with("localhost"), "{host}");
    }
}

/// Has the script not find a program that this host may have.
fn lacking(program: &str) -> String {
    format!("command() {{ [ \"$2\" != '{program}' ] && type \"$2\" >/dev/null 2>&1; }}")
}

/// The examples of hooks in the script: name and text.
fn examples(script: &Path) -> Vec<(String, String)> {
    let text = fs::read_to_string(script).unwrap();
    let mut found: Vec<(String, String)> = Vec::new();
    let mut before = "";
    for line in text.lines() {
        if let Some(line_of_hook) = line.strip_prefix("#: ") {
            if line_of_hook == "#!/bin/sh" {
                let name = before.trim_start_matches("# ").split(':').next().unwrap();
                found.push((name.to_owned(), String::new()));
            }
            let (_, example) = found.last_mut().unwrap();
            example.push_str(line_of_hook);
            example.push('\n');
        }
        before = line;
    }
    found
}
