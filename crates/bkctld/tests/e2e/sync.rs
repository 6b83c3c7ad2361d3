//! `sync`: two servers, and what the second one is like after the first has mirrored itself to it.

use std::fs;

use crate::support::*;

/// A client's key, and the host keys of the jail as they are on the first server.
struct Pinned<'m> {
    at: &'m Machine,
    dir: String,
}

impl<'m> Pinned<'m> {
    /// Makes a key that may log into the jail, and pins its host keys.
    fn new(at: &'m Machine, jail: &str) -> Pinned<'m> {
        let dir = at.path(&format!("client-{jail}")).display().to_string();
        let etc = at.jail(jail).join("rootfs/etc/ssh").display().to_string();
        at.sh(&format!(
            "mkdir -p {dir}; rm -f {dir}/id*; ssh-keygen -q -t ed25519 -N '' -f {dir}/id
            bkctld key {jail} {dir}/id.pub
            for key in {etc}/ssh_host_*_key.pub; do echo \"* $(cat $key)\"; done > {dir}/known_hosts"
        ));
        Pinned { at, dir }
    }

    /// Runs `true` in the jail on the machine at this address.
    fn logs_in(&self, address: &str, port: &str) -> Ran {
        let known = format!("UserKnownHostsFile={}/known_hosts", self.dir);
        let key = format!("{}/id", self.dir);
        let mut args = vec!["-F", "/dev/null", "-i", &key, "-p", port];
        for option in
            ["BatchMode=yes", "StrictHostKeyChecking=yes", "IdentitiesOnly=yes", "ConnectTimeout=30", &known]
        {
            args.extend(["-o", option]);
        }
        let login = format!("root@{address}");
        args.extend([login.as_str(), "true"]);
        run(self.at.command("ssh", &args))
    }
}

/// Demands that the jail's configuration is the same on both.
#[track_caller]
fn assert_same(first: &Machine, second: &Machine, jail: &str) {
    let told = |machine: &Machine| -> Vec<String> {
        let (jail, conf) = (machine.jail(jail), machine.path("conf"));
        let name = jail.file_name().unwrap().to_str().unwrap().to_owned();
        let told = sh(&format!(
            "list() {{ find \"$@\" -printf '%p %y %m %U %G %l\n'; find \"$@\" -type f -exec sha256sum {{}} +; }}
            cd {}; list rootfs/etc rootfs/root; cd {}; [ ! -e {name} ] || list {name}; list {name}.d",
            jail.display(),
            conf.display()
        ));
        let mut lines: Vec<String> = told.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    let (first, second) = (told(first), told(second));
    let only = |one: &[String], other: &[String]| {
        one.iter().filter(|line| !other.contains(line)).cloned().collect::<Vec<_>>()
    };
    let differences = (only(&first, &second), only(&second, &first));
    assert_eq!(differences, (Vec::new(), Vec::new()), "what only the one has, and only the other, of {jail}");
}

/// Everything that `sync` could change on a machine.
fn state(machine: &Machine) -> [Digest; 2] {
    [Digest::of(&machine.path("backup")), Digest::of(&machine.path("conf"))]
}

#[apply(as_root)]
fn the_first_sync_finds_nothing_but_a_freshly_mounted_partition() {
    let (here, there) = Machine::pair(FsKind::Ext4);
    here.set("NODE=10.9.0.2");
    here.bkctld(&["init", "web01"]).ok();
    for dir in ["jails", "incs"] {
        fs::remove_dir(there.path("backup").join(dir)).unwrap();
    }
    here.bkctld(&["sync", "web01"]).ok();
    assert_same(&here, &there, "web01");
}

#[apply(as_root)]
fn the_second_server_serves_the_same_jails_with_the_same_host_keys() {
    let (here, there) = Machine::pair(FsKind::Btrfs);
    here.set("NODE=10.9.0.2");
    // The node's own jail comes first, so that a new one gets another port there than it has here.
    there.bkctld(&["init", "own"]).ok();
    there.bkctld(&["port", "own", "2300"]).ok();
    for name in ["web01", "db"] {
        here.bkctld(&["init", name]).ok();
    }
    let client = Pinned::new(&here, "web01");
    here.bkctld(&["start", "web01"]).ok();
    fs::write(here.jail("web01").join("data/file"), "data stays here").unwrap();
    let own = [Digest::of(&there.jail("own")), Digest::of(&there.path("conf/own.d"))];

    here.bkctld(&["sync", "all"]).ok();

    assert_eq!(there.bkctld(&["list"]).ok().lines(), ["db", "own", "web01"]);
    for name in ["web01", "db"] {
        assert_same(&here, &there, name);
        assert_eq!(here.port(name), there.port(name));
    }
    assert!(there.is_on("web01") && !there.is_on("db") && !there.is_on("own"));
    client.logs_in("10.9.0.1", &here.port("web01")).ok();
    client.logs_in("10.9.0.2", &here.port("web01")).ok();
    assert!(!there.jail("web01").join("data/file").exists(), "data is not mirrored");
    own[0].assert_same(&Digest::of(&there.jail("own")), "the node's own jail");
    own[1].assert_same(&Digest::of(&there.path("conf/own.d")), "the node's own policies");
    // Again, when there is nothing to do.
    let before = state(&there);
    let json = here.bkctld(&["--json", "sync", "all"]).ok().json();
    assert_eq!(json["results"][1]["outcome"], "skipped", "{json}");
    assert_eq!(json["results"][1]["nodes"][0]["service"], "reload");
    let after = state(&there);
    before[0].assert_same(&after[0], "the node's volume after a second sync");
    before[1].assert_same(&after[1], "the node's policies after a second sync");
}

#[apply(as_root)]
fn jails_that_have_swapped_their_ports_have_done_so_there() {
    let (here, there) = Machine::pair(FsKind::Ext4);
    here.set("NODE=10.9.0.2");
    let clients = ["a", "b"].map(|name| {
        here.bkctld(&["init", name]).ok();
        Pinned::new(&here, name)
    });
    here.bkctld(&["start", "all"]).ok();
    here.bkctld(&["sync", "all"]).ok();
    for (name, port) in [("a", "2300"), ("b", "2222"), ("a", "2223")] {
        here.bkctld(&["port", name, port]).ok();
    }
    here.bkctld(&["sync", "all"]).ok();
    assert_eq!((there.port("a"), there.port("b")), ("2223".into(), "2222".into()));
    clients[0].logs_in("10.9.0.2", "2223").ok();
    clients[1].logs_in("10.9.0.2", "2222").ok();
}

#[apply(as_root)]
fn what_is_changed_and_what_is_gone_here_is_so_there() {
    let (here, there) = Machine::pair(FsKind::Ext4);
    here.set("NODE=10.9.0.2");
    here.bkctld(&["init", "a"]).ok();
    let old = Pinned::new(&here, "a");
    here.bkctld(&["start", "a"]).ok();
    write(&here.jail("a").join("rootfs/etc/extra/file"), "x");
    write(&here.path("conf/a.d/session_policy"), "MAX_SESSIONS=7\n");
    here.bkctld(&["sync", "a"]).ok();
    assert_same(&here, &there, "a");
    old.logs_in("10.9.0.2", "2222").ok();

    // Another key, another port, fewer files; and it is on there, so it is reloaded.
    let dir = old.dir.clone();
    here.sh(&format!("cp -a {dir} {dir}.old"));
    let new = Pinned::new(&here, "a");
    let old = Pinned { at: &here, dir: format!("{dir}.old") };
    here.bkctld(&["port", "a", "2400"]).ok();
    fs::remove_dir_all(here.jail("a").join("rootfs/etc/extra")).unwrap();
    fs::remove_file(here.path("conf/a.d/session_policy")).unwrap();
    let json = here.bkctld(&["--json", "sync", "a"]).ok().json();
    let changes = json["results"][0]["nodes"][0]["changes"].to_string();
    for change in [
        "change rootfs/root/.ssh/authorized_keys",
        "change rootfs/etc/ssh/sshd_config",
        "delete rootfs/etc/extra/file",
        "delete a.d/session_policy",
    ] {
        assert!(changes.contains(change), "{change} is not in {changes}");
    }
    assert_same(&here, &there, "a");
    new.logs_in("10.9.0.2", "2400").ok();
    old.logs_in("10.9.0.2", "2400").fails();

    here.bkctld(&["stop", "a"]).ok();
    here.bkctld(&["sync", "a"]).ok();
    assert!(!there.is_on("a"));
    // The legacy policy file appears and goes as well.
    write(&here.path("conf/a"), "+%Y-%m-%d.-0day\n");
    fs::remove_dir_all(here.path("conf/a.d")).unwrap();
    here.bkctld(&["sync", "a"]).ok();
    assert!(there.path("conf/a").is_file() && !there.path("conf/a.d").exists());
    fs::remove_file(here.path("conf/a")).unwrap();
    here.bkctld(&["sync", "a"]).ok();
    assert!(!there.path("conf/a").exists());
}

#[apply(as_root)]
fn a_rehearsal_lists_what_would_change_and_changes_nothing() {
    let (here, there) = Machine::pair(FsKind::Ext4);
    here.set("NODE=10.9.0.2");
    here.bkctld(&["init", "a"]).ok();
    let before = state(&there);
    here.bkctld(&["-n", "sync", "all"]).ok().says("jail 'a' on 10.9.0.2: would be: created");
    let after = state(&there);
    before[0].assert_same(&after[0], "the node's volume after a rehearsal");
    here.bkctld(&["sync", "a"]).ok();
    Pinned::new(&here, "a");
    here.bkctld(&["start", "a"]).ok();
    let before = state(&there);
    let ran = here.bkctld(&["--dry-run", "sync", "a"]).ok().says("would be: files changed: 1, started");
    ran.says("  change rootfs/root/.ssh/authorized_keys");
    let after = state(&there);
    before[0].assert_same(&after[0], "the node's volume after a rehearsal");
    before[1].assert_same(&after[1], "the node's policies after a rehearsal");
    assert!(!there.is_on("a"));
}

#[apply(as_root)]
fn other_versions_are_refused() {
    let (here, there) = Machine::pair(FsKind::Ext4);
    here.set("NODE=10.9.0.2");
    for name in ["a", "b"] {
        here.bkctld(&["init", name]).ok();
    }
    here.bkctld(&["sync", "all"]).ok();
    let client = Pinned::new(&here, "b");
    let before = state(&there);
    // Of the program: nothing at all is done.
    there.sh("cp /usr/lib/bkctld/includes /run/; sed -i 's/^VERSION=.*/VERSION=\"25.05\"/' /usr/lib/bkctld/includes");
    here.bkctld(&["sync", "all"]).refuses(&["10.9.0.2", "25.05", "the same version"]);
    before[0].assert_same(&state(&there)[0], "a node of another version");
    there.sh("cp /run/includes /usr/lib/bkctld/");
    // Of a jail: the others are mirrored.
    fs::remove_file(there.jail("a").join("version")).unwrap();
    here.bkctld(&["sync", "a"]).exits(3).warns("node '10.9.0.2': jail 'a' has format version 1");
    let ran = here.bkctld(&["sync", "all"]).exits(1).warns("convert-v2 a");
    assert_eq!(ran.err().lines().count(), 1, "{}", ran.told());
    here.bkctld(&["start", "b"]).ok();
    here.bkctld(&["sync", "b"]).ok();
    client.logs_in("10.9.0.2", &here.port("b")).ok();
    // And of the jail here.
    fs::remove_file(here.jail("a").join("version")).unwrap();
    here.bkctld(&["sync", "a"]).exits(3);
    here.bkctld(&["sync", "nobody"]).exits(2);
}

#[apply(as_root)]
fn a_node_that_cannot_be_reached_or_used_is_told_in_one_line() {
    let (here, there) = Machine::pair(FsKind::Ext4);
    for name in ["a", "b"] {
        here.bkctld(&["init", name]).ok();
    }
    here.bkctld(&["sync", "all"]).refuses(&["NODE", "/etc/default/bkctld"]);
    here.set("NODE=10.9.0.2");
    let includes = "/usr/lib/bkctld/includes";
    there.sh(&format!("mv {includes} {includes}.away"));
    here.bkctld(&["sync", "all"]).refuses(&["10.9.0.2", "install bkctld there"]);
    there.sh(&format!("mv {includes}.away {includes}; kill $(cat /run/sshd.pid)"));
    wait_for("sshd has ended", || there.sh("ss -Hltn 'sport = :22'").is_empty());
    here.bkctld(&["sync", "all"]).refuses(&["10.9.0.2", "Connection refused"]);
    there.sh("/usr/sbin/sshd -f /run/sshd_config -E /run/sshd.log; echo > /root/.ssh/authorized_keys");
    here.bkctld(&["sync", "all"]).refuses(&["10.9.0.2", "Permission denied"]);
    here.sh("mv /root/.ssh/known_hosts /root/.ssh/away");
    here.bkctld(&["sync", "all"]).refuses(&["10.9.0.2", "Host key verification failed"]);
    assert!(there.bkctld(&["list"]).ok().lines().is_empty());
}

#[apply(as_root)]
fn one_node_of_several_that_is_down_does_not_keep_the_others() {
    let (here, there) = Machine::pair(FsKind::Ext4);
    here.bkctld(&["init", "a"]).ok();
    // Nothing listens there.
    here.set("NODE='10.9.0.1 10.9.0.2'");
    let ran = here.bkctld(&["--json", "sync", "all"]).exits(1).warns("node '10.9.0.1'");
    let nodes = &ran.json()["results"][0]["nodes"];
    assert!(nodes[0]["error"].as_str().unwrap().contains("Connection refused"), "{nodes}");
    assert_eq!(nodes[1]["created"], true);
    assert_same(&here, &there, "a");
}

#[apply(as_root)]
fn a_port_that_another_jail_of_the_node_has_is_refused_and_the_rest_goes_on() {
    let (here, there) = Machine::pair(FsKind::Ext4);
    here.set("NODE=10.9.0.2");
    there.bkctld(&["init", "own"]).ok();
    for name in ["a", "b"] {
        here.bkctld(&["init", name]).ok();
    }
    let ran = here.bkctld(&["sync", "all"]).exits(1);
    ran.warns("jail 'a': node '10.9.0.2': port 2222 is already used by jail 'own' there");
    assert_eq!(there.bkctld(&["list"]).ok().lines(), ["b", "own"]);
    assert_same(&here, &there, "b");
}

#[apply(as_root)]
fn a_full_node_keeps_what_it_had_and_is_completed_when_there_is_room() {
    let (here, there) = Machine::pair(FsKind::Ext4);
    here.set("NODE=10.9.0.2");
    here.bkctld(&["init", "a"]).ok();
    let client = Pinned::new(&here, "a");
    here.bkctld(&["start", "a"]).ok();
    here.bkctld(&["sync", "a"]).ok();
    let volume = there.path("backup").display().to_string();
    let fill = |size: &str| {
        sh(&format!(
            "dd if=/dev/zero bs={size} oflag=append conv=notrunc of={volume}/ballast 2>/dev/null || true"
        ))
    };
    fill("1M");
    fill("1k");
    fs::write(here.jail("a").join("rootfs/etc/large"), vec![b'x'; 3 << 20]).unwrap();
    here.bkctld(&["sync", "a"]).refuses(&["jail 'a'", "10.9.0.2", "its disk is full: ", "(free space there"]);
    client.logs_in("10.9.0.2", "2222").ok();
    assert!(!there.jail("a").join("rootfs/etc/large").exists());
    // A jail that cannot even be made there does not half exist.
    here.bkctld(&["init", "b"]).ok();
    here.bkctld(&["sync", "b"]).fails().warns("jail 'b': node '10.9.0.2'");
    fs::remove_file(there.path("backup/ballast")).unwrap();
    here.bkctld(&["sync", "all"]).ok();
    for name in ["a", "b"] {
        assert_same(&here, &there, name);
    }
}

#[apply(as_root)]
fn a_connection_that_breaks_is_told_and_what_is_missing_comes_with_the_next_sync() {
    let (here, there) = Machine::pair(FsKind::Ext4);
    here.set("NODE=10.9.0.2");
    for name in ["a", "b"] {
        here.bkctld(&["init", name]).ok();
        fs::write(here.jail(name).join("rootfs/etc/large"), vec![b'x'; 64 << 20]).unwrap();
    }
    let running = crate::support::run::start(here.command("/usr/sbin/bkctld", &["sync", "all"]), b"");
    let first = there.jail("a").join("rootfs/etc");
    let arriving = || {
        fs::read_dir(&first).is_ok_and(|mut dir| {
            dir.any(|entry| {
                entry.is_ok_and(|entry| entry.file_name().to_string_lossy().starts_with(".large."))
            })
        })
    };
    wait_for("the large file is on its way", arriving);
    // The one that listens, so that there is no other connection, and those of this one.
    there.sh("at=$(cat /run/sshd.pid); all=$(ps -o pid= --ppid $at); kill $at; kill $all");
    running.finish().refuses(&["10.9.0.2"]);
    assert!(!there.is_on("a"));
    there.sh("/usr/sbin/sshd -f /run/sshd_config -E /run/sshd.log");
    here.bkctld(&["sync", "all"]).ok();
    for name in ["a", "b"] {
        assert_same(&here, &there, name);
    }
}

#[apply(as_root)]
fn the_firewall_of_the_node_admits_what_the_one_here_admits() {
    let (here, there) = Machine::pair(FsKind::Ext4);
    here.set("NODE=10.9.0.2");
    there.set("FIREWALL_RULES=/etc/rules");
    for name in ["a", "b"] {
        here.bkctld(&["init", name]).ok();
    }
    here.bkctld(&["ip", "a", "192.0.2.7"]).ok();
    here.bkctld(&["sync", "all"]).ok();
    let rules = || there.sh("cat /etc/rules");
    assert!(rules().contains("--dport 2222 -s 192.0.2.7 -j ACCEPT #a"), "{}", rules());
    here.bkctld(&["ip", "a", "192.0.2.8"]).ok();
    here.bkctld(&["port", "b", "2500"]).ok();
    // One of the node's own that is broken keeps nobody.
    there.bkctld(&["init", "own"]).ok();
    fs::write(there.jail("own").join("rootfs/etc/ssh/sshd_config"), "Port what\n").unwrap();
    here.bkctld(&["sync", "all"]).ok();
    assert!(rules().contains("--dport 2222 -s 192.0.2.8 -j ACCEPT #a"), "{}", rules());
    assert!(rules().contains("--dport 2500") && !rules().contains("--dport 2223"), "{}", rules());
}

#[apply(as_root)]
fn an_original_on_the_other_side_finds_what_it_calls() {
    let (here, there) = Machine::pair(FsKind::Ext4);
    // Each of these is one ssh of the original's `sync`, in its order.
    let asks = |command: &str| run(here.command("ssh", &["-o", "BatchMode=yes", "10.9.0.2", command]));
    let version = asks("grep ^VERSION= /usr/lib/bkctld/includes").ok();
    assert_eq!(version.out().trim(), format!("VERSION=\"{}\"", env!("CARGO_PKG_VERSION")));
    asks("/usr/lib/bkctld/bkctld-is-on a 2>/dev/null").exits(2);
    asks("/usr/lib/bkctld/bkctld-init a").ok();
    assert_eq!(asks("/usr/lib/bkctld/bkctld-jail-version a").ok().out().trim(), "2");
    there.set("FIREWALL_RULES=/etc/rules");
    asks("/usr/lib/bkctld/bkctld-firewall a").ok();
    assert!(there.sh("cat /etc/rules").contains("#a"));
    asks("/usr/lib/bkctld/bkctld-is-on a 2>/dev/null").exits(100);
    asks("/usr/lib/bkctld/bkctld-start a").ok();
    asks("/usr/lib/bkctld/bkctld-is-on a 2>/dev/null").ok();
    asks("/usr/lib/bkctld/bkctld-reload a").ok();
    asks("/usr/lib/bkctld/bkctld-stop a").ok();
    assert!(!there.is_on("a"));
}

#[apply(as_root)]
fn a_jail_moves_to_another_server_as_the_documentation_says() {
    let (here, there) = Machine::pair(FsKind::Ext4);
    for machine in [&here, &there] {
        machine.set("NODE=10.9.0.2\nBACKUP_PARTITION=/mnt");
        machine.sh(&format!("mount --bind {} /mnt", machine.path("backup").display()));
    }
    here.bkctld(&["init", "web01"]).ok();
    let client = Pinned::new(&here, "web01");
    here.bkctld(&["start", "web01"]).ok();
    let data = "jails/web01/data";
    write(&here.path("backup").join(data).join("a/file"), "old");
    here.bkctld(&["inc", "web01"]).ok();
    write(&here.path("backup").join(data).join("a/file"), "new");

    let page = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/several-servers.md");
    let page = fs::read_to_string(page).unwrap();
    let (_, task) = page.split_once("\n## Move a jail to another server\n").expect("the page has the task");
    let mut examples = task.split("```console").skip(1).map(|rest| rest.split("```").next().unwrap());
    let mut follow = || {
        let example = examples.next().expect("the task has this step");
        here.sh(&example.replace("backup2.example.org", "10.9.0.2").replace("/backup/", "/mnt/"));
    };
    follow();

    assert_same(&here, &there, "web01");
    assert!(!here.is_on("web01") && there.is_on("web01"));
    client.logs_in("10.9.0.2", &there.port("web01")).ok();
    let same = |below: &str| {
        Digest::of(&here.path("backup").join(below))
            .assert_same(&Digest::of(&there.path("backup").join(below)), below);
    };
    same(data);
    let inc = here.sh("ls /mnt/incs/web01");
    same(&format!("incs/web01/{inc}"));
    // And nothing is mirrored over it any more.
    follow();
    here.bkctld(&["sync", "all"]).ok();
    assert!(there.is_on("web01"));
    // The next inc there is made as ever.
    let mut later = there.command("/usr/sbin/bkctld", &["inc", "web01"]);
    later.env("TZ", "LATER-1");
    run(later).ok();
    assert_eq!(there.sh("ls /mnt/incs/web01 | wc -l"), "2");
    assert_eq!(there.sh("cat /mnt/incs/web01/*/data/a/file"), "oldnew");
}

#[apply(as_root)]
fn an_interrupted_sync_is_completed_by_the_next() {
    let (here, there) = Machine::pair(FsKind::Ext4);
    here.set("NODE=10.9.0.2");
    for name in ["a", "b", "c"] {
        here.bkctld(&["init", name]).ok();
        here.bkctld(&["start", name]).ok();
    }
    let client = Pinned::new(&here, "a");
    let began = std::time::Instant::now();
    here.bkctld(&["-n", "sync", "all"]).ok();
    let step = began.elapsed() / 3;
    for round in 1..12 {
        fs::write(here.jail("a").join("rootfs/etc/large"), vec![round as u8; 8 << 20]).unwrap();
        let running = crate::support::run::start(here.command("/usr/sbin/bkctld", &["sync", "all"]), b"");
        std::thread::sleep(step * round);
        running.kill();
        // What is there is a jail or none, whatever was cut off.
        there.bkctld(&["status", "all"]).ok();
    }
    here.bkctld(&["sync", "all"]).ok();
    for name in ["a", "b", "c"] {
        assert_same(&here, &there, name);
        assert!(there.is_on(name));
    }
    client.logs_in("10.9.0.2", &here.port("a")).ok();
    assert_eq!(here.sh("find /run/bkctld -name 'sync.*'"), "", "sockets are left");
    let connections = "for at in /proc/[0-9]*; do
        [ \"$(readlink $at/ns/net)\" != \"$(readlink /proc/$$/ns/net)\" ] || cat $at/comm
    done 2>/dev/null | grep -E '^(ssh|rsync)$' || true";
    wait_for("no connection is left", || here.sh(connections).is_empty());
}
