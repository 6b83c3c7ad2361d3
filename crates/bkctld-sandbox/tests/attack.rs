//! What a client with its key in an attacker's hands cannot do from inside a session.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends where something is not as it must be")]

mod fixture;

use std::fs;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::{SocketAddr, UnixListener};
use std::process::Command;

use fixture::Server;
use linux_raw_sys::general as nr;

/// Perl that prints `NAME ok` or `NAME ERRNO` for each attempt.
const PRELUDE: &str = r#"
$| = 1;
sub try { my ($name, $result) = @_; my $no = $! + 0; print "$name ", ($result ? "ok" : $no), "\n"; }
sub call { my ($name, $number, @args) = @_; $! = 0; my $r = syscall($number, @args); try($name, $r >= 0); return $r; }
"#;

fn verdict<'a>(output: &'a str, name: &str) -> &'a str {
    output
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))
        .unwrap_or_else(|| panic!("no {name} in {output}"))
}

const EPERM: &str = "1";
const EACCES: &str = "13";
const EROFS: &str = "30";
const ENOSYS: &str = "38";
const EAFNOSUPPORT: &str = "97";

#[test]
fn no_network_is_reachable() {
    let server = Server::new();
    let jail = server.jail("j", "allowed=0.0.0.0/0\n");
    let _other = UnixListener::bind_addr(&SocketAddr::from_abstract_name("bkctld-test").unwrap()).unwrap();
    jail.start();
    let out = jail.perl(&format!(
        r#"{PRELUDE}
        sub dial {{ my ($name, $family, $type, $to) = @_;
            socket(my $s, $family, $type, 0) or return try($name, 0);
            $! = 0; try($name, connect($s, $to) && ($type == 1 || send($s, "x", 0))); }}
        dial("tcp", 2, 1, pack("S n C4 x8", 2, {port}, 127, 0, 0, 1));
        dial("udp", 2, 2, pack("S n C4 x8", 2, 53, 192, 0, 2, 1));
        dial("tcp6", 10, 1, pack("S n N C16 N", 10, {port}, 0, (0) x 15, 1, 0));
        dial("abstract", 1, 1, pack("S", 1) . "\0bkctld-test");
        dial("netlink", 16, 3, "");
        dial("vsock", 40, 1, "");
        dial("packet", 17, 3, "");
        "#,
        port = jail.port
    ));
    assert_eq!(verdict(&out, "abstract"), EPERM);
    for family in ["tcp", "udp", "tcp6", "netlink", "vsock", "packet"] {
        assert_eq!(verdict(&out, family), EAFNOSUPPORT, "{family}");
    }
}

#[test]
fn dangerous_system_calls_are_refused() {
    let server = Server::new();
    let jail = server.jail("j", "allowed=0.0.0.0/0\n");
    jail.start();
    let calls = [
        ("mount", nr::__NR_mount, "'tmpfs', '/tmp', 'tmpfs', 0, 0", EPERM),
        ("umount", nr::__NR_umount2, "'/data', 2", EPERM),
        ("unshare", nr::__NR_unshare, "0x10000000", EPERM),
        ("clone", nr::__NR_clone, "0x10000011, 0, 0, 0, 0", EPERM),
        ("clone3", nr::__NR_clone3, "0, 0", ENOSYS),
        ("setns", nr::__NR_setns, "0, 0", EPERM),
        ("ptrace", nr::__NR_ptrace, "16, getppid(), 0, 0", EPERM),
        ("keyctl", nr::__NR_keyctl, "0, 0, 0, 0, 0", EPERM),
        ("bpf", nr::__NR_bpf, "0, 0, 0", EPERM),
        ("io_uring", nr::__NR_io_uring_setup, "1, 0", EPERM),
        ("handle", nr::__NR_open_by_handle_at, "-100, 0, 0", EPERM),
        ("memfd", nr::__NR_memfd_create, "'x', 0", EPERM),
        ("block", nr::__NR_mknodat, "-100, '/data/b', 0060600, 0x700", EPERM),
        ("char", nr::__NR_mknodat, "-100, '/data/c', 0020600, 0x103", EPERM),
        ("fifo", nr::__NR_mknodat, "-100, '/data/f', 0010600, 0", "ok"),
        ("subvolume", nr::__NR_ioctl, "3, 0x5000940e, pack('x4096')", EPERM),
        ("type", nr::__NR_ioctl, "0, 0x5412, 'x'", EPERM),
        ("hostname", nr::__NR_sethostname, "'x', 1", EPERM),
        ("clock", nr::__NR_clock_settime, "0, 0", EPERM),
        ("newer", 999, "0", ENOSYS),
    ];
    let mut script = format!("{PRELUDE}open(D, '<', '/data/.') or opendir(D, '/data');\n");
    for (name, number, args, _) in calls {
        script += &format!("call('{name}', {number}, {args});\n");
    }
    let out = jail.perl(&script);
    for (name, _, _, expected) in calls {
        assert_eq!(verdict(&out, name), expected, "{name}");
    }
    assert!(fs::metadata(jail.jail.data().join("f")).unwrap().file_type().is_fifo());
}

#[test]
fn nothing_but_data_var_and_tmp_can_be_written_and_nothing_written_can_be_run() {
    let server = Server::new();
    let jail = server.jail("j", "allowed=0.0.0.0/0\n");
    jail.start();
    let out = jail.perl(&format!(
        r#"{PRELUDE}
        for my $dir (qw(/ /etc /etc/ssh /root/.ssh /usr /usr/bin /dev /proc/self /var/backup /data /var /tmp /run)) {{
            $! = 0; my $f; my $ok = open($f, '>', "$dir/probe"); try("write:$dir", $ok); }}
        $! = 0; try("chmod", chmod(0777, "/etc/passwd"));
        for my $dir (qw(/data /var /tmp /run)) {{
            system("cp /bin/true $dir/run; /usr/bin/perl -e 'exec \"$dir/run\"; print \"run:$dir \", \$!+0, \"\n\"'"); }}
        "#
    ));
    for dir in ["/", "/etc", "/etc/ssh", "/root/.ssh", "/usr", "/usr/bin", "/dev"] {
        assert_eq!(verdict(&out, &format!("write:{dir}")), EROFS, "{dir}");
    }
    assert_ne!(verdict(&out, "write:/proc/self"), "ok");
    for dir in ["/data", "/var/backup", "/var", "/tmp", "/run"] {
        assert_eq!(verdict(&out, &format!("write:{dir}")), "ok", "{dir}");
    }
    assert_eq!(verdict(&out, "chmod"), EROFS);
    for dir in ["/data", "/var", "/tmp", "/run"] {
        assert_eq!(verdict(&out, &format!("run:{dir}")), EACCES, "{dir}");
    }
    assert_eq!(fs::metadata(jail.jail.data().join("probe")).unwrap().uid(), 0);
}

#[test]
fn the_server_and_other_sessions_cannot_be_seen() {
    let server = Server::new();
    let jail = server.jail("j", "allowed=0.0.0.0/0\n");
    jail.start();
    let mut other = jail.ssh().arg("sleep 31").spawn().unwrap();
    fixture::eventually("the other session runs", || {
        bkctld_core::session::active(&jail.jail).unwrap().iter().any(|one| one.kind.is_some())
    });
    fs::write(server.base().join("secret"), "secret").unwrap();
    let out = jail.perl(&format!(
        r#"{PRELUDE}
        opendir(my $d, "/proc"); my @pids = grep {{ /^\d+$/ }} readdir($d);
        for my $pid (@pids) {{ open(my $f, '<', "/proc/$pid/cmdline"); local $/; my $c = <$f>; $c =~ tr/\0/ /; print "process:$c\n"; }}
        for my $path (qw(/proc/sys /proc/kcore /proc/sysrq-trigger /sys /proc/1/root/etc /proc/1/exe /proc/1/environ)) {{
            $! = 0; my $ok = opendir(my $x, $path) || open(my $y, '<', $path); try("see:$path", $ok); }}
        mkdir "/data/cell"; opendir(my $out, "/");
        $! = 0; chroot("/data/cell") or print "chroot ", $!+0, "\n";
        chdir($out); chdir("..") for 1..20; chroot(".");
        $! = 0; try("escape", open(my $s, '<', "{secret}"));
        opendir(my $root, "/"); print "root:", join(",", sort grep {{ !/^\./ }} readdir($root)), "\n";
        $! = 0; try("kill", kill(9, {host})); 
        open(my $m, '<', "/proc/self/uid_map"); print "map:", scalar(<$m>);
        "#,
        secret = server.base().join("secret").display(),
        host = std::process::id(),
    ));
    other.kill().unwrap();
    other.wait().unwrap();
    assert!(!out.contains("sleep"), "{out}");
    assert!(out.matches("process:").count() < 8, "{out}");
    for path in [
        "/proc/sys",
        "/proc/kcore",
        "/proc/sysrq-trigger",
        "/sys",
        "/proc/1/root/etc",
        "/proc/1/exe",
        "/proc/1/environ",
    ] {
        assert_ne!(verdict(&out, &format!("see:{path}")), "ok", "{path}");
    }
    assert_ne!(verdict(&out, "escape"), "ok");
    assert!(out.contains("root:bin,data,dev,etc,lib,lib64,proc,root,run,sbin,tmp,usr,var\n"), "{out}");
    assert_ne!(verdict(&out, "kill"), "ok");
    let map = out.lines().find_map(|line| line.strip_prefix("map:")).unwrap();
    let numbers: Vec<u64> = map.split_whitespace().map(|number| number.parse().unwrap()).collect();
    assert_eq!(numbers, [0, 0x8000_0000 + u64::from(jail.port) % 0x7fff * 65536, 65536]);
}

#[test]
fn nothing_is_forwarded_although_sshd_config_allows_it() {
    let server = Server::new();
    let jail = server.jail("j", "allowed=0.0.0.0/0\n");
    jail.start();
    let port = jail.port;
    let mut direct = Command::new("ssh");
    direct.args(jail.ssh_options()).args(["-p", &port.to_string(), "-W", &format!("127.0.0.1:{port}")]);
    let out = direct.arg("root@127.0.0.1").output().unwrap();
    assert!(!out.status.success() && !String::from_utf8_lossy(&out.stdout).contains("SSH-"), "{out:?}");
    for forward in [["-R", "9999:127.0.0.1:22"], ["-R", "/data/sock:/tmp/x"]] {
        let mut ssh = Command::new("ssh");
        ssh.args(jail.ssh_options()).args(["-p", &port.to_string(), "-o", "ExitOnForwardFailure=yes"]);
        let out = ssh.args(forward).args(["root@127.0.0.1", "true"]).output().unwrap();
        assert!(!out.status.success(), "{forward:?}");
    }
    let out = jail.ssh().args(["-A", "echo agent:$SSH_AUTH_SOCK"]).output().unwrap();
    assert!(String::from_utf8_lossy(&out.stdout).ends_with("agent:\n") || !out.status.success());
}

#[test]
fn compat_stores_devices_and_trusted_attributes_and_keeps_the_rest_shut() {
    let server = Server::new();
    let jail = server.jail("j", "allowed=0.0.0.0/0\nISOLATION=compat\n");
    jail.start();
    let out = jail.perl(&format!(
        r#"{PRELUDE}
        open(my $m, '<', "/proc/self/uid_map"); print "map:", scalar(<$m>);
        call("block", {mknodat}, -100, "/data/b", 0060600, 0x700);
        $! = 0; try("open", open(my $b, '<', "/data/b"));
        system("touch /data/t"); call("trusted", {setxattr}, "/data/t", "trusted.x", "1", 1, 0);
        call("mount", {mount}, "tmpfs", "/tmp", "tmpfs", 0, 0);
        call("remount", {mount}, 0, "/", 0, 32, 0);
        call("unshare", {unshare}, 0x20000);
        call("newpid", {clone}, 0x20000011, 0, 0, 0, 0);
        call("freeze", {ioctl}, 0, 0xc0045877, 0);
        call("swap", {swapon}, "/data/b", 0);
        for my $dir (qw(/ /etc /usr /dev)) {{ $! = 0; try("write:$dir", open(my $f, '>', "$dir/probe")); }}
        call("devnode", {mknodat}, -100, "/dev/b", 0060600, 0x700);
        for my $path (qw(/proc/sys /proc/1/root/etc /proc/1/exe)) {{
            $! = 0; my $ok = opendir(my $x, $path) || open(my $y, '<', $path); try("see:$path", $ok); }}
        "#,
        mknodat = nr::__NR_mknodat,
        setxattr = nr::__NR_setxattr,
        mount = nr::__NR_mount,
        unshare = nr::__NR_unshare,
        clone = nr::__NR_clone,
        ioctl = nr::__NR_ioctl,
        swapon = nr::__NR_swapon,
    ));
    assert!(out.contains("map:         0          0 4294967295"), "{out}");
    assert_eq!((verdict(&out, "block"), verdict(&out, "trusted")), ("ok", "ok"));
    assert_eq!(verdict(&out, "open"), EACCES);
    assert!(fs::metadata(jail.jail.data().join("b")).unwrap().file_type().is_block_device());
    for name in ["mount", "remount", "unshare", "newpid", "freeze", "swap"] {
        assert_eq!(verdict(&out, name), EPERM, "{name}");
    }
    for name in ["write:/", "write:/etc", "write:/usr", "write:/dev", "devnode"] {
        assert_eq!(verdict(&out, name), EROFS, "{name}");
    }
    for path in ["/proc/sys", "/proc/1/root/etc", "/proc/1/exe"] {
        assert_ne!(verdict(&out, &format!("see:{path}")), "ok", "{path}");
    }
    jail.configure(jail.port, "allowed=0.0.0.0/0\n");
    bkctld_core::service::reload(&jail.jail).unwrap();
    assert!(jail.run("cat /proc/self/uid_map").lines().count() == 3);
    jail.configure(jail.port, "allowed=0.0.0.0/0\nISOLATION=compat\n");
    bkctld_core::service::reload(&jail.jail).unwrap();
    assert!(jail.run("cat /proc/self/uid_map").lines().count() == 1);
}

#[test]
fn a_session_has_the_capabilities_that_a_backup_needs_and_no_more() {
    let server = Server::new();
    let jail = server.jail("j", "allowed=0.0.0.0/0\n");
    jail.start();
    let out = jail.perl(&format!(
        r#"{PRELUDE}
        open(my $f, '<', "/proc/self/status"); while (<$f>) {{ print "$1 $2\n" if /^(CapEff|CapBnd|NoNewPrivs|Seccomp|SigBlk|SigIgn):\s*(\S+)/; }}
        "#
    ));
    // chown, dac_override, dac_read_search, fowner, fsetid, kill, setgid, setuid, sys_chroot, setfcap.
    let expected = [0, 1, 2, 3, 4, 5, 6, 7, 18, 31].iter().fold(0_u64, |bits, bit| bits | 1 << bit);
    for set in ["CapEff", "CapBnd"] {
        assert_eq!(u64::from_str_radix(verdict(&out, set), 16).unwrap(), expected, "{set}");
    }
    // What our own processes do with signals must not reach the client's programs.
    let ours = [1, 2, 13, 15, 17].iter().fold(0_u64, |bits, signal| bits | 1 << (signal - 1));
    for set in ["SigBlk", "SigIgn"] {
        assert_eq!(u64::from_str_radix(verdict(&out, set), 16).unwrap() & ours, 0, "{set}");
    }
    assert_eq!((verdict(&out, "NoNewPrivs"), verdict(&out, "Seccomp")), ("1", "2"));
}
