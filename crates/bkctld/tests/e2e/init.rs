//! `init`: the jail as a directory.

use crate::support::digest::disk_usage;
use crate::support::*;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

#[apply(on_each_fs)]
fn init_makes_the_jail_that_the_specification_describes(fs: FsKind) {
    let server = Server::on(fs);
    server.use_built_in_templates();
    server.bkctld(&["init", "a"]).ok();
    let jail = server.jail("a");
    assert_eq!(fs::read_to_string(jail.join("version")).unwrap().trim(), "2");
    for dir in ["rootfs/etc/ssh", "rootfs/root/.ssh", "rootfs/usr", "var/log", "data"] {
        assert!(jail.join(dir).is_dir(), "{dir}");
    }
    for file in ["etc/passwd", "etc/shadow", "etc/group", "etc/os-release", "etc/ssh/sshd_config"] {
        assert!(jail.join("rootfs").join(file).is_file(), "{file}");
    }
    let keys = jail.join("rootfs/root/.ssh/authorized_keys");
    assert_eq!((fs::read(&keys).unwrap().len(), fs::metadata(&keys).unwrap().mode() & 0o777), (0, 0o600));
    assert!(jail.join("var/log/lastlog").is_file());
    assert!(server.path("conf/a.d/incs_policy").is_file() && server.path("conf/a.d/check_policy").is_file());
    assert!(server.path("backup/incs/a").is_dir());
    for kind in ["ed25519", "ecdsa", "rsa"] {
        let key = jail.join(format!("rootfs/etc/ssh/ssh_host_{kind}_key"));
        assert_eq!(fs::metadata(&key).unwrap().mode() & 0o077, 0, "{key:?}");
        assert!(key.with_extension("pub").is_file(), "{key:?}");
    }
    let config = fs::read_to_string(jail.join("rootfs/etc/ssh/sshd_config")).unwrap();
    assert!(config.lines().any(|line| line.trim() == "Port 2222"), "{config}");
    assert!(config.lines().any(|line| line.starts_with("AllowUsers root")), "{config}");
    if fs == FsKind::Btrfs {
        assert_eq!(fs::metadata(&jail).unwrap().ino(), 256, "the jail is not a subvolume");
    }
    sh("sync");
    let used = disk_usage(&jail);
    assert!(used < 200_000, "an empty jail takes {used} bytes");
    server.bkctld(&["is-on", "a"]).exits(100);
}

#[apply(on_each_fs)]
fn init_makes_jails_and_incs_on_a_freshly_mounted_partition_only(fs: FsKind) {
    let server = Server::on(fs);
    let (jails, incs) = (server.path("backup/jails"), server.path("backup/incs"));
    let mode = |dir: &Path| {
        let meta = fs::metadata(dir).unwrap();
        (meta.mode() & 0o7777, meta.uid(), meta.gid())
    };
    for dir in [&jails, &incs] {
        fs::remove_dir(dir).unwrap();
    }
    server.bkctld(&["-n", "init", "a"]).ok().says("on port 2222");
    // A new server has no jails; to monitoring it may be one that has lost them.
    server.bkctld(&["list"]).ok().silent();
    for command in ["start", "stop", "reload", "status"] {
        server.bkctld(&[command, "all"]).ok();
    }
    for check in ["check-jails", "check-setup"] {
        server.bkctld(&[check]).exits(3).says("UNKNOWN - cannot read JAILDIR");
    }
    assert!(!jails.exists() && !incs.exists(), "made by a dry run");
    server.bkctld(&["init", "a"]).ok();
    assert_eq!((mode(&jails), mode(&incs)), ((0o700, 0, 0), (0o700, 0, 0)));
    server.bkctld(&["start", "a"]).ok();
    server.bkctld(&["inc"]).ok();
    server.bkctld(&["-f", "remove", "a"]).ok();

    // A link to where nothing is mounted yet is the administrator's.
    fs::remove_dir(&jails).unwrap();
    std::os::unix::fs::symlink(server.path("away/jails"), &jails).unwrap();
    server.bkctld(&["init", "a"]).refuses(&["JAILDIR", "does not exist", "mount"]);
    assert!(!server.path("away").exists(), "made behind a link");
    fs::remove_file(&jails).unwrap();

    // The same where the disk is away: nothing is written below its mount point.
    let bare = server.path("mount-point");
    fs::create_dir(&bare).unwrap();
    server.set("BACKUP_PARTITION", bare.to_str().unwrap());
    for arguments in [&["init", "a"][..], &["-n", "init", "a"]] {
        server.bkctld(arguments).refuses(&["JAILDIR", "does not exist", "mount the backup partition"]);
    }
    server.bkctld(&["list"]).fails();
    assert!(fs::read_dir(&bare).unwrap().next().is_none(), "made below the mount point");
    server.set("BACKUP_PARTITION", server.backup().to_str().unwrap());
}

#[apply(as_root)]
fn init_of_a_jail_that_exists_changes_nothing() {
    let server = Server::on(FsKind::Ext4);
    server.bkctld(&["init", "a"]).ok();
    let before = Digest::of(&server.jail("a"));
    server.bkctld(&["init", "a"]).refuses(&["a", "exists"]);
    before.assert_same(&Digest::of(&server.jail("a")), "the jail after a second init");
}

#[apply(as_root)]
fn an_interrupted_init_leaves_no_half_jail_and_can_be_run_again() {
    let server = Server::on(FsKind::Btrfs);
    server.bkctld(&["init", "first"]).ok();
    for delay in [1, 3, 7, 15, 30, 60, 120] {
        let running = server.begin(&["init", "a"]);
        std::thread::sleep(Duration::from_millis(delay));
        running.kill();
        let listed = server.bkctld(&["list"]).ok().lines();
        let whole = server.jail("a").join("version").is_file()
            && server.jail("a").join("rootfs/etc/ssh/sshd_config").is_file();
        assert_eq!(listed.contains(&"a".to_owned()), whole, "after {delay} ms: {listed:?}");
        if whole {
            server.bkctld(&["-f", "remove", "a"]).ok();
        }
        let again = server.bkctld(&["init", "a"]).ok();
        assert!(server.port("a") > 2222, "{}", again.told());
        server.bkctld(&["-f", "remove", "a"]).ok();
        let left: Vec<_> = fs::read_dir(server.path("backup/jails")).unwrap().flatten().collect();
        assert_eq!(left.len(), 1, "{left:?}");
    }
}

#[apply(as_root)]
fn fifty_jails_made_at_once_get_fifty_ports() {
    let server = Server::on(FsKind::Ext4);
    let names: Vec<String> = (0..50).map(|at| format!("j{at:02}")).collect();
    let running: Vec<_> = names.iter().map(|name| server.begin(&["init", name])).collect();
    for one in running {
        one.finish().ok();
    }
    let mut ports: Vec<u16> = names.iter().map(|name| server.port(name)).collect();
    ports.sort_unstable();
    assert_eq!(ports, (2222..2272).collect::<Vec<u16>>());
    assert_eq!(server.bkctld(&["list"]).ok().lines(), names);
}

#[apply(as_root)]
fn templates_of_the_administrator_win_over_those_of_the_package() {
    let server = Server::on(FsKind::Ext4);
    write(&server.path("tpl/incs_policy.tpl"), "# package\n+%Y-%m-%d.-0day\n");
    write(&server.path("tpl/check_policy.tpl"), "WARNING=7\n");
    write(&server.path("localtpl/incs_policy.tpl"), "# local\n+%Y-%m-%d.-1day\n");
    server.bkctld(&["init", "a"]).ok();
    let policy = |name| fs::read_to_string(server.path(name)).unwrap();
    assert_eq!(policy("conf/a.d/incs_policy"), "# local\n+%Y-%m-%d.-1day\n");
    assert_eq!(policy("conf/a.d/check_policy"), "WARNING=7\n");
}

#[apply(as_root)]
fn a_jail_gets_the_host_keys_that_the_template_names() {
    let server = Server::plain();
    let keys = |jail: &str| -> Vec<String> {
        let entries = fs::read_dir(server.jail(jail).join("rootfs/etc/ssh")).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut keys: Vec<String> = names.filter(|name| name.ends_with("_key")).collect();
        keys.sort();
        keys
    };
    let template = server.path("localtpl/sshd_config");
    write(
        &template,
        "Port 2222\nAllowUsers root@0.0.0.0/0\nHostKey /etc/ssh/ssh_host_ecdsa_key\nHostKey /etc/ssh/mine\n",
    );
    server.bkctld(&["init", "a"]).ok();
    assert_eq!(keys("a"), ["ssh_host_ecdsa_key"]);
    write(&template, "Port 2222\nAllowUsers root@0.0.0.0/0\n");
    server.bkctld(&["init", "b"]).ok();
    assert_eq!(keys("b"), ["ssh_host_ecdsa_key", "ssh_host_ed25519_key", "ssh_host_rsa_key"]);
    write(&template, "AllowUsers root@0.0.0.0/0\nHostKey \"/etc/ssh/open\nPort 2222\n");
    server.bkctld(&["init", "c"]).fails().warns("quote");
    assert!(!server.jail("c").exists());
}
