//! `check-canary`: the date in a file that the client pushes.

use std::fs;

use crate::support::nagios::Plugin;
use crate::support::*;

fn date(when: &str) -> String {
    sh(&format!("TZ=UTC date -d '{when}' +%F"))
}

#[apply(on_each_fs)]
fn the_newest_date_in_the_canary_decides(fs: FsKind) {
    let server = Server::on(fs);
    server.bkctld(&["init", "a"]).ok();
    let canary = server.data("a").join("zzz_evobackup/canary");
    let (today, yesterday, before) = (date("now"), date("-1 day"), date("-2 days"));
    for (content, code, line) in [
        (None, 2, "CRITICAL - a - missing /zzz_evobackup/canary file".to_owned()),
        (
            Some(String::new()),
            2,
            format!(
                "CRITICAL - a - No entry for today ({today}) nor yesterday ({yesterday}) in /zzz_evobackup/canary file"
            ),
        ),
        (
            Some(format!("{before} 02:00 done\n")),
            2,
            format!(
                "CRITICAL - a - No entry for today ({today}) nor yesterday ({yesterday}) in /zzz_evobackup/canary file"
            ),
        ),
        (
            Some(format!("{before}\nbackup of {yesterday} done\n")),
            1,
            format!("WARNING - a - entries found for yesterday ({yesterday}) in /zzz_evobackup/canary file"),
        ),
        (
            Some(format!("{today}T02:00:00+01:00 srv\n{yesterday}\n")),
            0,
            format!("OK - a - entries found for today ({today}) in /zzz_evobackup/canary file"),
        ),
        (
            Some(format!("\x00\n{today}")),
            0,
            format!("OK - a - entries found for today ({today}) in /zzz_evobackup/canary file"),
        ),
    ] {
        if let Some(content) = content {
            write(&canary, content);
        }
        for args in [&["check-canary"][..], &["check-canary", "a"], &["check-canary", "all"]] {
            let ran = server.bkctld(args).exits(code);
            // Midnight may pass between this test's clock and the program's.
            if date("now") == today {
                assert_eq!(ran.lines()[1..], ["", &line], "{}", ran.told());
            }
        }
    }
}

#[apply(on_each_fs)]
fn a_canary_that_is_no_canary_is_critical_at_once(fs: FsKind) {
    let server = Server::on(fs);
    for jail in ["a", "b"] {
        server.bkctld(&["init", jail]).ok();
        write(&server.data(jail).join("zzz_evobackup/canary"), date("now"));
    }
    let data = server.data("a");
    let outside = server.path("outside");
    write(&outside.join("canary"), date("now"));
    let (data_path, outside) = (data.display(), outside.display());
    for (hostile, told) in [
        ("mkfifo $C".to_owned(), "is a fifo, not a file"),
        (format!("ln -s {outside}/canary $C"), "is a symbolic link"),
        (format!("ln -s {data_path}/elsewhere $C; date +%F > {data_path}/elsewhere"), "is a symbolic link"),
        ("mkdir $C".to_owned(), "is a directory"),
        ("mknod $C c 1 5".to_owned(), "is a device or a socket"),
        ("truncate -s 10G $C".to_owned(), "is larger than 4 MiB"),
        (
            format!("rmdir {data_path}/zzz_evobackup; ln -s {outside} {data_path}/zzz_evobackup"),
            "is a symbolic link",
        ),
        (format!("rmdir {data_path}/zzz_evobackup; touch {data_path}/zzz_evobackup"), "missing"),
        (format!("rm -r {data_path}"), "missing"),
    ] {
        sh(&format!(
            "rm -rf {data_path}/zzz_evobackup; mkdir -p {data_path}/zzz_evobackup
            C={data_path}/zzz_evobackup/canary; {hostile}"
        ));
        let plugin = Plugin::parse(&server.bkctld(&["check-canary"]).exits(2));
        assert_eq!(plugin.text, "CRITICAL - 0 UNK / 1 CRIT / 0 WARN / 1 OK", "{hostile}");
        assert!(plugin.long[1].starts_with("CRITICAL - a - ") && plugin.long[1].contains(told), "{plugin:?}");
        assert!(plugin.long[2].starts_with("OK - b - "), "{plugin:?}");
    }
}

#[apply(as_root)]
fn a_canary_under_a_lease_holds_nobody_up() {
    let server = Server::plain();
    server.bkctld(&["init", "a"]).ok();
    let canary = server.data("a").join("zzz_evobackup/canary");
    write(&canary, date("now"));
    // Whoever opens a file under a write lease waits until its holder gives it back, or 45 s, and
    // reads it then.
    let mut command = std::process::Command::new("perl");
    command.args(["-e", "$SIG{IO} = 'IGNORE'; open F, '+<', $ARGV[0] or die; fcntl(F, 1024, 1) or die; print 1; close STDOUT; sleep 60"]);
    let mut holder = command.arg(&canary).stdout(std::process::Stdio::piped()).spawn().unwrap();
    let mut ready = String::new();
    std::io::Read::read_to_string(&mut holder.stdout.take().unwrap(), &mut ready).unwrap();
    let ran = server.bkctld(&["check-canary"]);
    holder.kill().unwrap();
    holder.wait().unwrap();
    assert_eq!(ready, "1");
    ran.exits(2).says("CRITICAL - a - cannot read ");
    server.bkctld(&["check-canary"]).ok();
}

#[apply(as_root)]
fn a_jail_of_the_old_format_has_its_canary_in_var_backup() {
    let server = Server::plain();
    write(&server.jail("old").join("var/backup/zzz_evobackup/canary"), date("now"));
    server.bkctld(&["check-canary"]).ok().says("OK - old - entries found for today");
}

#[apply(as_root)]
fn a_canary_full_to_its_limit_is_read_and_one_byte_more_is_not() {
    let server = Server::plain();
    server.bkctld(&["init", "a"]).ok();
    let canary = server.data("a").join("zzz_evobackup/canary");
    let mut content = vec![b'\n'; (4 << 20) - 10];
    content.extend(date("now").into_bytes());
    write(&canary, &content);
    server.bkctld(&["check-canary"]).ok();
    content.push(b'\n');
    write(&canary, &content);
    server.bkctld(&["check-canary"]).exits(2).says("larger than");
}

#[apply(as_root)]
fn the_canary_is_where_the_configuration_says() {
    let server = Server::plain();
    server.bkctld(&["init", "a"]).ok();
    server.set("CANARY_RELATIVE_FILE", "/etc/back|up/mark");
    write(&server.data("a").join("etc/back|up/mark"), date("now"));
    let ran = server.bkctld(&["check-canary", "--json"]).ok();
    let json = ran.json();
    assert_eq!((&json["command"], &json["severity"]), (&"check-canary".into(), &"OK".into()));
    assert_eq!(json["findings"][0]["canary"], "today", "{json}");
    // A bar would begin the performance data.
    Plugin::parse(&server.bkctld(&["check-canary"]).ok());
    fs::remove_dir_all(server.data("a").join("etc")).unwrap();
    let json = server.bkctld(&["check-canary", "--json"]).exits(2).json();
    assert_eq!(json["findings"][0]["canary"], "missing", "{json}");
}

#[apply(as_root)]
fn a_jail_that_is_not_there_is_exit_2_and_other_arguments_are_wrong() {
    let server = Server::plain();
    server.bkctld(&["check-canary", "nobody"]).exits(2).warns("no jail named 'nobody'").silent();
    server.bkctld(&["check-canary", "../x"]).refuses(&["name"]).silent();
    server.bkctld(&["check-canary"]).ok().says("OK - 0 UNK / 0 CRIT / 0 WARN / 0 OK");
}

#[apply(as_root)]
fn a_canary_pushed_by_a_client_is_seen() {
    let server = Server::on(FsKind::Btrfs);
    let client = server.started("a");
    server.bkctld(&["check-canary", "a"]).exits(2);
    client.ssh("mkdir -p /data/zzz_evobackup && touch /data/zzz_evobackup/canary").ok();
    client.ssh_reading(date("now").as_bytes(), "cat > /var/backup/zzz_evobackup/canary").ok();
    server.bkctld(&["check-canary", "a"]).ok();
}
