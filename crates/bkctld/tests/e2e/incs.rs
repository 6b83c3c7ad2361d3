//! Dated copies: that they are whole, faithful and apart from the live data.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::support::*;

fn inode(path: &Path) -> (u64, u64) {
    let meta = path.symlink_metadata().unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    (meta.dev(), meta.ino())
}

fn free_bytes(path: &Path) -> u64 {
    let stat = rustix::fs::statvfs(path).unwrap();
    stat.f_bavail * stat.f_frsize
}

#[apply(on_each_fs)]
fn an_inc_is_the_jail_at_its_moment(fs: FsKind) {
    let server = Server::on(fs);
    server.init("a");
    tree::every_kind(&server.data("a"));
    let before = Digest::of(&server.jail("a"));
    let inc = server.take_inc(0, "a");
    before.assert_same(&Digest::of(&inc), "the first inc");
    before.assert_same(&Digest::of(&server.jail("a")), "the jail after an inc");
    // Not one name of the inc is a name of a live file.
    let mut live = BTreeSet::new();
    for entry in fs::read_dir(server.data("a")).unwrap().flatten() {
        live.insert(inode(&entry.path()));
    }
    for entry in fs::read_dir(inc.join("data")).unwrap().flatten() {
        assert!(!live.contains(&inode(&entry.path())), "{:?} is shared with the live data", entry.path());
    }
}

#[apply(on_each_fs)]
fn each_inc_has_its_own_state_of_files_that_come_change_and_go(fs: FsKind) {
    let server = Server::on(fs);
    server.init("a");
    let data = server.data("a");
    tree::every_kind(&data);
    let steps: [&str; 7] = [
        "true",
        "echo new > new; rm plain; echo longer >> empty",
        "mv dir moved; chmod 600 script; chown 33:33 acl",
        "rm links/first; echo other > links/first; touch -d 2020-02-02 old",
        "setfattr -n user.note -v changed attributes; setfacl -b acl; rm fifo; mkdir fifo",
        "rm to-plain; echo 'was a link' > to-plain; rm -r moved; echo 'was a directory' > moved",
        // Same size, same modification time: only the change time tells.
        "touch -r new stamp; printf 'nEw\\n' > new; touch -r stamp new",
    ];
    let mut taken = Vec::new();
    server.settle();
    for (hour, step) in steps.iter().enumerate() {
        sh(&format!("cd {}; {step}", data.display()));
        let expected = Digest::of(&server.jail("a"));
        let inc = server.take_inc(hour as i8 - 6, "a");
        expected.assert_same(&Digest::of(&inc), &format!("the inc after: {step}"));
        taken.push((inc, expected));
    }
    for (inc, expected) in &taken {
        expected.assert_same(&Digest::of(inc), &format!("{} in the end", inc.display()));
    }
}

#[apply(on_each_fs)]
fn what_did_not_change_takes_no_space_again(fs: FsKind) {
    let server = Server::on(fs);
    server.init("a");
    tree::many(&server.data("a"), 300);
    write(&server.data("a").join("big"), vec![1; 20 << 20]);
    server.settle();
    server.take_inc(-2, "a");
    sh("sync");
    let before = free_bytes(&server.backup());
    let second = server.take_inc(-1, "a");
    sh("sync");
    let taken = before.saturating_sub(free_bytes(&server.backup()));
    assert!(taken < 5 << 20, "an unchanged inc took {taken} bytes");
    if fs != FsKind::Btrfs {
        let first = &server.incs("a")[0];
        assert_eq!(inode(&first.join("data/big")), inode(&second.join("data/big")));
    }
}

#[apply(on_each_fs)]
fn an_inc_is_made_of_each_jail_that_has_a_policy_and_the_times_are_told(fs: FsKind) {
    let server = Server::on(fs);
    for name in ["a", "b", "c"] {
        server.init(name);
    }
    fs::remove_file(server.path("conf/b.d/incs_policy")).unwrap();
    let old = server.path("state/time-inc_2020-01-01-00");
    write(&old, "#\n");
    sh(&format!("touch -d '40 days ago' {}", old.display()));
    server.bkctld(&["-v", "inc"]).ok().warns("'b' has no policy");
    assert_eq!((server.incs("a").len(), server.incs("b").len(), server.incs("c").len()), (1, 0, 1));
    let name = server.only_inc("a").file_name().unwrap().to_string_lossy().into_owned();
    let times = fs::read_to_string(server.path(&format!("state/time-inc_{name}"))).unwrap();
    let lines: Vec<&str> = times.lines().collect();
    assert!(lines[0].starts_with('#'), "{times}");
    let mut jails: Vec<&str> = lines[1..].iter().map(|line| line.split_once(" ;").unwrap().1).collect();
    assert_eq!(jails.pop(), Some("GLOBAL"), "{times}");
    jails.sort_unstable();
    assert_eq!(jails, ["a", "c"], "{times}");
    for line in &lines[1..] {
        line.split_once(" ;").unwrap().0.parse::<f64>().unwrap_or_else(|_| panic!("{times}"));
    }
    assert!(!old.exists(), "times older than 30 days are left");
    // The same hour again: skipped with a warning, and nothing is touched.
    let digests = server.digests("a");
    server.bkctld(&["inc"]).ok().warns("a");
    server.assert_unchanged(&digests, "a second inc in the same hour");
}

#[apply(on_each_fs)]
fn a_client_that_writes_all_the_while_spoils_no_inc(fs: FsKind) {
    let server = Server::on(fs);
    let client = server.started("a");
    let source = server.path("source");
    tree::many(&source, 1500);
    let from = format!("{}/", source.display());
    client.rsync(&["-a", &from, "jail:/data/tree"]).ok();
    let pusher = client.begin(
        "i=0; while [ $i -lt 400 ]; do i=$((i+1)); echo $i > /data/tree/0/$i; rm -rf /data/tree/1; \
         mkdir -p /data/tree/1/2; echo $i >> /data/tree/3/300; done",
    );
    let mut seen = Vec::new();
    for hour in 0..4 {
        seen.push(server.take_inc(hour, "a"));
    }
    pusher.finish().ok();
    for inc in &seen {
        let first = Digest::of(inc);
        assert!(first.len() > 1000, "{} names", first.len());
    }
    let digests = server.digests("a");
    client.ssh("rm -rf /data/*").ok();
    server.assert_unchanged(&digests, "rm -rf in the jail");
}

#[apply(on_each_fs)]
fn an_inc_of_a_jail_that_is_stopped_and_of_one_that_runs_are_alike(fs: FsKind) {
    let server = Server::on(fs);
    let client = server.started("a");
    client.ssh("echo one > /data/one").ok();
    let running = server.take_inc(-2, "a");
    server.bkctld(&["stop", "a"]).ok();
    let stopped = server.take_inc(-1, "a");
    Digest::of(&running.join("data")).assert_same(&Digest::of(&stopped.join("data")), "data");
}

#[apply(as_root)]
fn a_live_inode_of_the_shell_programs_incs_is_left_behind_by_the_next_inc() {
    // The original's incs share inodes with the live data.
    let server = Server::on(FsKind::Ext4);
    server.init("a");
    tree::many(&server.data("a"), 200);
    let old = server.path("backup/incs/a/2020-01-01-00");
    sh(&format!("mkdir -p {0}; cp -al {1}/. {0}", old.display(), server.jail("a").display()));
    let inc = server.take_inc(0, "a");
    assert_ne!(inode(&inc.join("data/0/7")), inode(&server.data("a").join("0/7")));
    let digest = Digest::of(&inc);
    sh(&format!("echo spoilt > {}", server.data("a").join("0/7").display()));
    digest.assert_same(&Digest::of(&inc), "the inc after a write to the live file");
    server.take_inc(1, "a");
}

#[apply(as_root)]
fn without_room_for_what_is_shared_the_inc_says_how_much_is_missing() {
    let server = Server::sized(FsKind::Ext4, 96);
    server.init("a");
    write(&server.data("a").join("big"), vec![3; 50 << 20]);
    let old = server.path("backup/incs/a/2020-01-01-00");
    sh(&format!("mkdir -p {0}; cp -al {1}/. {0}", old.display(), server.jail("a").display()));
    sh("sync");
    let free = free_bytes(&server.backup());
    let ran = server.bkctld(&["inc", "a"]).exits(1);
    assert!(ran.err().contains("space") || ran.err().contains("room"), "{}", ran.told());
    assert!(ran.err().contains('a') && ran.err().bytes().any(|byte| byte.is_ascii_digit()), "{}", ran.told());
    assert_eq!(server.incs("a"), [old]);
    sh("sync");
    assert!(free.saturating_sub(free_bytes(&server.backup())) < 1 << 20, "a half inc is left");
}

#[apply(as_root)]
fn more_links_than_the_file_system_allows_make_a_new_inode() {
    let server = Server::on(FsKind::Ext4);
    server.init("a");
    let data = server.data("a");
    write(&data.join("popular"), "many names\n");
    // Two incs of it reach the 65,000 links that ext4 allows.
    sh(&format!(
        "cd {}; mkdir l; perl -e 'for (1..33000) {{ link(\"popular\", \"l/$_\") or die $! }}'",
        data.display()
    ));
    let expected = Digest::of(&server.jail("a"));
    server.settle();
    for hour in 0..3 {
        let inc = server.take_inc(hour, "a");
        expected.assert_same(&Digest::of(&inc), "an inc beyond the link limit");
    }
}

#[apply(as_root)]
fn a_nested_subvolume_is_reported_since_no_snapshot_has_it() {
    let server = Server::on(FsKind::Btrfs);
    server.init("a");
    sh(&format!("btrfs -q subvolume create {}", server.data("a").join("nested").display()));
    let ran = server.bkctld(&["inc", "a"]);
    assert!(ran.err().contains("nested"), "{}", ran.told());
    assert_eq!(server.incs("a").len(), 1);
    server.bkctld(&["-f", "remove", "a"]).ok();
    assert!(!server.jail("a").exists());
}

#[apply(as_root)]
fn on_btrfs_an_inc_is_a_read_only_snapshot() {
    let server = Server::on(FsKind::Btrfs);
    server.init("a");
    write(&server.data("a").join("f"), "x");
    let inc = server.take_inc(0, "a");
    assert_eq!(fs::metadata(&inc).unwrap().ino(), 256);
    assert_eq!(sh(&format!("btrfs property get {} ro", inc.display())), "ro=true");
    assert!(fs::write(inc.join("data/f"), "y").is_err());
}

#[apply(as_root)]
fn without_leases_nothing_counts_as_unchanged_and_that_is_said() {
    let server = Server::on(FsKind::Ext4);
    server.init("a");
    let data = server.data("a");
    for (file, owner) in [("ours", 0), ("others", 1000)] {
        write(&data.join(file), "x");
        std::os::unix::fs::chown(data.join(file), Some(owner), None).unwrap();
    }
    server.settle();
    // Leases on others' files take CAP_LEASE.
    let without = |hour: i8| {
        let inc = server.command_ahead(hour, &["inc", "a"]);
        let mut command = std::process::Command::new("setpriv");
        command.args(["--inh-caps=-lease", "--bounding-set=-lease"]).arg(inc.get_program());
        command.args(inc.get_args()).env_clear();
        command.envs(inc.get_envs().filter_map(|(name, value)| Some((name, value?))));
        run::run(command).ok()
    };
    without(0).warns("CAP_LEASE");
    let ran = server.bkctld_ahead(1, &["inc", "a"]).ok();
    assert!(!ran.err().contains("CAP_LEASE"), "{}", ran.told());
    server.take_inc(2, "a");
    let same = |file: &str, a: usize, b: usize| {
        let of = |n: usize| inode(&server.incs("a")[n].join("data").join(file));
        of(a) == of(b)
    };
    assert!(same("ours", 0, 1) && !same("others", 0, 1), "copied again, for it was not known to be settled");
    assert!(same("ours", 1, 2) && same("others", 1, 2), "known now");
}

#[apply(as_root)]
fn inc_is_quiet_where_nobody_watches() {
    let server = Server::on(FsKind::Ext4);
    server.init("a");
    let ran = server.bkctld(&["inc"]).ok();
    assert!(!ran.err().contains('\r') && !ran.err().contains('\x1b'), "{}", ran.told());
    assert!(!ran.out().contains('\r') && !ran.out().contains('\x1b'), "{}", ran.told());
    let quiet = server.bkctld_ahead(1, &["-q", "inc"]).ok().silent();
    assert!(quiet.err().is_empty(), "{}", quiet.told());
}

#[apply(as_root)]
fn a_small_jail_has_its_inc_before_the_enormous_ones_that_came_first() {
    let server = Server::on(FsKind::Ext4);
    // One for each processor, and a file in each that no processor is done with soon.
    let enormous: Vec<String> =
        (0..std::thread::available_parallelism().unwrap().get()).map(|n| format!("a{n}")).collect();
    for name in &enormous {
        server.init(name);
        sh(&format!(
            "cd {}; perl -e 'for (1..15000) {{ open(F, \">$_\") && print F $_ or die $! }}'
             dd if=/dev/zero of=big bs=1M count=200 status=none",
            server.data(name).display()
        ));
    }
    server.init("z");
    let inc = server.begin(&["inc"]);
    wait_for("the small jail has its inc", || !server.incs("z").is_empty());
    for name in &enormous {
        assert!(server.incs(name).is_empty(), "the small jail has waited for '{name}'");
    }
    inc.finish().ok();
    for name in &enormous {
        assert_eq!(server.incs(name).len(), 1);
    }
}

#[apply(as_root)]
fn an_inc_that_stands_is_none_that_failed_on_a_full_btrfs() {
    let server = Server::sized(FsKind::Btrfs, 400);
    server.init("a");
    let data = server.data("a");
    // With files so small that they go into the metadata, until those are full, too.
    sh(&format!(
        "cd {}; dd if=/dev/zero of=big bs=64k status=none 2>/dev/null || :; sync
         perl -e 'for (1..300000) {{ open(F, \">s$_\") && print F \"x\" x 1800 and close F or last }}'; sync",
        data.display()
    ));
    for hour in 0..4 {
        let before = server.incs("a").len();
        let ran = server.bkctld_ahead(hour, &["inc", "a"]);
        let made = server.incs("a").len() - before;
        assert_eq!(ran.code == 0, made == 1, "{made} made: {}", ran.told());
    }
}

#[apply(as_root)]
fn an_inc_whose_record_cannot_be_written_stands_and_says_so() {
    let server = Server::on(FsKind::Btrfs);
    server.init("a");
    write(&server.data("a").join("f"), "x");
    // A snapshot takes no file that has to grow; a record does.
    let program = server.command(&[]);
    let mut shell = std::process::Command::new("sh");
    server.environment(&mut shell);
    let script = "trap '' XFSZ; ulimit -f 0; exec \"$0\" inc";
    shell.args(["-c", script]).arg(program.get_program());
    run::run(shell)
        .ok()
        .warns("its record cannot be written")
        .warns("the duration of this run cannot be recorded");
    assert_eq!(fs::read_to_string(server.only_inc("a").join("data/f")).unwrap(), "x");
}

#[apply(as_root)]
fn without_room_for_the_times_there_are_incs_all_the_same() {
    let server = Server::on(FsKind::Ext4);
    server.init("a");
    let state = server.path("state");
    sh(&format!(
        "mount -t tmpfs -o size=64k none {0}; dd if=/dev/zero of={0}/full bs=4k 2>/dev/null || :",
        state.display()
    ));
    server.bkctld(&["inc"]).ok().warns("the duration of this run cannot be recorded");
    assert_eq!(server.incs("a").len(), 1);
    sh(&format!("umount {}", state.display()));
}

#[apply(as_root)]
fn inc_goes_on_past_a_jail_that_fails() {
    let server = Server::on(FsKind::Ext4);
    for name in ["a", "b", "c"] {
        server.init(name);
    }
    fs::remove_dir(server.path("backup/incs/b")).unwrap();
    write(&server.path("backup/incs/b"), "not a directory");
    server.bkctld(&["inc"]).exits(1).warns("b");
    assert_eq!((server.incs("a").len(), server.incs("c").len()), (1, 1));
    fs::remove_file(server.path("backup/incs/b")).unwrap();
}

#[apply(as_root)]
fn an_inc_for_which_there_are_too_few_descriptors_is_none_and_the_soft_limit_is_no_bound() {
    let server = Server::on(FsKind::Ext4);
    server.init("a");
    let mut dir = server.data("a");
    for _ in 0..150 {
        dir = dir.join("d");
        write(&dir.join("beside/file"), "x");
    }
    let with_limit = |limit: &str, command: &str| {
        let mut shell = std::process::Command::new("sh");
        server.environment(&mut shell);
        let script =
            format!("ulimit {limit}; exec {} {command} a", server.command(&[]).get_program().display());
        shell.args(["-c", &script]);
        run::run(shell)
    };
    // All of the process, the hard one too.
    for limit in 55..65 {
        // Each of them runs out elsewhere.
        with_limit(&format!("-n {limit}"), "inc").refuses(&["ulimit -n"]);
        assert!(server.incs("a").is_empty(), "a part of the jail passes for an inc");
    }
    assert!(!server.path("backup/incs/a").read_dir().is_ok_and(|mut left| left.next().is_some()));
    with_limit("-Sn 60", "inc").ok();
    Digest::of(&server.jail("a")).assert_same(&Digest::of(&server.incs("a")[0]), "the inc");
}
