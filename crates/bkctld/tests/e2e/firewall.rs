//! The firewall: the rules file of minifirewall, and a table of our own in nftables.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use crate::support::network::{self, Neighbour};
use crate::support::run::start;
use crate::support::server;
use crate::support::strace::killed_at_each;
use crate::support::*;

/// A table as an administrator has it, with a chain at the same place as ours.
const THEIRS: &str = "table inet filter {
    set trusted { type ipv4_addr; flags interval; elements = { 192.0.2.0/24 } }
    chain input { type filter hook input priority filter; policy accept; ip saddr @trusted counter accept; }
}
table ip bkctld {
    chain c { }
}
";

fn nft(arguments: &str) -> String {
    sh(&format!("nft {arguments}"))
}

/// All that is not ours, as nft tells it.
fn theirs() -> String {
    format!("{}\n{}", nft("list table inet filter"), nft("list table ip bkctld"))
}

/// The running table, its counter aside.
fn ours() -> String {
    nft("-s list table inet bkctld")
}

/// How many packets the table has dropped.
fn dropped() -> u64 {
    let text = nft("list table inet bkctld");
    let (_, rest) = text.split_once("counter packets ").unwrap_or_else(|| panic!("no counter: {text}"));
    rest.split(' ').next().unwrap().parse().unwrap()
}

fn with_nftables() -> Server {
    let server = Server::on(FsKind::Ext4);
    server.set("FIREWALL", "nftables");
    server
}

fn running_rules_agree(server: &Server) -> bool {
    let wanted = server.bkctld(&["-n", "firewall", "all"]).ok();
    let before = ours();
    let wanted: String =
        wanted.out().lines().filter(|line| !line.starts_with("would ")).map(|l| format!("{l}\n")).collect();
    // What nft makes of the wanted text, in a network where nothing else is.
    let mut command = Command::new("unshare");
    command.args(["--net", "sh", "-c", "nft -f - && nft -s list table inet bkctld"]);
    let listed = start(command, wanted.as_bytes()).finish().ok();
    listed.out().trim_end() == before.trim_end()
}

#[apply(as_root)]
fn an_allowed_address_reaches_the_port_and_no_other_does() {
    if !network::has_ipv6() {
        return;
    }
    let server = with_nftables();
    server.started("a");
    let neighbour = Neighbour::new();
    let reaches = |from: &str| neighbour.greeting(from, 2222).starts_with("SSH-");
    for from in ["192.0.2.7", "192.0.2.8", "2001:db8::7"] {
        assert!(reaches(from), "everyone may, and {from} does not");
    }
    for allowed in ["192.0.2.7", "2001:db8::7"] {
        server.bkctld(&["ip", "a", allowed]).ok();
    }
    for allowed in ["192.0.2.7", "2001:db8::7"] {
        assert!(reaches(allowed), "{allowed} is allowed, and does not reach the port");
    }
    for stranger in ["192.0.2.8", "2001:db8::8"] {
        let before = dropped();
        let attempt = neighbour.attempt(stranger, 2222);
        // Dropped, not refused: the listener would refuse it as well, but only after a connection.
        wait_for("the attempt is dropped", || dropped() > before);
        assert!(attempt.kill().out().is_empty(), "{stranger} was answered");
    }
    // Another port of the server is none of our business.
    let other = server::occupy(9999);
    other.set_nonblocking(true).unwrap();
    let attempt = neighbour.attempt("192.0.2.8", 9999);
    wait_for("a connection to another port", || other.accept().is_ok());
    attempt.kill();
    // The rules follow the port.
    server.bkctld(&["port", "a", "3000"]).ok();
    assert!(neighbour.greeting("192.0.2.7", 3000).starts_with("SSH-"));
    let before = dropped();
    let attempt = neighbour.attempt("192.0.2.8", 3000);
    wait_for("the attempt is dropped", || dropped() > before);
    attempt.kill();
    assert!(running_rules_agree(&server));
}

#[apply(as_root)]
fn a_session_goes_on_when_its_address_is_taken_away() {
    let server = with_nftables();
    let client = server.started("a");
    for address in ["127.0.0.1", "192.0.2.7"] {
        server.bkctld(&["ip", "a", address]).ok();
    }
    let mut held = client.hold();
    server.bkctld(&["ip", "a", "-127.0.0.1"]).ok();
    assert!(held.answers(), "the session was cut off");
    assert!(held.answers(), "the session was cut off");
    drop(held);
}

#[apply(as_root)]
fn the_tables_of_the_administrator_are_as_they_were() {
    let server = with_nftables();
    start(nft_reading(), THEIRS.as_bytes()).finish().ok();
    let before = theirs();
    server.init("a");
    server.init("b");
    server.bkctld(&["ip", "a", "192.0.2.7"]).ok();
    server.bkctld(&["port", "b", "4000"]).ok();
    server.bkctld(&["firewall", "all"]).ok();
    assert!(ours().contains("192.0.2.7 . 2222") && ours().contains("4000 comment \"b\""), "{}", ours());
    server.bkctld(&["-f", "remove", "a"]).ok();
    assert!(!ours().contains("2222"), "{}", ours());
    assert_eq!(theirs(), before);
    let all = nft("list ruleset").matches("table ").count();
    assert_eq!(all, 3, "{}", nft("list ruleset"));
}

#[apply(as_root)]
fn a_table_that_is_gone_or_changed_is_written_anew() {
    let server = with_nftables();
    server.init("a");
    server.bkctld(&["ip", "a", "192.0.2.0/25"]).ok();
    let wanted = ours();
    for damage in
        ["flush ruleset", "flush set inet bkctld jails", "add element inet bkctld everyone { 2222 }"]
    {
        nft(&format!("'{damage}'"));
        let ran = server.bkctld(&["-v", "firewall", "all"]).ok();
        assert_eq!(ours(), wanted, "after '{damage}'");
        ran.warns("192.0.2.0/25");
    }
    nft("flush ruleset");
    server.bkctld(&["firewall", "a"]).ok();
    assert_eq!(ours(), wanted);
    server.bkctld(&["firewall", "b"]).exits(2);
}

#[apply(as_root)]
fn a_kill_at_any_step_leaves_the_old_rules_or_the_new() {
    let server = with_nftables();
    server.init("a");
    server.bkctld(&["ip", "a", "192.0.2.7"]).ok();
    let old = ours();
    server.bkctld(&["ip", "a", "2001:db8::/32"]).ok();
    let new = ours();
    server.bkctld(&["ip", "a", "-2001:db8::/32"]).ok();
    let killed = killed_at_each(&server, &["ip", "a", "2001:db8::/32"], |what| {
        // nft goes on by itself for a moment.
        wait_for("nft has ended", || !sh("ps -e -o comm=").lines().any(|name| name == "nft"));
        let now = ours();
        assert!(now == old || now == new, "{what}: {now}");
        server.bkctld(&["firewall", "all"]).ok();
        assert!(running_rules_agree(&server), "{what}");
        server.bkctld(&["ip", "a", "192.0.2.7"]).ok();
        server.bkctld(&["-q", "ip", "a", "-2001:db8::/32"]);
        assert_eq!(ours(), old, "{what}");
    });
    assert!(killed > 8, "only {killed} steps");
}

#[apply(as_root)]
fn a_firewall_that_cannot_be_changed_changes_nothing() {
    let server = with_nftables();
    server.init("a");
    server.bkctld(&["ip", "a", "192.0.2.7"]).ok();
    let config = fs::read(server.jail("a").join("rootfs/etc/ssh/sshd_config")).unwrap();
    let without = |args: &[&str]| run(elsewhere(&server, "/usr/sbin", "", args));
    for args in [&["ip", "a", "198.51.100.1"][..], &["port", "a", "4000"], &["firewall", "all"]] {
        without(args).refuses(&["install the package nftables", "nothing was"]);
    }
    // One that is there and fails: its own words, on one line.
    let failing = "printf '#!/bin/sh\\nprintf \"Error: no \\\\033[31mkernel\\\\nmore\\\\n\" >&2; exit 1\\n' >/usr/sbin/nft; \
                   chmod 755 /usr/sbin/nft";
    run(elsewhere(&server, "/usr/sbin", failing, &["ip", "a", "198.51.100.1"]))
        .refuses(&["Error: no \\u{1b}[31mkernel"]);
    assert_eq!(fs::read(server.jail("a").join("rootfs/etc/ssh/sshd_config")).unwrap(), config);
    without(&["-f", "remove", "a"]).refuses(&["nft"]);
    assert!(server.jail("a").exists());
    without(&["init", "b"]).refuses(&["nft"]);
    assert_eq!(server.bkctld(&["list"]).ok().lines(), ["a"]);
}

#[apply(as_root)]
fn the_plan_is_what_is_done() {
    let server = with_nftables();
    server.init("a");
    server.init("b");
    server.bkctld(&["ip", "a", "192.0.2.7"]).ok();
    let before = nft("list ruleset");
    nft("flush ruleset");
    let json = server.bkctld(&["-n", "--json", "firewall", "all"]).ok().json();
    assert_eq!(json["firewall"]["backend"], "nftables", "{json}");
    assert_eq!(
        (&json["results"][0]["outcome"], &json["results"][0]["port"]),
        (&"would".into(), &2222.into())
    );
    assert_eq!(json["results"][0]["addresses"][0], "192.0.2.7", "{json}");
    assert_eq!(nft("list ruleset"), "", "a dry run changed something");
    let text = server.bkctld(&["-n", "firewall", "all"]).ok();
    let script = json["firewall"]["rules"].as_str().unwrap();
    assert!(text.out().ends_with(script), "{}", text.told());
    let done = server.bkctld(&["--json", "firewall", "all"]).ok().json();
    assert_eq!(done["firewall"]["rules"], script);
    assert_eq!(done["results"][1]["outcome"], "done");
    assert_eq!(nft("list ruleset"), before);
    // A jail whose port cannot be read does not keep the others from theirs.
    fs::write(server.jail("b").join("rootfs/etc/ssh/sshd_config"), "Port x\n").unwrap();
    server.bkctld(&["firewall", "all"]).exits(1).warns("jail 'b'");
    assert!(ours().contains("192.0.2.7 . 2222"));
}

#[apply(as_root)]
fn a_change_that_fails_afterwards_leaves_the_old_rules() {
    let server = with_nftables();
    server.init("a");
    server.bkctld(&["ip", "a", "192.0.2.7"]).ok();
    let before = ours();
    server.volume().remount("ro");
    server.bkctld(&["ip", "a", "192.0.2.8"]).refuses(&["sshd_config"]);
    assert_eq!(ours(), before);
    server.volume().remount("rw");
    let rules = server.path("rules");
    server.set("FIREWALL_RULES", &rules.display().to_string());
    server.set("FIREWALL", "minifirewall");
    server.volume().remount("ro");
    server.bkctld(&["port", "a", "4000"]).refuses(&["sshd_config"]);
    assert!(!rules.exists(), "the rules file is that of a change that was not made");
    server.volume().remount("rw");
}

#[apply(as_root)]
fn check_setup_compares_the_running_rules_with_the_wanted_ones() {
    let server = with_nftables();
    for name in ["a", "b", "c"] {
        server.init(name);
    }
    let agree = "the firewall's rules match the jails";
    // All that nft might write in another way than it was told.
    for address in [
        "192.0.2.0/31",
        "192.0.2.2",
        "192.0.2.3",
        "128.0.0.0/1",
        "::/0",
        "2001:db8::1",
        "10.0.0.0/8",
        "10.1.2.3",
    ] {
        server.bkctld(&["ip", "a", address]).ok();
        server.bkctld(&["check-setup"]).says(agree);
    }
    server.bkctld(&["ip", "b", "::/1"]).ok();
    server.bkctld(&["port", "c", "22"]).ok();
    server.bkctld(&["check-setup"]).says(agree);
    for (damage, words) in [
        ("delete element inet bkctld jails { 22 }", "set jails lacks 22"),
        ("add element inet bkctld allowed4 { 11.1.1.1 . 2222 }", "has 11.1.1.1 . 2222"),
        ("insert rule inet bkctld input accept", "chain of rules was changed"),
        ("add chain inet bkctld input { policy drop; }", "chain of rules was changed"),
        ("flush ruleset", "there is no table inet bkctld"),
    ] {
        nft(&format!("'{damage}'"));
        server.bkctld(&["check-setup"]).says("bkctld firewall all").says(words);
        server.bkctld(&["firewall", "all"]).ok();
        server.bkctld(&["check-setup"]).says(agree);
    }
}

#[apply(as_root)]
fn cron_has_a_shorter_path_and_the_rules_are_written_all_the_same() {
    let server = with_nftables();
    server.init("a");
    let mut command = server.command(&["firewall", "all"]);
    command.env("PATH", "/usr/bin:/bin");
    nft("flush ruleset");
    run(command).ok();
    assert!(ours().contains("2222"));
}

#[apply(as_root)]
fn minifirewall_is_restarted_once_and_one_that_fails_changes_nothing() {
    let server = Server::on(FsKind::Ext4);
    let (rules, calls) = (server.path("rules"), server.path("calls"));
    server.set("FIREWALL_RULES", &rules.display().to_string());
    server.init("a");
    server.init("b");
    let minifirewall = |code: u8, args: &[&str]| {
        fs::write(&calls, "").unwrap();
        let script =
            format!("#!/bin/sh\\necho \"$@\" >>{}\\necho broken >&2\\nexit {code}\\n", calls.display());
        let setup =
            format!("printf '{script}' >/etc/init.d/minifirewall; chmod 755 /etc/init.d/minifirewall");
        let ran = run(elsewhere(&server, "/etc/init.d", &setup, args));
        (ran, fs::read_to_string(&calls).unwrap())
    };
    let (ran, called) = minifirewall(0, &["ip", "a", "192.0.2.7"]);
    ran.ok();
    assert_eq!(called, "restart\n");
    let (ran, called) = minifirewall(0, &["ip", "a", "192.0.2.7"]);
    ran.ok();
    assert_eq!(called, "", "nothing has changed");
    let (ran, called) = minifirewall(0, &["firewall", "all"]);
    ran.ok();
    assert_eq!(called, "restart\n", "once, also for several jails, also where nothing has changed");
    let before = fs::read(&rules).unwrap();
    let (ran, called) = minifirewall(1, &["ip", "a", "192.0.2.8"]);
    ran.refuses(&["minifirewall restart", "broken", "nothing was"]);
    assert!(called.starts_with("restart\n"));
    assert_eq!(fs::read(&rules).unwrap(), before);
    assert_eq!(server.bkctld(&["ip", "a"]).ok().lines(), ["192.0.2.7"]);
}

#[apply(as_root)]
fn the_rules_file_is_edited_and_minifirewall_may_be_missing() {
    let server = Server::on(FsKind::Ext4);
    let rules = server.path("rules");
    server.set("FIREWALL_RULES", &rules.display().to_string());
    fs::write(&rules, "# mine #a\nmodprobe x #ab\n").unwrap();
    fs::set_permissions(&rules, fs::Permissions::from_mode(0o640)).unwrap();
    server.init("a");
    server.bkctld(&["ip", "a", "192.0.2.7"]).ok();
    server.bkctld(&["ip", "a", "2001:db8::/32"]).ok();
    let expected = "modprobe x #ab\n\
        /sbin/iptables -A INPUT -p tcp --sport 1024: --dport 2222 -s 192.0.2.7 -j ACCEPT #a\n\
        /sbin/ip6tables -A INPUT -p tcp --sport 1024: --dport 2222 -s 2001:db8::/32 -j ACCEPT #a\n";
    assert_eq!(fs::read_to_string(&rules).unwrap(), expected);
    assert_eq!(fs::metadata(&rules).unwrap().permissions().mode() & 0o7777, 0o640);
    fs::write(&rules, "modprobe x #ab\n").unwrap();
    let dry = server.bkctld(&["-n", "firewall", "all"]).ok();
    assert!(expected.ends_with(dry.out().split_once('\n').unwrap().1), "{}", dry.told());
    assert_eq!(fs::read_to_string(&rules).unwrap(), "modprobe x #ab\n");
    let json = server.bkctld(&["--json", "firewall", "all"]).ok().json();
    assert_eq!(json["firewall"]["backend"], "minifirewall", "{json}");
    assert_eq!(json["firewall"]["file"], rules.display().to_string());
    assert_eq!(fs::read_to_string(&rules).unwrap(), expected);
    // The name of the file may be a link.
    let real = server.path("real-rules");
    fs::rename(&rules, &real).unwrap();
    std::os::unix::fs::symlink("real-rules", &rules).unwrap();
    server.bkctld(&["-f", "remove", "a"]).ok();
    assert!(rules.is_symlink());
    assert_eq!(fs::read_to_string(&real).unwrap(), "modprobe x #ab\n");
    server.set("FIREWALL", "none");
    server.init("b");
    assert_eq!(fs::read_to_string(&real).unwrap(), "modprobe x #ab\n");
    let ran = server.bkctld(&["-v", "firewall", "b"]).ok();
    ran.warns("no FIREWALL is configured");
    server.set("FIREWALL", "pf");
    server.bkctld(&["list"]).refuses(&["bkctld.conf:", "FIREWALL", "pf"]);
    server.set("FIREWALL", "none");
}

/// `bkctld` where one directory of the system is empty but for what `setup` puts there.
fn elsewhere(server: &Server, dir: &str, setup: &str, args: &[&str]) -> Command {
    let mut command = Command::new("unshare");
    server.environment(&mut command);
    let script = format!("mount -t tmpfs none {dir}; {setup}\nexec \"$0\" \"$@\"");
    command.args(["--mount", "sh", "-ec", &script, server::BKCTLD]).args(args);
    command
}

fn nft_reading() -> Command {
    let mut command = Command::new("nft");
    command.args(["-f", "-"]);
    command
}
