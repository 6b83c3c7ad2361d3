//! What `rm` deletes and what it keeps.

use std::collections::BTreeSet;
use std::fs;

use crate::support::*;

/// Makes an inc of each of these days, on btrfs a snapshot as `inc` would have made.
fn make_incs(server: &Server, fs: FsKind, jail: &str, names: &[String]) {
    let dir = server.path("backup/incs").join(jail);
    for name in names {
        let inc = dir.join(name);
        if fs == FsKind::Btrfs {
            sh(&format!("btrfs -q subvolume snapshot -r {} {}", server.jail(jail).display(), inc.display()));
        } else {
            write(&inc.join("data/file"), "x");
        }
    }
}

/// The days that a rule keeps, as GNU date counts.
fn gnu_days(rules: &str) -> BTreeSet<String> {
    let mut script = String::new();
    for line in rules.lines().filter(|line| line.starts_with('+')) {
        let (pattern, back) = line.split_once('.').expect("a dot");
        script += &format!("date --date \"$(date '{pattern}') {back}\" +%Y-%m-%d\n");
    }
    sh(&format!("export TZ=UTC\n{script}")).lines().map(str::to_owned).collect()
}

fn today() -> String {
    sh("TZ=UTC date +%Y-%m-%d")
}

/// The days of the last so many days, `HH` appended.
fn last_days(count: u32, hour: &str) -> Vec<String> {
    let text = sh(&format!(
        "export TZ=UTC; for i in $(seq 0 {count}); do date --date \"12:00 $i days ago\" +%Y-%m-%d-{hour}; done"
    ));
    text.lines().map(str::to_owned).collect()
}

#[apply(on_each_fs)]
fn rm_keeps_what_a_rule_keeps_and_deletes_the_rest(fs: FsKind) {
    let server = Server::on(fs);
    server.init("a");
    write(&server.data("a").join("f"), "x");
    let policy = fs::read_to_string(server.path("conf/a.d/incs_policy")).unwrap();
    let mut names = last_days(100, "03");
    names.extend(last_days(3, "21"));
    make_incs(&server, fs, "a", &names);
    let kept = gnu_days(&policy);
    assert!(kept.len() >= 4, "{kept:?}");
    let expected: Vec<String> = {
        let mut expected: Vec<String> =
            names.iter().filter(|name| kept.contains(&name[..10])).cloned().collect();
        expected.sort();
        expected
    };
    let before = server.inc_dir_entries("a");
    server.bkctld(&["-n", "rm"]).ok();
    assert_eq!(server.inc_dir_entries("a"), before, "a dry run deleted");
    server.bkctld(&["rm"]).ok();
    let left: Vec<String> =
        server.incs("a").iter().map(|inc| inc.file_name().unwrap().to_string_lossy().into_owned()).collect();
    assert_eq!(left, expected);
    server.bkctld(&["rm"]).ok();
    assert_eq!(server.incs("a").len(), expected.len());
}

#[apply(on_each_fs)]
fn deletion_takes_trees_that_are_hard_to_delete(fs: FsKind) {
    let server = Server::on(fs);
    server.init("a");
    tree::every_kind(&server.data("a"));
    sh(&format!(
        "cd {}; d=x; for i in $(seq 200); do d=$d/{}; done; mkdir -p $d || true",
        server.data("a").display(),
        "n".repeat(15)
    ));
    server.take_inc(-1, "a");
    server.take_inc(0, "a");
    server.policy("a", "# none\n");
    server.bkctld(&["-f", "rm", "a"]).ok();
    assert!(!server.path("backup/incs/a").exists(), "an empty INCDIR/J is removed");
    server.take_inc(1, "a");
}

#[apply(as_root)]
fn a_name_that_is_no_inc_is_never_touched() {
    let server = Server::on(FsKind::Ext4);
    server.init("a");
    let strange = [
        "notes",
        "2020-01-01",
        "2020-01-01-24",
        "2020-02-30-00",
        "2020-01-01-00.bak",
        "lost+found",
        "2020-1-1-00",
    ];
    for name in strange {
        write(&server.path("backup/incs/a").join(name).join("f"), "x");
    }
    write(&server.path("backup/incs/a/2020-01-02-00/f"), "x");
    write(&server.path("backup/incs/stray-file"), "x");
    write(&server.path("backup/incs/.hidden/2020-01-01-00/f"), "x");
    std::os::unix::fs::symlink(server.path("backup/jails"), server.path("backup/incs/a/2020-01-03-00"))
        .unwrap();
    // Whether the link among the incs counts as a failure is no matter here.
    let _ = server.bkctld(&["rm"]);
    for name in strange {
        assert!(server.path("backup/incs/a").join(name).join("f").exists(), "{name} was deleted");
    }
    assert!(!server.path("backup/incs/a/2020-01-02-00").exists());
    assert!(server.jail("a").join("version").exists(), "a link among the incs was followed");
    assert!(server.path("backup/incs/stray-file").exists());
    assert!(server.path("backup/incs/.hidden/2020-01-01-00/f").exists());
}

#[apply(as_root)]
fn rules_keep_the_days_that_gnu_date_says() {
    let server = Server::on(FsKind::Ext4);
    server.init("a");
    let mut rules = String::from("# many\n\n");
    let patterns = ["+%Y-%m-%d", "+%Y-%m-01", "+%Y-01-01", "+%Y-%m-15", "+%F"];
    for back in 0..60 {
        let unit = ["day", "days", "week", "month", "months", "year"][back % 6];
        let amount = back * 37 % 13;
        rules += &format!("{}.-{amount}{unit}\n", patterns[back * 7 % 5]);
    }
    server.policy("a", &rules);
    let names = last_days(800, "00");
    for name in &names {
        fs::create_dir(server.path("backup/incs/a").join(name)).unwrap();
    }
    let kept = gnu_days(&rules);
    server.bkctld(&["rm", "a"]).ok();
    let left: BTreeSet<String> = server.inc_dir_entries("a").into_iter().collect();
    let expected: BTreeSet<String> = names.into_iter().filter(|name| kept.contains(&name[..10])).collect();
    assert_eq!(left, expected);
}

/// The clock runs 2000 times as fast as it should, and passes midnight while `rm` is at work.
#[apply(as_root)]
fn a_run_over_midnight_judges_every_jail_by_one_day() {
    const JAILS: usize = 300;
    let server = Server::on(FsKind::Ext4);
    for at in 0..JAILS {
        let jail = format!("j{at:03}");
        write(&server.path("conf").join(format!("{jail}.d/incs_policy")), "+%Y-%m-%d.-0day\n");
        for day in ["2026-03-31-02", "2026-04-01-00"] {
            fs::create_dir_all(server.path("backup/incs").join(&jail).join(day)).unwrap();
        }
    }
    let mut passed_midnight_at_work = false;
    for seconds_before in [20, 40, 80, 160, 320, 640] {
        let (hour, rest) = (23, 3600 - seconds_before);
        let begin = format!("@2026-03-31 {hour}:{:02}:{:02} x2000", rest / 60, rest % 60);
        let plain = server.command(&["-n", "--json", "rm"]);
        let mut command = std::process::Command::new("faketime");
        command.args(["-f", &begin]).arg(plain.get_program()).args(plain.get_args());
        server.environment(&mut command);
        let started = std::time::Instant::now();
        let plan = run(command).ok().json();
        let took = started.elapsed().as_secs_f64() * 2000.0;
        let kept_by_rule = |result: &serde_json::Value| -> Vec<String> {
            let incs = result["incs"].as_array().unwrap().iter();
            incs.filter(|inc| inc["reason"].as_str().unwrap().starts_with("kept by"))
                .map(|inc| inc["inc"].as_str().unwrap().to_owned())
                .collect()
        };
        let results = plan["results"].as_array().unwrap();
        assert_eq!(results.len(), JAILS);
        let first = kept_by_rule(&results[0]);
        assert_eq!(first.len(), 1, "{first:?}");
        for result in results {
            assert_eq!(kept_by_rule(result), first, "{result}");
        }
        passed_midnight_at_work |= first[0].starts_with("2026-03-31") && took > f64::from(seconds_before);
    }
    assert!(passed_midnight_at_work, "no run began before midnight and ended after it");
}

#[apply(as_root)]
fn a_plan_gives_the_reason_for_each_inc() {
    let server = Server::on(FsKind::Ext4);
    server.init("a");
    server.policy("a", "+%Y-%m-%d.-0day\n+%Y-%m-%d.-1day\n");
    make_incs(&server, FsKind::Ext4, "a", &last_days(3, "00"));
    let plan = server.bkctld(&["-n", "-v", "rm", "a"]).ok();
    let said = plan.out() + &plan.err();
    for name in last_days(3, "00") {
        assert!(said.contains(&name), "{name}: {}", plan.told());
    }
    assert!(said.contains("+%Y-%m-%d.-1day"), "no rule is named: {}", plan.told());
}

#[apply(as_root)]
fn a_policy_without_rules_deletes_nothing_unless_forced() {
    let server = Server::on(FsKind::Ext4);
    server.init("a");
    make_incs(&server, FsKind::Ext4, "a", &last_days(3, "00"));
    for empty in ["", "# only words\n\n"] {
        server.policy("a", empty);
        let ran = server.bkctld(&["rm"]).exits(1);
        assert!(ran.err().contains("a.d/incs_policy"), "{}", ran.told());
        assert_eq!(server.incs("a").len(), 4);
    }
    server.bkctld(&["-f", "rm"]).ok();
    assert!(server.incs("a").is_empty());
}

#[apply(as_root)]
fn a_line_that_is_no_rule_deletes_nothing_of_that_jail_and_names_itself() {
    let server = Server::on(FsKind::Ext4);
    for name in ["a", "b"] {
        server.init(name);
        make_incs(&server, FsKind::Ext4, name, &last_days(9, "00"));
    }
    server.policy("b", "+%Y-%m-%d.-0day\n");
    for bad in [
        "+%Y-%m-%d.2day",
        "+%H.-1day",
        "%Y",
        "+%Y-%m-%d.-1fortnight",
        "+%Y-%m-%d",
        "+%Y-%m-%d.-day",
        "+%Y-%m-%d.-1",
        "-1day",
        "+.-1day",
        "+%Y-%m-%d.-99999999999999999999day",
        "+%Y-%m-%d.-1day x",
        "\u{1b}[31m",
        "+$(date).-1day",
        "+%Q.-1day",
    ] {
        server.policy("a", &format!("# comment\n+%Y-%m-%d.-0day\n{bad}\n"));
        for force in [&["rm"][..], &["-f", "rm"]] {
            let ran = server.bkctld(force).exits(1);
            assert!(ran.err().contains("a.d/incs_policy:3"), "{bad}: {}", ran.told());
            assert!(!ran.err().contains('\u{1b}'), "{bad}: {}", ran.told());
            assert_eq!(server.incs("a").len(), 10, "{bad}");
        }
        assert_eq!(server.incs("b").len(), 1, "b suffers from the policy of a");
    }
    fs::write(server.path("conf/a.d/incs_policy"), b"+%Y-%m-%d.-0day\n\xff\xfe\n").unwrap();
    server.bkctld(&["rm"]).exits(1);
    assert_eq!(server.incs("a").len(), 10);
}

#[apply(as_root)]
fn a_jail_without_policy_is_skipped() {
    let server = Server::on(FsKind::Ext4);
    server.init("a");
    make_incs(&server, FsKind::Ext4, "a", &last_days(3, "00"));
    fs::remove_file(server.path("conf/a.d/incs_policy")).unwrap();
    server.bkctld(&["rm"]).ok();
    assert_eq!(server.incs("a").len(), 4);
    // The legacy place counts.
    write(&server.path("conf/a"), "+%Y-%m-%d.-0day\n");
    server.bkctld(&["rm"]).ok();
    assert_eq!(server.incs("a").len(), 1);
}

#[apply(as_root)]
fn incs_of_an_archived_jail_go_on_expiring() {
    let server = Server::on(FsKind::Ext4);
    server.init("a");
    make_incs(&server, FsKind::Ext4, "a", &last_days(20, "00"));
    server.policy("a", "+%Y-%m-%d.-0day\n");
    fs::create_dir_all(server.path("backup/archives")).unwrap();
    fs::rename(server.jail("a"), server.path("backup/archives/a")).unwrap();
    server.bkctld(&["rm"]).ok();
    assert_eq!(server.incs("a").len(), 1);
    assert!(server.incs("a")[0].ends_with(format!("{}-00", today())));
}

#[apply(as_root)]
fn an_inc_dir_that_is_left_empty_is_removed() {
    let server = Server::on(FsKind::Ext4);
    server.init("a");
    make_incs(&server, FsKind::Ext4, "a", &["2020-01-01-00".to_owned()]);
    server.bkctld(&["rm"]).ok();
    assert!(!server.path("backup/incs/a").exists());
    server.take_inc(0, "a");
}
