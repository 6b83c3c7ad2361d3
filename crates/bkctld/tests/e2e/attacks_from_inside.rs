//! A session tries to get out. Each probe runs in a real session, with a perl interpreter that the
//! test put into the jail: whoever holds the key could bring no more than that.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::support::run::start;
use crate::support::server::TOOLS;
use crate::support::*;

/// Numbers of system calls, which perl's `syscall` wants.
#[cfg(target_arch = "x86_64")]
const CALLS: &str = "unshare 272 mount 165 umount2 166 mknodat 259 chroot 161 ptrace 101 setns 308 bpf 321 \
    keyctl 250 add_key 248 perf_event_open 298 userfaultfd 323 io_uring_setup 425 init_module 175 \
    settimeofday 164 reboot 169 swapon 167 pivot_root 155 open_tree 428 fsopen 430 move_mount 429 \
    process_vm_readv 310 sethostname 170 clone3 435 open_by_handle_at 304 quotactl 179 kexec_load 246 \
    personality 135 syslog 103 acct 163 clone 56 mount_setattr 442 pidfd_getfd 438 ioctl 16 uname 63";
#[cfg(target_arch = "aarch64")]
const CALLS: &str = "unshare 97 mount 40 umount2 39 mknodat 33 chroot 51 ptrace 117 setns 268 bpf 280 \
    keyctl 219 add_key 217 perf_event_open 241 userfaultfd 282 io_uring_setup 425 init_module 105 \
    settimeofday 170 reboot 142 swapon 224 pivot_root 41 open_tree 428 fsopen 430 move_mount 429 \
    process_vm_readv 270 sethostname 161 clone3 435 open_by_handle_at 265 quotactl 60 kexec_load 104 \
    personality 92 syslog 116 acct 89 clone 220 mount_setattr 442 pidfd_getfd 438 ioctl 29 uname 160";

/// What each perl program begins with: `probe NAME, sub { … }` prints whether the attempt worked.
fn perl(body: &str) -> String {
    format!(
        r#"$| = 1; %nr = qw({CALLS});
sub probe {{ my ($name, $try) = @_; $! = 0; my $done = eval {{ $try->() }};
    print "$name: ", ($done ? "WORKED" : "refused " . ($!+0) . " $!"), "\n"; }}
sub call {{ my $name = shift; my $got = syscall($nr{{$name}}, @_); return $got != -1; }}
{body}
print "end: refused\n";
"#
    )
}

/// Runs probes; the answer of each by its name.
#[track_caller]
fn probes(client: &Client, body: &str) -> BTreeMap<String, String> {
    let ran = client.ssh_reading(perl(body).as_bytes(), "perl -");
    let answers: BTreeMap<String, String> = ran
        .lines()
        .iter()
        .filter_map(|line| line.split_once(": "))
        .map(|(name, answer)| (name.to_owned(), answer.to_owned()))
        .collect();
    assert!(answers.contains_key("end"), "the probes did not come to their end: {}", ran.told());
    answers
}

#[track_caller]
fn assert_all_refused(answers: &BTreeMap<String, String>) {
    let worked: Vec<_> = answers.iter().filter(|(_, answer)| !answer.starts_with("refused")).collect();
    assert!(worked.is_empty(), "these worked from inside of a session: {worked:#?}");
}

fn server_with_perl(fs: FsKind) -> Server {
    let server = Server::on(fs);
    server.set("JAIL_PROGRAMS", TOOLS);
    server
}

#[apply(on_each_fs)]
fn calls_that_would_lead_out_fail(fs: FsKind) {
    let server = server_with_perl(fs);
    let client = server.started("a");
    // Seccomp denies with an error, so each of these comes back.
    let answers = probes(
        &client,
        r#"
        mkdir '/data/m';
        probe 'mount tmpfs', sub { call('mount', 'none', '/data/m', 'tmpfs', 0, 0) };
        probe 'bind mount', sub { call('mount', '/', '/data/m', '', 4096, 0) };
        probe 'remount root writable', sub { call('mount', 'none', '/', '', 32, 0) };
        probe 'remount data', sub { call('mount', 'none', '/data', '', 32, 0) };
        probe 'umount usr', sub { call('umount2', '/usr', 2) };
        probe 'umount proc', sub { call('umount2', '/proc', 2) };
        probe 'unshare user', sub { call('unshare', 0x10000000) };
        probe 'unshare mount', sub { call('unshare', 0x20000) };
        probe 'unshare net', sub { call('unshare', 0x40000000) };
        probe 'unshare all', sub { call('unshare', 0x7e020000) };
        probe 'clone user', sub { my $pid = syscall($nr{clone}, 0x10000000 | 17, 0, 0, 0, 0);
            exit 0 if defined $pid && $pid == 0; $pid > 0 };
        probe 'clone3', sub { my $args = pack('Q11', 0x10000000, 0, 0, 0, 17, 0, 0, 0, 0, 0, 0);
            my $pid = syscall($nr{clone3}, $args, 88); exit 0 if $pid == 0; $pid > 0 };
        open my $ns, '<', '/proc/1/ns/mnt';
        probe 'setns', sub { call('setns', fileno($ns || STDIN), 0) };
        probe 'char device', sub { call('mknodat', -100, '/data/null', 020666, 0x103) };
        probe 'block device', sub { call('mknodat', -100, '/data/disk', 060666, 0x700) };
        probe 'device in var', sub { call('mknodat', -100, '/var/disk', 060666, 0x700) };
        probe 'pivot_root', sub { call('pivot_root', '/data', '/data/m') };
        probe 'open_tree', sub { call('open_tree', -100, '/', 1) };
        probe 'fsopen', sub { my $t = 'tmpfs'; call('fsopen', $t, 0) };
        probe 'move_mount', sub { call('move_mount', -100, '/usr', -100, '/data/m', 0) };
        probe 'mount_setattr', sub { my $a = pack('Q4', 0, 1, 0, 0); call('mount_setattr', -100, '/usr', 0, $a, 32) };
        probe 'ptrace me', sub { call('ptrace', 0, 0, 0, 0) };
        probe 'ptrace attach init', sub { call('ptrace', 16, 1, 0, 0) };
        probe 'ptrace seize parent', sub { call('ptrace', 0x4206, getppid(), 0, 0) };
        probe 'process_vm_readv', sub { my $b = "\0" x 8; my $iov = pack('PQ', $b, 8);
            call('process_vm_readv', getppid(), $iov, 1, $iov, 1, 0) };
        probe 'memory of init', sub { open my $m, '<', '/proc/1/mem' };
        probe 'bpf', sub { my $a = "\0" x 128; call('bpf', 0, $a, 128) };
        probe 'keyctl', sub { call('keyctl', 0, -3, 0) };
        probe 'add_key', sub { my ($t, $d, $p) = ('user', 'x', 'y'); call('add_key', $t, $d, $p, 1, -3) };
        probe 'perf_event_open', sub { my $a = "\0" x 128; call('perf_event_open', $a, 0, -1, -1, 0) };
        probe 'userfaultfd', sub { call('userfaultfd', 1) };
        probe 'io_uring', sub { my $p = "\0" x 128; call('io_uring_setup', 2, $p) };
        probe 'init_module', sub { my $p = "\0"; call('init_module', $p, 0, $p) };
        probe 'kexec', sub { call('kexec_load', 0, 0, 0, 0) };
        probe 'settimeofday', sub { my $t = pack('qq', time, 0); call('settimeofday', $t, 0) };
        probe 'reboot', sub { call('reboot', 0xfee1dead, 0x28121969, 0, 0) };
        probe 'swapon', sub { my $p = '/data/m'; call('swapon', $p, 0) };
        probe 'sethostname', sub { my $p = 'owned'; call('sethostname', $p, 5) };
        probe 'open_by_handle_at', sub { my $h = pack('ii', 8, 1) . "\0" x 8; call('open_by_handle_at', 3, $h, 0) };
        probe 'quotactl', sub { my $p = '/dev/loop0'; call('quotactl', 0x80000100, $p, 0, 0) };
        probe 'kernel log', sub { my $b = "\0" x 4096; call('syslog', 3, $b, 4096) };
        probe 'accounting', sub { my $p = '/data/m'; call('acct', $p) };
    "#,
    );
    assert!(answers.len() > 40, "{answers:#?}");
    assert_all_refused(&answers);
    assert!(answers["clone3"].starts_with("refused 38"), "glibc falls back on ENOSYS only: {answers:#?}");
}

#[apply(on_each_fs)]
fn nothing_outside_of_data_and_var_can_be_read_or_written(fs: FsKind) {
    let server = server_with_perl(fs);
    let client = server.started("a");
    server.started("b");
    write(&server.data("b").join("of-b"), "secret of b");
    write(&server.backup().join("secret"), "secret of the server");
    let host = server.backup().display().to_string();
    let answers = probes(
        &client,
        &format!(
            r#"
        for my $path (qw(/x /etc/x /usr/x /usr/bin/x /root/x /root/.ssh/x /bin/x /lib/x /proc/x /sys/x /home/x)) {{
            probe "create $path", sub {{ open my $f, '>', $path }};
        }}
        for my $path (qw(/etc/passwd /etc/shadow /etc/ssh/sshd_config /root/.ssh/authorized_keys
                         /usr/bin/rsync /usr/sbin/sshd /etc/ssh/ssh_host_ed25519_key)) {{
            probe "append to $path", sub {{ open my $f, '>>', $path }};
            probe "unlink $path", sub {{ unlink $path }};
            probe "chmod $path", sub {{ chmod 0777, $path }};
            probe "replace $path", sub {{ rename '/data/x', $path }};
        }}
        for my $path (qw(/proc/sysrq-trigger /proc/sys/kernel/hostname /proc/sys/kernel/core_pattern
                         /proc/sys/vm/drop_caches /proc/1/oom_score_adj /proc/1/environ_)) {{
            probe "write $path", sub {{ open(my $f, '>', $path) && print($f "1") && close($f) }};
        }}
        for my $path ('{host}', '{host}/secret', '/../../..{host}/secret', '/proc/1/root{host}/secret',
                      '/proc/self/root/..{host}/secret', '/boot', '/home', '/opt', '/srv', '/mnt',
                      '/proc/kcore', '/proc/kmsg', '/dev/loop0', '/dev/sda', '/dev/vda', '/dev/mem', '/dev/kmsg',
                      '/sys/kernel', '/sys/fs/cgroup') {{
            probe "read $path", sub {{ -d $path ? (opendir(my $d, $path) && grep {{ !/^\./ }} readdir $d)
                                               : (open(my $f, '<', $path) && sysread($f, my $b, 1)) }};
        }}
        symlink '{host}/secret', '/data/link';
        probe 'follow a link', sub {{ open my $f, '<', '/data/link' }};
        mkdir '/data/jump'; opendir my $top, '/';
        probe 'chroot and out', sub {{ call('chroot', '/data/jump') or die; chdir $top; chdir '..' for 1..50;
            call('chroot', '.'); -e '{host}' || -e '/boot' || -e '/usr/share' }};
    "#
        ),
    );
    assert_all_refused(&answers);
    // What it can see are its own files, not the server's.
    let shadow = client.ssh("cat /etc/shadow /etc/passwd").ok();
    assert!(!shadow.out().contains('$'), "a password hash in the jail");
    let mounts = client.ssh("cat /proc/self/mountinfo").ok();
    for line in mounts.lines() {
        let fields: Vec<&str> = line.split(' ').collect();
        let (place, options) = (fields[4], fields[5]);
        let writable = options.split(',').any(|option| option == "rw");
        let may_write = ["/data", "/var", "/tmp", "/run", "/dev", "/proc"]
            .iter()
            .any(|top| place == *top || place.starts_with(&format!("{top}/")));
        assert!(!writable || may_write, "writable: {line}");
        if ["/data", "/var", "/var/backup", "/tmp", "/run"].contains(&place) {
            for option in ["nosuid", "nodev", "noexec"] {
                assert!(options.split(',').any(|found| found == option), "{place} lacks {option}: {line}");
            }
        }
        assert!(!line.contains("secret"), "{line}");
    }
    for place in ["/data", "/var/backup", "/var", "/"] {
        assert!(mounts.lines().iter().any(|line| line.split(' ').nth(4) == Some(place)), "{}", mounts.told());
    }
}

#[apply(on_each_fs)]
fn no_subvolume_can_be_made_or_sealed_in_the_data(fs: FsKind) {
    let server = server_with_perl(fs);
    let client = server.started("a");
    let answers = probes(
        &client,
        r#"
        opendir my $dir, '/data'; my $fd = fileno($dir); mkdir '/data/plain'; opendir my $plain, '/data/plain';
        my $name = pack('q a4088', 0, 'sub');
        my $v2 = pack('q Q Q Q4 a4040', 0, 0, 0, 0, 0, 0, 0, 'sub2');
        my $from = pack('q a4088', fileno($plain), 'snap');
        my $from2 = pack('q Q Q Q4 a4040', $fd, 0, 0, 0, 0, 0, 0, 'snap2');
        my $flags = pack('Q', 2);
        probe 'SUBVOL_CREATE', sub { ioctl($dir, 0x5000940e, $name) };
        probe 'SUBVOL_CREATE_V2', sub { ioctl($dir, 0x50009418, $v2) };
        probe 'SNAP_CREATE', sub { ioctl($dir, 0x50009401, $from) };
        probe 'SNAP_CREATE_V2', sub { ioctl($dir, 0x50009417, $from2) };
        probe 'SUBVOL_SETFLAGS', sub { ioctl($dir, 0x4008941a, $flags) };
        probe 'with high bits', sub { my $n = $name; syscall($nr{ioctl}, $fd, 0x150000000 + 0x940e, $n) == 0 };
        probe 'SNAP_DESTROY', sub { ioctl($dir, 0x5000940f, $name) };
    "#,
    );
    assert_all_refused(&answers);
    let found = sh(&format!("find {} -inum 256 -mindepth 1", server.data("a").display()));
    assert!(found.is_empty(), "{found}");
}

#[apply(on_each_fs)]
fn nothing_that_the_client_brings_can_be_executed(fs: FsKind) {
    let server = server_with_perl(fs);
    let client = server.started("a");
    for place in ["/data", "/var", "/tmp", "/var/backup", "/run", "/dev/shm"] {
        client.ssh(&format!("cp /usr/bin/ls {place}/program && chmod 4755 {place}/program")); // may be refused
        let ran = client.ssh(&format!("{place}/program /")).fails();
        assert!(!ran.out().contains("data"), "{}", ran.told());
    }
    let memfd = r#"my $n = 'x'; my $fd = syscall(319, $n, 0); open my $o, '>&=', $fd; open my $i, '<', '/usr/bin/ls';
        binmode $_ for $i, $o; { local $/; syswrite $o, <$i> } exec "/proc/self/fd/$fd", '/' or die;"#;
    // From memory it would be no more than what perl does already; but it must not gain anything.
    client.ssh_reading(memfd.as_bytes(), "perl -");
    let status = client.ssh("cat /proc/self/status").ok();
    let field = |name: &str| {
        let line = status.lines().into_iter().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().to_owned()
    };
    assert_eq!((field("NoNewPrivs:").as_str(), field("Seccomp:").as_str()), ("1", "2"));
    let bounding = u64::from_str_radix(&field("CapBnd:"), 16).unwrap();
    for (capability, name) in [
        (12, "NET_ADMIN"),
        (13, "NET_RAW"),
        (16, "SYS_MODULE"),
        (17, "SYS_RAWIO"),
        (19, "SYS_PTRACE"),
        (21, "SYS_ADMIN"),
        (22, "SYS_BOOT"),
        (25, "SYS_TIME"),
        (27, "MKNOD"),
        (34, "SYSLOG"),
        (39, "BPF"),
    ] {
        assert_eq!(bounding >> capability & 1, 0, "CAP_{name} is left: {bounding:x}");
    }
}

/// A service of the server on every kind of socket; it counts who comes.
struct Services {
    tcp: TcpListener,
    tcp6: Option<TcpListener>,
    udp: UdpSocket,
    abstract_socket: UnixListener,
}

impl Services {
    fn start() -> Services {
        let tcp = TcpListener::bind("0.0.0.0:7001").unwrap();
        let tcp6 = TcpListener::bind("[::1]:7002").ok();
        let udp = UdpSocket::bind("0.0.0.0:7003").unwrap();
        let address = SocketAddr::from_abstract_name(b"bkctld-test").unwrap();
        let abstract_socket = UnixListener::bind_addr(&address).unwrap();
        tcp.set_nonblocking(true).unwrap();
        udp.set_nonblocking(true).unwrap();
        abstract_socket.set_nonblocking(true).unwrap();
        if let Some(tcp6) = &tcp6 {
            tcp6.set_nonblocking(true).unwrap();
        }
        Services { tcp, tcp6, udp, abstract_socket }
    }

    #[track_caller]
    fn assert_untouched(&self) {
        assert!(self.tcp.accept().is_err(), "a session reached a TCP service of the server");
        assert!(self.tcp6.as_ref().is_none_or(|tcp6| tcp6.accept().is_err()), "… over IPv6");
        assert!(self.udp.recv(&mut [0; 10]).is_err(), "a session reached a UDP service of the server");
        assert!(self.abstract_socket.accept().is_err(), "a session reached an abstract socket of the server");
    }
}

#[apply(as_root)]
fn no_address_can_be_reached_over_any_socket() {
    let server = server_with_perl(FsKind::Ext4);
    // A network beyond the loopback, as a server has.
    sh("ip link add bktest0 type veth peer name bktest1; ip addr add 192.0.2.1/24 dev bktest0; \
        ip link set bktest0 up; ip link set bktest1 up");
    let client = server.started("a");
    let other = server.started("b");
    let services = Services::start();
    assert!(
        TcpStream::connect("192.0.2.1:7001").is_ok() && services.tcp.accept().is_ok(),
        "the test is wrong"
    );
    let answers = probes(
        &client,
        &format!(
            r#"
        sub in4 {{ my ($port, @quad) = @_; pack('S n C4 x8', 2, $port, @quad) }}
        for my $to ([127,0,0,1], [192,0,2,1], [192,0,2,2], [8,8,8,8], [10,0,0,1], [169,254,169,254], [255,255,255,255]) {{
            for my $port (22, 7001, {port}, {other}) {{
                probe "tcp @$to $port", sub {{ socket(my $s, 2, 1, 0) or die; connect($s, in4($port, @$to)) }};
            }}
            probe "udp @$to", sub {{ socket(my $s, 2, 2, 0) or die; send($s, 'x', 0, in4(7003, @$to)) }};
            probe "raw @$to", sub {{ socket(my $s, 2, 3, 1) or die; send($s, 'x' x 8, 0, in4(0, @$to)) }};
        }}
        probe 'tcp6', sub {{ socket(my $s, 10, 1, 0) or die; connect($s, pack('S n N a16 N', 10, 7002, 0, "\0" x 15 . "\1", 0)) }};
        for my $name ("\0bkctld-test") {{
            probe 'abstract stream', sub {{ socket(my $s, 1, 1, 0) or die; connect($s, pack('S a*', 1, $name)) }};
            probe 'abstract datagram', sub {{ socket(my $s, 1, 2, 0) or die; connect($s, pack('S a*', 1, $name)) }};
        }}
        probe 'packet', sub {{ socket(my $s, 17, 3, 0x0300) }};
        probe 'vsock', sub {{ socket(my $s, 40, 1, 0) or die; connect($s, pack('S S L L x4', 40, 0, 22, 2)) }};
        for my $path (qw(/run/dbus/system_bus_socket /run/systemd/notify /dev/log /run/docker.sock /var/run/nscd/socket)) {{
            probe "unix $path", sub {{ socket(my $s, 1, 1, 0) or die; connect($s, pack('S a*', 1, $path)) }};
        }}
    "#,
            port = client.port,
            other = other.port
        ),
    );
    assert_all_refused(&answers);
    services.assert_untouched();
    let devices = client.ssh("cat /proc/self/net/dev").ok();
    let names: Vec<String> =
        devices.lines()[2..].iter().map(|line| line.split(':').next().unwrap().trim().to_owned()).collect();
    assert!(names.iter().all(|name| name == "lo"), "{names:?}");
}

#[apply(as_root)]
fn no_forwarding_of_any_kind_is_given() {
    let server = server_with_perl(FsKind::Ext4);
    let client = server.started("a");
    let services = Services::start();
    run(client.ssh_command(&["-W", "127.0.0.1:7001"], &[])).fails();
    run(client.ssh_command(&["-o", "ExitOnForwardFailure=yes", "-R", "7009:127.0.0.1:7001"], &["true"]))
        .fails();
    assert!(TcpStream::connect("127.0.0.1:7009").is_err());
    run(client.ssh_command(&["-o", "ExitOnForwardFailure=yes", "-R", "/data/sock:127.0.0.1:7001"], &["true"])).fails();

    // -L and -D open their own end at once; the far end must refuse what comes through.
    let socket = client.file("forwarded");
    let to_unix = format!("{socket}:/run/dbus/system_bus_socket");
    let tunnel = start(
        client.ssh_command(&["-N", "-L", "7010:127.0.0.1:7001", "-D", "7011", "-L", &to_unix], &[]),
        b"",
    );
    wait_for("the near end listens", || TcpStream::connect("127.0.0.1:7011").is_ok());
    let mut through = TcpStream::connect("127.0.0.1:7010").unwrap();
    through.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let _ = through.write_all(b"hello");
    assert_eq!(through.read(&mut [0; 10]).unwrap_or(0), 0, "-L goes through");
    let mut socks = TcpStream::connect("127.0.0.1:7011").unwrap();
    socks.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    socks.write_all(&[5, 1, 0, 5, 1, 0, 1, 127, 0, 0, 1, 0x1b, 0x59]).unwrap();
    let mut answer = Vec::new();
    let _ = socks.read_to_end(&mut answer);
    assert!(answer.len() <= 2 || answer[3] != 0, "-D goes through: {answer:?}");
    tunnel.kill();
    services.assert_untouched();

    // -w needs a tunnel device of this machine before it asks the server for one.
    if fs::metadata("/dev/net/tun").is_ok() {
        run(client.ssh_command(&["-o", "ExitOnForwardFailure=yes", "-w", "any:any"], &["true"])).fails();
    } else {
        eprintln!("not tried: ssh -w, for this machine has no /dev/net/tun");
    }
    let mut agent = client.ssh_command(&["-A", "-X"], &["echo agent=$SSH_AUTH_SOCK display=$DISPLAY"]);
    agent.env("DISPLAY", ":0");
    assert_eq!(run(agent).ok().out().trim(), "agent= display=");
}

#[apply(as_root)]
fn a_session_sees_no_process_but_its_own() {
    let server = server_with_perl(FsKind::Ext4);
    let client = server.started("a");
    let mut of_the_server = Command::new("sleep").arg("4242").stdin(Stdio::null()).spawn().unwrap();
    let mut neighbour = client.hold();
    let seen = client.ssh("cd /proc; for p in [0-9]*; do echo $p; cat $p/cmdline 2>/dev/null | sed 's/\\x0/ /g'; echo; done").ok();
    assert!(!seen.out().contains("4242"), "{}", seen.told());
    let answers = probes(
        &client,
        &format!(
            r#"
        probe 'signal a process of the server', sub {{ kill 0, {} }};
        probe 'more than this session', sub {{ opendir my $d, '/proc'; 12 < grep {{ /^\d+$/ }} readdir $d }};
    "#,
            of_the_server.id()
        ),
    );
    assert_all_refused(&answers);
    // Killing all that it can see ends this session and no other.
    client.ssh_reading(b"kill 'KILL', -1; sleep 1; kill 'KILL', 1", "perl -");
    assert!(neighbour.answers(), "one session ended another");
    assert!(of_the_server.try_wait().unwrap().is_none(), "a session killed a process of the server");
    of_the_server.kill().unwrap();
    of_the_server.wait().unwrap();
    client.ssh("true").ok();
    server.bkctld(&["is-on", "a"]).ok();
}

#[apply(as_root)]
fn each_jail_has_its_own_range_of_users_and_none_is_the_hosts() {
    let server = server_with_perl(FsKind::Ext4);
    let map = |client: &Client| -> Vec<Vec<u64>> {
        let text = client.ssh("cat /proc/self/uid_map").ok();
        text.lines()
            .iter()
            .map(|line| line.split_whitespace().map(|n| n.parse().unwrap()).collect())
            .collect()
    };
    let (a, b) = (map(&server.started("a")), map(&server.started("b")));
    for one in [&a, &b] {
        assert!(one.iter().all(|extent| extent[0] != 0 || extent[1] != 0), "root is root: {one:?}");
    }
    assert_ne!(a, b, "two jails share their users");
    let range = |map: &Vec<Vec<u64>>| map.iter().find(|extent| extent[0] == 0).unwrap().clone();
    assert!(range(&a)[1].abs_diff(range(&b)[1]) >= 65536);
    // Processes of the session are nobody on the host.
    let client = server.started("c");
    let held = client.hold();
    for process in server.session_processes() {
        let status = fs::read_to_string(format!("/proc/{}/status", process.pid)).unwrap_or_default();
        let inside = status
            .lines()
            .find(|line| line.starts_with("NSpid:"))
            .map_or(0, |line| line.split_whitespace().count());
        let uid = status
            .lines()
            .find(|line| line.starts_with("Uid:"))
            .and_then(|line| line.split_whitespace().nth(1));
        if inside > 2 {
            assert_ne!(uid, Some("0"), "{process:?} is root of the host");
        }
    }
    held.close();
}

#[apply(as_root)]
fn the_session_environment_tells_nothing_of_the_server() {
    let server = server_with_perl(FsKind::Ext4);
    let client = server.started("a");
    let answers = client
        .ssh("cat /proc/self/environ /proc/1/environ /proc/1/cmdline 2>/dev/null | sed 's/\\x0/\\n/g'")
        .out();
    for word in [server.path("").to_str().unwrap(), "BKCTLD", "CARGO", "CI="] {
        assert!(!answers.contains(word), "{word} in {answers}");
    }
    let descriptors = client.ssh("ls -l /proc/self/fd /proc/1/fd 2>/dev/null").out();
    assert!(!descriptors.contains(server.path("").to_str().unwrap()), "{descriptors}");
    let name = client
        .ssh_reading(
            perl("$b = chr(0) x 400; call('uname', $b); print((unpack 'Z65 Z65', $b)[1], qq(: name\\n));")
                .as_bytes(),
            "perl -",
        )
        .ok();
    assert_eq!(name.lines()[0], "a: name", "the jail's host name");
}

#[apply(as_root)]
fn what_one_session_hides_in_tmp_no_other_finds() {
    let server = server_with_perl(FsKind::Ext4);
    let client = server.started("a");
    client.ssh("echo x > /tmp/left; echo x > /run/left").out();
    let found = client.ssh("ls /tmp/left /run/left 2>/dev/null").out();
    assert_eq!(found, "");
    // Small: a client cannot fill the server's memory through it.
    let ran = client.ssh("dd if=/dev/zero of=/tmp/fill bs=1M count=2000; ls -s /tmp/fill").out();
    let blocks: u64 = ran.split_whitespace().next().and_then(|n| n.parse().ok()).unwrap_or(0);
    assert!(blocks < 600 << 10, "/tmp took {blocks} KiB");
}
