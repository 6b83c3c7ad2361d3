//! Many sessions at once.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends where something is not as it must be")]

mod fixture;

use std::process::{Command, Stdio};

use fixture::{Server, eventually, shown};

fn active(jail: &fixture::TestJail) -> usize {
    bkctld_core::session::active(&jail.jail).unwrap().iter().filter(|one| one.kind.is_some()).count()
}

#[test]
fn twenty_sessions_are_served_at_once_and_the_next_is_told_why_not() {
    let server = Server::new();
    let jail = server.jail("j", "allowed=0.0.0.0/0\nMAX_SESSIONS=20\nMAX_SESSIONS_PER_SOURCE=20\n");
    jail.start();
    let mut clients: Vec<_> =
        (0..20).map(|_| jail.ssh().arg("sleep 300").stderr(Stdio::null()).spawn().unwrap()).collect();
    eventually("all are served", || active(&jail) == 20);
    let out = jail.ssh().arg("true").output().unwrap();
    let words = String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(255));
    assert!(words.contains("too many sessions of this jail"), "{}", shown(&out));
    clients.pop().unwrap().kill().unwrap();
    eventually("one is gone", || active(&jail) == 19);
    eventually("there is room again", || jail.ssh().arg("true").output().unwrap().status.success());
    for mut client in clients {
        client.kill().unwrap();
        client.wait().unwrap();
    }
}

#[test]
fn strangers_that_never_log_in_leave_room_for_other_addresses() {
    let server = Server::new();
    let jail = server.jail("j", "allowed=0.0.0.0/0\nMAX_SESSIONS=5\nMAX_SESSIONS_PER_SOURCE=2\n");
    jail.start();
    let address = format!("127.0.0.1:{}", jail.port);
    let _strangers: Vec<_> = (0..2).map(|_| std::net::TcpStream::connect(&address).unwrap()).collect();
    eventually("they are accepted", || bkctld_core::session::active(&jail.jail).unwrap().len() == 2);
    let out = jail.ssh().arg("true").output().unwrap();
    assert!(String::from_utf8_lossy(&out.stderr).contains("from this address"), "{}", shown(&out));
    let mut other = Command::new("ssh");
    other.args(jail.ssh_options()).args(["-b", "127.0.0.2", "-p", &jail.port.to_string()]);
    fixture::run(other.args(["root@127.0.0.1", "true"]));
}

#[test]
fn twenty_jails_serve_one_session_each_at_once() {
    let server = Server::new();
    let jails: Vec<_> = (0..20).map(|n| server.jail(&format!("j{n}"), "allowed=0.0.0.0/0\n")).collect();
    jails.iter().for_each(fixture::TestJail::start);
    let clients: Vec<_> = jails
        .iter()
        .map(|jail| jail.ssh().arg("cat /proc/self/uid_map").stdout(Stdio::piped()).spawn().unwrap())
        .collect();
    let maps: std::collections::BTreeSet<_> =
        clients.into_iter().map(|client| client.wait_with_output().unwrap().stdout).collect();
    assert_eq!(maps.len(), 20, "each jail has ids of its own");
}

#[test]
fn what_a_client_writes_into_the_log_stays_bounded_and_harmless() {
    let server = Server::new();
    let jail = server.jail("j", "allowed=0.0.0.0/0\n");
    jail.start();
    // sshd's own standard error, reached through its process.
    let flood = "for p in /proc/[0-9]*; do for i in 1 2 3 4 5 6 7 8 9 10; do \
                 perl -e 'print STDOUT \"Accepted publickey for root \\e[2J SHA256:forged\\n\" x 5000' \
                 > $p/fd/2 2>/dev/null; done; done; true";
    jail.run(flood);
    let record = jail.last_session();
    assert!(record.key.unwrap().len() == 50);
    let size: u64 = std::fs::read_dir(jail.jail.state_dir())
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.file_name().to_string_lossy().starts_with("ssh.log"))
        .map(|entry| entry.metadata().unwrap().len())
        .sum();
    assert!(size < 200_000, "{size}");
    assert!(bkctld_core::session::log_newest_first(&jail.jail).unwrap().all(|line| !line.contains('\x1b')));
}

/// Perl that has each of these users make processes until it cannot, prints how many there were of all of
/// them, and ends them.
fn fork_bomb(uids: &str) -> String {
    format!(
        r#"my $all = 0; my @bombs;
        for my $uid ({uids}) {{
            pipe(my $told, my $tell) or die; pipe(my $hold, my $let_go) or die;
            my $bomb = fork; next unless defined $bomb;
            if (!$bomb) {{
                close $told; close $let_go;
                syscall({setresuid}, $uid, $uid, $uid) == 0 or die "uid $uid: $!";
                my $made = 0;
                while (1) {{
                    my $child = fork; last unless defined $child;
                    if (!$child) {{ close $tell; sysread($hold, my $end, 1); syscall({exit_group}, 0); }}
                    $made++; last if $made == 2000;
                }}
                syswrite($tell, "$made\n"); sysread($hold, my $end, 1); syscall({exit_group}, 0);
            }}
            close $tell; close $hold; my $line = <$told>; $all += $line + 1; push @bombs, $let_go;
        }}
        print "$all\n";"#,
        setresuid = linux_raw_sys::general::__NR_setresuid,
        exit_group = linux_raw_sys::general::__NR_exit_group,
    )
}

#[test]
fn all_users_of_a_jail_together_make_no_more_processes_than_the_jail_may_have() {
    let server = Server::new();
    // No control group: what the kernel counts for the user namespace has to do.
    hide_control_groups();
    let jail = server.jail("j", "allowed=0.0.0.0/0\n");
    let other = server.jail("k", "allowed=0.0.0.0/0\n");
    jail.start();
    other.start();
    let mut held = jail.ssh().arg("sleep 300").spawn().unwrap();
    eventually("it is served", || active(&jail) == 1);
    // Ids of the range, ids that are the same outside, and some of another jail's range.
    let made: u32 = jail
        .perl(&fork_bomb("1, 2, 33, 65534, 70000, 165536, 2000000001, 2147500000"))
        .trim()
        .parse()
        .unwrap();
    eprintln!("processes of eight users: {made}");
    assert!((300..640).contains(&made), "{made}");
    // Another session of the jail had to wait at most; one of another jail has not noticed.
    other.run("true");
    eventually("there is room again", || jail.ssh().arg("true").output().unwrap().status.success());
    held.kill().unwrap();
    held.wait().unwrap();
}

/// In a mount namespace of the calling thread, so that what it starts finds none.
fn hide_control_groups() {
    bkctld_sys::namespace::unshare(&[bkctld_sys::namespace::Namespace::Mount]).unwrap();
    fixture::run(Command::new("mount").args(["--make-rprivate", "/"]));
    fixture::run(Command::new("umount").args(["-R", "-l", "/sys/fs/cgroup"]));
}

fn unbounded(jail: &fixture::TestJail) -> Option<String> {
    bkctld_core::service::ListenerState::read(&jail.jail).unwrap().unwrap().unbounded
}

#[test]
fn without_control_groups_a_jail_is_served_and_says_that_nothing_bounds_its_memory() {
    let server = Server::new();
    hide_control_groups();
    let jail = server.jail("j", "allowed=0.0.0.0/0\n");
    jail.start();
    jail.run("true");
    let why = unbounded(&jail).unwrap();
    assert!(why.contains("control group"), "{why}");
}

/// The directories of the control groups that a process of a session is in.
fn groups_of(pid: i32) -> Vec<std::path::PathBuf> {
    let own = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    let place = |line: &str| {
        let mut fields = line.splitn(3, ':').skip(1);
        let (controller, path) = (fields.next()?, fields.next()?);
        let dir = format!("/sys/fs/cgroup/{controller}{path}");
        path.contains("/bkctld:").then(|| dir.into())
    };
    own.lines().filter_map(place).collect()
}

#[test]
fn a_jail_that_takes_too_much_memory_loses_its_own_processes_and_nothing_else() {
    let server = Server::new();
    let jail = server.jail("j", "allowed=0.0.0.0/0\n");
    let other = server.jail("k", "allowed=0.0.0.0/0\n");
    jail.start();
    other.start();
    if let Some(why) = unbounded(&jail) {
        // Nothing to test, on a machine that cannot.
        return eprintln!("skipped: no control groups can be made here: {why}");
    }
    let mut held = jail.ssh().arg("sleep 300").spawn().unwrap();
    eventually("it is served", || active(&jail) == 1);
    let groups = groups_of(jail.the(fixture::Role::Sshd));
    let has = |file: &str| groups.iter().map(|group| group.join(file)).find(|file| file.exists());
    let memory = has("memory.limit_in_bytes").or_else(|| has("memory.max")).unwrap();
    let read = |file: &std::path::Path| std::fs::read_to_string(file).unwrap().trim().parse::<u64>().unwrap();
    let limit = read(&memory);
    let all = std::fs::read_to_string("/proc/meminfo").unwrap();
    let all: u64 = all.lines().next().unwrap().split_ascii_whitespace().nth(1).unwrap().parse().unwrap();
    assert!((all * 400..=all * 512).contains(&limit), "{limit} of {all} kB");
    assert_eq!(read(&has("pids.max").unwrap()), 640);
    held.kill().unwrap();
    held.wait().unwrap();
    // So that the test does not take half of the machine's memory.
    std::fs::write(&memory, (100 << 20).to_string()).unwrap();
    let greedy = "perl -e 'my @all; push @all, \"x\" x (1 << 20) for 1..400; print scalar @all'";
    let out = jail.ssh().arg(greedy).output().unwrap();
    assert!(!out.status.success() && !out.stdout.starts_with(b"400"), "{}", shown(&out));
    assert!(other.run(greedy).starts_with("400"));
    jail.run("true");
    let dir = memory.parent().unwrap().to_path_buf();
    drop(jail);
    assert!(!dir.exists(), "the group is left behind");
}

#[test]
fn what_a_session_may_open_is_bounded() {
    let server = Server::new();
    let jail = server.jail("j", "allowed=0.0.0.0/0\n");
    jail.start();
    let files: u32 =
        jail.run("ulimit -n; ulimit -Hn").lines().map(|line| line.parse::<u32>().unwrap()).max().unwrap();
    assert!((128..=1024).contains(&files), "{files}");
}
