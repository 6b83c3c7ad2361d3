//! Bad input gets a clear error and changes nothing.

use std::fs;
use std::os::unix::net::UnixListener;
use std::process::Command;

use crate::support::server::{BKCTLD, occupy};
use crate::support::*;

/// Everything that a refused command must leave alone.
fn state(server: &Server) -> [Digest; 2] {
    [Digest::of(&server.backup()), Digest::of(&server.path("conf"))]
}

#[track_caller]
fn assert_nothing_changed(server: &Server, before: &[Digest; 2], what: &str) {
    for (before, after) in before.iter().zip(&state(server)) {
        before.assert_same(after, what);
    }
}

/// Runs a shell script in a mount namespace of its own where one program of the host is not there.
fn without_program(server: &Server, program: &str, script: &str) -> Ran {
    let dir = std::path::Path::new(program).parent().unwrap().display().to_string();
    let mut command = Command::new("unshare");
    server.environment(&mut command);
    command.args(["--mount", "sh", "-euc"]).arg(format!(
        "mkdir -p {0}; mount -t tmpfs none {0}; mkdir {0}/upper {0}/work
         mount -t overlay -o lowerdir={dir},upperdir={0}/upper,workdir={0}/work overlay {dir}
         rm -f {program}; {script}",
        server.path("hidden").display()
    ));
    run(command)
}

#[apply(as_root)]
fn a_name_that_is_none_is_refused_and_changes_nothing() {
    let server = Server::plain();
    let long = "x".repeat(65);
    let before = state(&server);
    let bad = [
        "",
        ".",
        "..",
        "a/b",
        "/",
        "-x",
        "all",
        &long,
        "a b",
        "a\nb",
        "\x1b[31mred",
        "é",
        ".hidden",
        "a\tb",
        "_a",
        "a*",
    ];
    for name in bad {
        server.bkctld(&["init", "--", name]).refuses(&["name"]).silent();
    }
    for name in bad.into_iter().filter(|name| *name != "all") {
        for command in [
            "start", "stop", "is-on", "remove", "update", "port", "ip", "key", "log", "status", "inc", "rm",
            "reload",
        ] {
            let ran = server.bkctld(&["-f", command, "--", name]).exits(1);
            assert!(!ran.err().contains('\x1b') && !ran.err().contains("panicked"), "{}", ran.told());
        }
    }
    assert_nothing_changed(&server, &before, "bad names");
    assert!(!server.path("backup/x").exists());
}

#[apply(as_root)]
fn a_name_that_is_not_utf_8_is_refused_without_a_panic() {
    use std::os::unix::ffi::OsStrExt;
    let server = Server::plain();
    let mut command = server.command(&["init"]);
    command.arg(std::ffi::OsStr::from_bytes(b"a\xff"));
    let ran = run(command).exits(1);
    assert!(!ran.err().contains("panicked"), "{}", ran.told());
}

#[apply(as_root)]
fn a_port_that_is_none_or_belongs_to_another_jail_is_refused() {
    let server = Server::on(FsKind::Ext4);
    server.bkctld(&["init", "a"]).ok();
    server.bkctld(&["init", "b"]).ok();
    let before = state(&server);
    for port in
        ["0", "65536", "22x", "", "-1", "+22", "0x16", " 22", "99999999999999999999", "2222\n", "AUTO"]
    {
        server.bkctld(&["port", "b", "--", port]).refuses(&["port"]).silent();
    }
    server.bkctld(&["port", "b", "2222"]).refuses(&["2222", "a"]);
    assert_nothing_changed(&server, &before, "bad ports");
}

#[apply(as_root)]
fn a_port_that_another_program_has_is_told_at_start() {
    let server = Server::on(FsKind::Ext4);
    let client = server.init("a");
    let other = occupy(client.port);
    let began = std::time::Instant::now();
    let ran = server.bkctld(&["start", "a"]).refuses(&["2222"]);
    assert!(ran.err().contains("in use") || ran.err().contains("taken"), "{}", ran.told());
    assert!(began.elapsed().as_secs() < 15, "`start` took {:?} to fail", began.elapsed());
    server.bkctld(&["is-on", "a"]).exits(100);
    server.assert_quiet();
    drop(other);
    server.bkctld(&["start", "a"]).ok();
    client.ssh("true").ok();
}

#[apply(as_root)]
fn an_address_that_is_none_is_refused_and_changes_nothing() {
    let server = Server::on(FsKind::Ext4);
    server.bkctld(&["init", "a"]).ok();
    server.bkctld(&["ip", "a", "192.0.2.1"]).ok();
    let before = state(&server);
    for address in [
        "10.0.0.300",
        "::g",
        "10.0.0.0/33",
        "2001:db8::/129",
        "",
        "10.0.0",
        "10.0.0.0/",
        "example.org",
        "10.0.0.1 root@10.0.0.2",
        "10.0.0.1\nPermitTunnel yes",
        "*",
        "!10.0.0.1",
        "10.0.0.1,10.0.0.2",
        "-10.0.0.300",
        "-192.0.2.77",
        "\x1b[31m",
        "0.0.0.0/-1",
        "1::2::3",
    ] {
        let ran = server.bkctld(&["ip", "a", "--", address]).refuses(&[]).silent();
        assert!(!ran.err().contains('\x1b'), "{}", ran.told());
    }
    assert_nothing_changed(&server, &before, "bad addresses");
    assert_eq!(server.bkctld(&["ip", "a"]).ok().lines(), ["192.0.2.1"]);
}

#[apply(as_root)]
fn a_key_file_that_is_none_is_refused_and_changes_nothing() {
    let server = Server::on(FsKind::Ext4);
    let client = server.init("a");
    let public = fs::read_to_string(client.file("id.pub")).unwrap();
    let before = state(&server);
    let file = |name: &str, content: &[u8]| {
        let path = server.path(name);
        write(&path, content);
        path.display().to_string()
    };
    fs::create_dir(server.path("directory")).unwrap();
    sh(&format!("mkfifo {}", server.path("fifo").display()));
    drop(UnixListener::bind(server.path("socket")).unwrap());
    let ten_mb = public.repeat((10 << 20) / public.len());
    let bad = [
        server.path("missing").display().to_string(),
        server.path("directory").display().to_string(),
        server.path("fifo").display().to_string(),
        server.path("socket").display().to_string(),
        "/dev/zero".to_owned(),
        client.file("id"),
        file("binary", &(0..=255u8).cycle().take(5000).collect::<Vec<_>>()),
        file("ten-mb", ten_mb.as_bytes()),
        file("garbage", b"ssh-ed25519 AAAAgarbage\n"),
        file("words", b"hello world\n"),
        file("half", &public.as_bytes()[..40]),
        file("second-line", format!("{public}garbage\n").as_bytes()),
        file(
            "with-private",
            format!("{public}{}", fs::read_to_string(client.file("id")).unwrap()).as_bytes(),
        ),
        file("nul", format!("{public}\0\n").as_bytes()),
        file("escape", format!("\x1b[31m {public}").as_bytes()),
    ];
    for path in &bad {
        let ran = server.bkctld(&["key", "a", path]).refuses(&[]).silent();
        assert!(
            !ran.err().contains("PRIVATE") || path.contains("id") || path.contains("private"),
            "{}",
            ran.told()
        );
    }
    server.bkctld_reading(b"garbage\n", &["key", "a", "-"]).refuses(&[]);
    assert_nothing_changed(&server, &before, "bad keys");
    assert_eq!(server.bkctld(&["key", "a"]).ok().out(), public);
}

#[apply(as_root)]
fn a_jail_directory_that_is_missing_or_a_file_is_refused_and_not_made() {
    let server = Server::plain();
    for (name, value) in [("JAILDIR", "no/such/dir"), ("JAILDIR", "bkctld.conf")] {
        let place = server.path(value).display().to_string();
        server.set(name, &place);
        for args in [&["init", "a"][..], &["list"], &["status"]] {
            server.bkctld(args).refuses(&[&place]).silent();
        }
        assert!(!server.path("no").exists(), "made a JAILDIR");
    }
    server.set("JAILDIR", server.path("backup/jails").to_str().unwrap());
}

#[apply(as_root)]
fn policy_lines_that_are_no_rules_fail_at_inc_neither_silently_nor_with_loss() {
    let server = Server::on(FsKind::Ext4);
    server.init("a");
    server.policy("a", "+%Y-%m-%d.2day\n");
    // An inc is never the wrong thing: a bad policy keeps `rm` from deleting, not `inc` from making.
    server.bkctld(&["inc", "a"]).ok();
    let inc = server.only_inc("a");
    server.bkctld(&["rm", "a"]).refuses(&["a.d/incs_policy:1"]);
    assert_eq!(server.only_inc("a"), inc);
}

#[apply(as_root)]
fn a_session_policy_that_is_none_fails_the_start_and_names_its_line() {
    let server = Server::on(FsKind::Ext4);
    server.init("a");
    for bad in [
        "ISOLATION=none\n",
        "ISOLATION=$(id)\n",
        "MAX_SESSIONS=0\n",
        "MAX_SESSIONS=-1\n",
        "MAX_SESSIONS=x\n",
        "ISOLATION=\"compat\n",
    ] {
        write(&server.path("conf/a.d/session_policy"), bad);
        server.bkctld(&["start", "a"]).exits(1).warns("session_policy:1");
        server.bkctld(&["is-on", "a"]).exits(100);
    }
    server.assert_quiet();
}

#[apply(as_root)]
fn an_sshd_config_that_is_none_fails_the_start_with_the_reason() {
    let server = Server::on(FsKind::Ext4);
    server.init("a");
    let config = server.jail("a").join("rootfs/etc/ssh/sshd_config");
    let good = fs::read_to_string(&config).unwrap();
    let without_port: String =
        good.lines().filter(|line| !line.starts_with("Port")).map(|line| format!("{line}\n")).collect();
    for bad in [&without_port[..], "", "Port 0\nAllowUsers root\n", "Port x\n"] {
        fs::write(&config, bad).unwrap();
        server.bkctld(&["start", "a"]).fails();
        server.bkctld(&["status", "all"]).out();
        server.bkctld(&["is-on", "a"]).exits(100);
    }
    fs::write(&config, format!("{good}NoSuchDirective yes\n")).unwrap();
    let ran = server.bkctld(&["start", "a"]).fails();
    assert!(ran.err().contains("NoSuchDirective"), "the reason of sshd is not told: {}", ran.told());
    fs::write(&config, good).unwrap();
    server.bkctld(&["start", "a"]).ok();
}

#[apply(as_root)]
fn a_missing_sshd_or_rsync_is_named() {
    for program in ["/usr/sbin/sshd", "/usr/bin/rsync"] {
        let server = Server::on(FsKind::Ext4);
        let before = state(&server);
        let ran = without_program(&server, program, &format!("exec {BKCTLD} init a")).refuses(&[]);
        let name = program.rsplit('/').next().unwrap();
        assert!(ran.err().contains(name), "{}", ran.told());
        assert_nothing_changed(&server, &before, "init without a program");
        // A server that has its runtime goes on with it.
        server.bkctld(&["init", "a"]).ok();
        without_program(&server, program, &format!("{BKCTLD} update a")).exits(1);
        server.started("b").ssh("true").ok();
    }
}

#[apply(on_each_fs)]
fn a_full_disk_loses_nothing_and_says_so(fs: FsKind) {
    // XFS and btrfs have their least sizes.
    let server = Server::sized(fs, 320);
    let client = server.started("a");
    client.ssh("echo one > /data/one").ok();
    let first = server.take_inc(-5, "a");
    let digest = Digest::of(&first);
    let keys = server.bkctld(&["key", "a"]).ok().out();
    let policy = Digest::of(&server.path("conf"));
    // Big files first, then whatever is left, until not one more block is free.
    let fill = server.data("a").join("fill");
    sh(&format!(
        "mkdir {0}; for size in 16M 1M 64k 4k 1k 1; do i=0; while head -c $size /dev/urandom > {0}/$size.$i 2>/dev/null; do i=$((i+1)); [ $i -lt 3000 ] || break; done; done; sync",
        fill.display()
    ));
    let before: Vec<String> = server.inc_dir_entries("a");
    let ran = server.bkctld(&["inc", "a"]);
    // A snapshot, or clones, may still find room; a copy cannot.
    if fs == FsKind::Ext4 {
        let ran = ran.exits(1);
        assert!(ran.err().contains("space") || ran.err().contains("room"), "{}", ran.told());
        assert_eq!(server.inc_dir_entries("a"), before);
    } else if ran.code != 0 {
        assert!(ran.err().contains("space") || ran.err().contains("room"), "{}", ran.told());
    }
    digest.assert_same(&Digest::of(&first), "the inc before the disk was full");
    let ran = server.bkctld(&["init", "b"]);
    if ran.code == 0 {
        server.bkctld(&["-f", "remove", "b"]).ok();
    } else {
        assert!(ran.err().contains("space") && !server.jail("b").exists(), "{}", ran.told());
    }
    server.bkctld(&["key", "a", &client.file("id.pub")]);
    assert_eq!(server.bkctld(&["key", "a"]).ok().out(), keys);
    policy.assert_same(&Digest::of(&server.path("conf")), "policies on a full disk");
    let mut push = client.rsync_command(&["-a", "/usr/bin/perl", "jail:/data/"]);
    push.env("LC_ALL", "C");
    run(push).fails();
    // Room again, and all goes on. An inc that found room holds what filled the disk.
    fs::remove_dir_all(&fill).unwrap();
    for inc in server.incs("a").into_iter().filter(|inc| *inc != first) {
        match fs {
            FsKind::Btrfs => sh(&format!("btrfs -q subvolume delete --commit-after {}", inc.display())),
            FsKind::Ext4 | FsKind::Xfs => sh(&format!("rm -rf {}", inc.display())),
        };
    }
    if fs == FsKind::Btrfs {
        sh(&format!("btrfs subvolume sync {}", server.backup().display()));
    }
    server.take_inc(3, "a");
    digest.assert_same(&Digest::of(&first), "the inc before the disk was full");
    client.rsync(&["-a", "/usr/bin/perl", "jail:/data/"]).ok();
}

#[apply(on_each_fs)]
fn a_read_only_disk_gives_an_error_and_no_damage(fs: FsKind) {
    let server = Server::on(fs);
    let client = server.started("a");
    client.ssh("echo one > /data/one").ok();
    server.take_inc(-5, "a");
    server.bkctld(&["stop", "a"]).ok();
    let before = state(&server);
    server.volume().remount("ro");
    let key = client.file("id.pub");
    for args in [
        &["init", "b"][..],
        &["inc", "a"],
        &["-f", "remove", "a"],
        &["port", "a", "4000"],
        &["ip", "a", "192.0.2.1"],
        &["key", "a", &key],
    ] {
        let ran = server.bkctld(args).exits(1);
        assert!(ran.err().to_lowercase().contains("read-only"), "{}", ran.told());
    }
    server.bkctld(&["status"]).ok().says("a");
    server.bkctld(&["list"]).ok();
    server.volume().remount("rw");
    assert_nothing_changed(&server, &before, "a read-only disk");
    server.bkctld(&["start", "a"]).ok();
    server.take_inc(1, "a");
}
