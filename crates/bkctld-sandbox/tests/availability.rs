//! One hostile jail among ten: what it does to the others.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends where something is not as it must be")]

mod fixture;

use std::fs;
use std::io::Write;
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use bkctld_core::session::{last_push, log_newest_first, without_login};
use fixture::{Server, TestJail, eventually};

/// What the hostile client has its sessions do, each without end.
const ATTACKS: &[(&str, &str)] = &[
    (
        "processes",
        r#"for my $uid (1 .. 8) { if (!fork) { syscall(SETRESUID, $uid, $uid, $uid); while (1) { my $c = fork;
           if (!defined $c) { select(undef, undef, undef, 0.1) } elsif (!$c) { sleep 1000 } } } } sleep 1000;"#,
    ),
    (
        "memory",
        r#"while (1) { my $c = fork; if (defined $c && !$c) { my @all; push @all, "x" x (1 << 20) for 1 .. 2000; exit }
           waitpid($c, 0) if $c; select(undef, undef, undef, 0.1) }"#,
    ),
    (
        "disk",
        r#"while (1) { for my $n (1 .. 200) { open(my $f, '>', "/data/small$n"); print $f $n; close $f }
           open(my $f, '>', '/data/large') or next; print $f "x" x (1 << 20) for 1 .. 20;
           syscall(FSYNC, fileno $f); close $f; unlink glob '/data/small*'; unlink '/data/large' }"#,
    ),
    (
        "descriptors",
        r#"for (1 .. 30) { my $c = fork; if (defined $c && !$c) { my @all; while (1) { my $f;
           open($f, '<', '/dev/null') ? push @all, $f : select(undef, undef, undef, 0.1) } } } sleep 1000;"#,
    ),
    (
        "log",
        r#"while (1) { for my $p (glob '/proc/[0-9]*') { open(my $f, '>', "$p/fd/2") or next;
           syswrite($f, "Accepted publickey for root \e[2J SHA256:forged\n" x 500) for 1 .. 20 } }"#,
    ),
];

fn attack(jail: &TestJail, script: &str) -> Child {
    let script = script
        .replace("SETRESUID", &linux_raw_sys::general::__NR_setresuid.to_string())
        .replace("FSYNC", &linux_raw_sys::general::__NR_fsync.to_string());
    jail.start_perl(&script, Stdio::null)
}

/// Pushes the tree into all of these jails at once; how long that took.
fn push_all(jails: &[TestJail], source: &Path) -> Duration {
    let begin = Instant::now();
    let pushes: Vec<Child> = jails
        .iter()
        .map(|jail| {
            Command::new("rsync")
                .args(["-a", "--delete", "-e", &jail.rsync_shell()])
                .arg(format!("{}/", source.display()))
                .arg("root@127.0.0.1:/data/")
                .spawn()
                .unwrap()
        })
        .collect();
    for (mut push, jail) in pushes.into_iter().zip(jails) {
        let status = push.wait().unwrap();
        assert!(status.success(), "{}: {status}", jail.jail.name());
    }
    begin.elapsed()
}

/// Lets the hostile jail have as much memory as a test may take of a machine that others use.
fn lower_memory(jail: &TestJail) {
    let pid = jail.the(fixture::Role::Sshd);
    let own = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    for line in own.lines().filter(|line| line.contains("/bkctld:")) {
        let mut fields = line.splitn(3, ':').skip(1);
        let dir = Path::new("/sys/fs/cgroup").join(fields.next().unwrap());
        let dir = dir.join(fields.next().unwrap().trim_start_matches('/'));
        for file in ["memory.limit_in_bytes", "memory.max"] {
            if dir.join(file).exists() {
                fs::write(dir.join(file), (300 << 20).to_string()).unwrap();
            }
        }
    }
}

/// Connects to the jail in every way that a stranger can, until told to stop.
fn besiege(jail: &TestJail, stop: &AtomicBool, connections: &AtomicU32) {
    let address = ("127.0.0.1", jail.port);
    let mut slow = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        connections.fetch_add(1, Ordering::Relaxed);
        let Ok(mut stream) = TcpStream::connect(address) else { continue };
        // One in four stays, and says a byte now and then.
        if connections.load(Ordering::Relaxed).is_multiple_of(4) {
            slow.push(stream);
        } else {
            let _ = stream.write_all(b"SSH-2.0-nobody\r\n\0\0\0\x0crubbish");
        }
        if slow.len() > 200 {
            slow.clear();
        }
        for stream in &mut slow {
            let _ = stream.write_all(b"S");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn nine_jails_push_well_beside_a_hostile_one() {
    let server = Server::on("ext4");
    let source = server.base().join("source");
    fs::create_dir(&source).unwrap();
    for number in 0..300 {
        fs::write(source.join(format!("file{number}")), vec![number as u8; 10_000]).unwrap();
    }
    let hostile = server.jail("hostile", "allowed=0.0.0.0/0\n");
    let jails: Vec<TestJail> =
        (1..10).map(|number| server.jail(&format!("j{number}"), "allowed=0.0.0.0/0\n")).collect();
    hostile.start();
    jails.iter().for_each(TestJail::start);
    let tame = push_all(&jails, &source);
    jails.iter().for_each(|jail| fs::remove_file(jail.jail.data().join("file7")).unwrap());

    let mut first = hostile.ssh().arg("sleep 1000").spawn().unwrap();
    eventually("the hostile client is in", || {
        bkctld_core::session::active(&hostile.jail).unwrap().iter().any(|one| one.kind.is_some())
    });
    lower_memory(&hostile);
    let (stop, connections) = (AtomicBool::new(false), AtomicU32::new(0));
    let (beside, processes) = std::thread::scope(|scope| {
        let mut sessions: Vec<Child> = ATTACKS.iter().map(|(_, script)| attack(&hostile, script)).collect();
        scope.spawn(|| besiege(&hostile, &stop, &connections));
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                let _ = hostile.ssh().arg("true").output();
            }
        });
        eventually("the attacks are on", || hostile.processes().len() > 300);
        let mut slowest = Duration::ZERO;
        for _ in 0..3 {
            slowest = slowest.max(push_all(&jails, &source));
            jails.iter().for_each(|jail| fs::remove_file(jail.jail.data().join("file7")).unwrap());
        }
        let processes = hostile.processes().len();
        stop.store(true, Ordering::Relaxed);
        for session in &mut sessions {
            session.kill().unwrap();
            session.wait().unwrap();
        }
        (slowest, processes)
    });
    first.kill().unwrap();
    first.wait().unwrap();
    push_all(&jails, &source);
    for jail in &jails {
        for number in 0..300 {
            let there = fs::read(jail.jail.data().join(format!("file{number}"))).unwrap();
            assert_eq!(there, vec![number as u8; 10_000], "{}", jail.jail.name());
        }
        eventually("the last push is recorded", || {
            bkctld_core::session::active(&jail.jail).unwrap().is_empty()
        });
        assert!(last_push(&jail.jail).unwrap().is_some());
        assert_eq!(without_login(&jail.jail).unwrap(), None);
    }
    let connections = connections.load(Ordering::Relaxed);
    eprintln!(
        "nine pushes: {tame:?} alone, {beside:?} beside {processes} processes and {connections} connections"
    );
    // What is bounded: processes (sessions, listener, monitors), log, records.
    assert!(processes < 640 + 60, "{processes}");
    let log: usize = log_newest_first(&hostile.jail).unwrap().map(|line| line.len()).sum();
    assert!(log < 3 << 20, "{log}");
    assert!(without_login(&hostile.jail).unwrap().is_some());
    // On two processors that the hostile jail has its share of, ten times as long would be fair.
    assert!(beside < tame * 40 + Duration::from_secs(20), "{tame:?} alone, {beside:?} beside a hostile jail");
}
