//! `check-incs`: the incs that the policies let one expect.

use std::fs;

use crate::support::nagios::Plugin;
use crate::support::*;

const RULES: &str = "+%Y-%m-%d.-0day\n+%Y-%m-%d.-1day\n# a comment\n\n+%Y-%m-%d.-2day\n+%Y-%m-%d.-40day\n";

fn date(when: &str) -> String {
    sh(&format!("TZ=UTC date -d '{when}' +%F"))
}

fn inc(server: &Server, jail: &str, when: &str) {
    write(&server.path(&format!("backup/incs/{jail}/{}-02/data/f", date(when))), "x");
}

fn policy_of(server: &Server, jail: &str, rules: &str, changed: &str) {
    server.policy(jail, rules);
    sh(&format!("touch -d '{changed}' {}", server.path(&format!("conf/{jail}.d/incs_policy")).display()));
}

#[apply(on_each_fs)]
fn each_rule_later_than_the_policy_wants_its_inc(fs: FsKind) {
    let server = Server::on(fs);
    server.bkctld(&["init", "a"]).ok();
    // A policy of today wants none yet, one of yesterday today's.
    server.bkctld(&["check-incs"]).ok().says("OK - a - 0 of 0 expected incs");
    sh(&format!("touch -d '-1 day' {}", server.path("conf/a.d/incs_policy").display()));
    let ran = server.bkctld(&["check-incs"]).exits(1);
    assert_eq!(ran.err(), format!("ERROR: a : missing inc for {}\n", date("now")), "{}", ran.told());
    server.bkctld(&["inc"]).ok();
    for args in [&["check-incs"][..], &["check-incs", "all"], &["check-incs", "last"]] {
        let ran = server.bkctld(args).ok();
        assert!(ran.err().is_empty(), "{}", ran.told());
    }
    // One that is 10 days old wants those since.
    policy_of(&server, "a", RULES, "-10 days");
    let ran = server.bkctld(&["check-incs", "all"]).exits(1);
    let expected = ["-2 days", "-1 day"].map(|day| format!("ERROR: a : missing inc for {}\n", date(day)));
    assert_eq!(ran.err(), expected.concat(), "{}", ran.told());
    assert_eq!(
        ran.lines()[..3],
        [
            "WARNING - 0 UNK / 0 CRIT / 2 WARN / 0 OK",
            "",
            &format!("WARNING - a - missing inc for {}", date("-2 days")),
        ]
    );
    server.bkctld(&["check-incs", "last"]).ok();
    inc(&server, "a", "-1 day");
    inc(&server, "a", "-2 days");
    server.bkctld(&["check-incs", "all"]).ok().says("OK - a - 3 of 3 expected incs");
    // And one that is 50 days old the fourth, too.
    policy_of(&server, "a", RULES, "-50 days");
    server.bkctld(&["check-incs"]).exits(1).warns(&format!("missing inc for {}", date("-40 days")));
}

#[apply(as_root)]
fn a_jail_without_a_policy_or_without_rules_misses_nothing() {
    let server = Server::plain();
    for jail in ["none", "empty"] {
        server.bkctld(&["init", jail]).ok();
    }
    fs::remove_file(server.path("conf/none.d/incs_policy")).unwrap();
    server.policy("empty", "# nothing\n");
    let ran = server.bkctld(&["check-incs"]).ok();
    assert!(ran.err().is_empty(), "{}", ran.told());
    // `inc` makes one where the policy is empty, so the last is expected.
    server.bkctld(&["check-incs", "last"]).exits(1).warns("ERROR: empty : missing inc for");
}

#[apply(as_root)]
fn the_policy_at_its_old_place_counts() {
    let server = Server::plain();
    write(&server.jail("old").join("etc/passwd"), "");
    write(&server.path("conf/old"), RULES);
    sh(&format!("touch -d '-2 days 12:00' {}", server.path("conf/old").display()));
    let ran = server.bkctld(&["check-incs"]).exits(1);
    let expected = ["-1 day", "now"].map(|day| format!("ERROR: old : missing inc for {}\n", date(day)));
    assert_eq!(ran.err(), expected.concat());
    for day in ["now", "-1 day"] {
        inc(&server, "old", day);
    }
    server.bkctld(&["check-incs"]).ok();
}

#[apply(as_root)]
fn only_a_directory_with_an_inc_s_name_is_an_inc() {
    let server = Server::plain();
    server.bkctld(&["init", "a"]).ok();
    let (dir, today) = (server.path("backup/incs/a"), date("now"));
    write(&dir.join(format!("{today}-02")), "a file");
    fs::create_dir(dir.join(format!(".making.{today}-03"))).unwrap();
    fs::create_dir(dir.join(format!("{today}-xx"))).unwrap();
    std::os::unix::fs::symlink("/", dir.join(format!("{today}-04"))).unwrap();
    server.bkctld(&["check-incs", "last"]).exits(1).warns("missing inc");
    fs::create_dir(dir.join(format!("{today}-05"))).unwrap();
    server.bkctld(&["check-incs", "last"]).ok();
}

#[apply(as_root)]
fn a_bad_line_of_a_policy_is_told_and_today_is_still_expected() {
    let server = Server::plain();
    server.bkctld(&["init", "a"]).ok();
    server.policy("a", "+%Y-%m-%d.-0day\n|\x1b[31mnonsense\n");
    let ran = server.bkctld(&["check-incs"]).exits(1).warns("incs_policy:2").warns("missing inc for");
    assert!(!ran.err().contains('\x1b'), "{}", ran.told());
    assert_eq!(Plugin::parse(&ran).text, "WARNING - 0 UNK / 0 CRIT / 2 WARN / 0 OK");
    inc(&server, "a", "now");
    server.bkctld(&["check-incs"]).exits(1).warns("ERROR: a : ").warns("no inc is deleted");
    server.bkctld(&["check-incs", "last"]).exits(1).warns("incs_policy:2");
    fs::File::create(server.path("conf/a.d/incs_policy")).unwrap().set_len(10 << 30).unwrap();
    server.bkctld(&["check-incs"]).exits(3).warns("larger than");
}

#[apply(as_root)]
fn monitoring_and_programs_get_the_same() {
    let server = Server::plain();
    for jail in ["a", "b"] {
        server.bkctld(&["init", jail]).ok();
        policy_of(&server, jail, "+%Y-%m-%d.-0day\n", "-1 day");
    }
    inc(&server, "a", "now");
    let plain = Plugin::parse(&server.bkctld(&["check-incs"]).exits(1));
    assert_eq!(plain.text, "WARNING - 0 UNK / 0 CRIT / 1 WARN / 1 OK");
    let graphs = Plugin::parse(&server.bkctld(&["check-incs", "--perfdata"]).exits(1));
    assert_eq!((graphs.values("warning"), graphs.values("ok")), (vec![1], vec![1]));
    let json = server.bkctld(&["check-incs", "--json"]).exits(1).json();
    let found = &json["findings"][0];
    assert_eq!((&found["jail"], &found["severity"]), (&"b".into(), &"WARNING".into()), "{json}");
    assert_eq!(found["missing"], date("now"), "{json}");
    server.bkctld(&["check-incs", "first"]).exits(1).silent();
}

#[apply(as_root)]
fn the_old_entry_point_asks_for_the_last_ones() {
    let server = Server::plain();
    server.bkctld(&["init", "a"]).ok();
    policy_of(&server, "a", RULES, "-10 days");
    inc(&server, "a", "now");
    let link = server.path("bkctld-check-last-incs");
    std::os::unix::fs::symlink(crate::support::server::BKCTLD, &link).unwrap();
    let mut command = std::process::Command::new(&link);
    server.environment(&mut command);
    run(command).ok().says("OK - a - 1 of 1 expected incs");
}
