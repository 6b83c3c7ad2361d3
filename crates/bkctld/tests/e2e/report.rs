//! `report`: what there is on this server, in columns.

use crate::support::*;

/// The lines of a table, cut at blanks.
fn cells(ran: &Ran) -> Vec<Vec<String>> {
    ran.lines().iter().map(|line| line.split_whitespace().map(str::to_owned).collect()).collect()
}

#[apply(as_root)]
fn the_report_has_a_line_for_each_jail_with_its_incs_newest_first() {
    let server = Server::on(FsKind::Ext4);
    server.started("a-long-name");
    server.init("b");
    server.bkctld(&["ip", "b", "192.0.2.1"]).ok();
    server.bkctld(&["ip", "b", "2001:db8::/64"]).ok();
    for inc in ["2026-03-01-02", "2026-03-02-02", "no-inc", ".2026-03-01-02.record"] {
        write(&server.path(&format!("backup/incs/b/{inc}/f")), "x");
    }
    let ran = server.bkctld(&["report"]).ok();
    let lines = cells(&ran);
    assert_eq!(lines[0], ["<name>", "<status>", "<port>", "<ip(s)>", "<policy>", "<incs>"], "{}", ran.told());
    assert_eq!(lines[1], ["a-long-name", "ON", "2222", "0.0.0.0/0", "4/2", "-"], "{}", ran.told());
    let addresses = "192.0.2.1,2001:db8::/64";
    assert_eq!(
        lines[2],
        ["b", "OFF", "2223", addresses, "4/2", "2026-03-02-02,2026-03-01-02"],
        "{}",
        ran.told()
    );
    // Aligned: every column begins at the same place in every line.
    let places = |word: &str, line: usize| ran.lines()[line].find(word).unwrap();
    assert_eq!(places("<port>", 0), places("2222", 1));
    assert_eq!(places("2222", 1), places("2223", 2));
    let bare = server.bkctld(&["report", "--no-header"]).ok();
    assert_eq!(cells(&bare).len(), 2, "{}", bare.told());
    let json = server.bkctld(&["report", "--json"]).ok().json();
    assert_eq!(json["jails"][1]["incs"][0], "2026-03-02-02", "{json}");
    assert_eq!(json["jails"][1]["addresses"][1], "2001:db8::/64", "{json}");
    assert_eq!(json["jails"][0]["retention"]["days"], 4, "{json}");
}

#[apply(as_root)]
fn a_broken_jail_does_not_keep_the_others_out_of_the_report() {
    let server = Server::plain();
    server.bkctld(&["init", "a"]).ok();
    server.bkctld(&["init", "b"]).ok();
    write(&server.jail("a").join("rootfs/etc/ssh/sshd_config"), "Port \x1b[31m\n");
    write(&server.jail("b/version"), "1\n");
    let ran = server.bkctld(&["report"]).exits(1).warns("jail 'a'").warns("convert-v2 b");
    assert!(!ran.err().contains('\x1b') && !ran.out().contains('\x1b'), "{}", ran.told());
    let lines = cells(&ran);
    assert_eq!(lines[1][..3], ["a", "OFF", "-"], "{}", ran.told());
    assert_eq!(lines[2], ["b", "OFF", "-", "-", "4/2", "-"], "{}", ran.told());
}
