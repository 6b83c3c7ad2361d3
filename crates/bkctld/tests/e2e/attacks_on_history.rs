//! A client with root in its jail does its worst: no inc changes.

use std::fs;

use crate::support::server::TOOLS;
use crate::support::*;

/// Each is run in the jail after the incs are made.
const ATTACKS: [&str; 17] = [
    "echo x > /data/plain",
    "echo x >> /data/links/first",
    "dd if=/dev/zero of=/data/plain conv=notrunc bs=1 count=1",
    "truncate -s 1 /data/dir/sub/deep",
    "truncate -s 100M /data/empty",
    "chmod 000 /data/plain /data/dir /data",
    "chmod -R 777 /data",
    "chown -R 33:33 /data",
    "touch -d '1999-09-09' /data/plain /data/links/second",
    "setfattr -n user.note -v forged /data/attributes",
    "setfattr -x user.note /data/attributes",
    "ln /data/plain /data/another && echo through > /data/another",
    "ln /data/links/first /data/yet-another; chmod 000 /data/yet-another",
    "cat /dev/null > /data/script; chmod 777 /data/script",
    "rm -rf /data/dir && ln -s / /data/dir",
    "perl -e 'open F, \"+<\", \"/data/old\" or die; seek F, 0, 0; syswrite F, \"XXX\"; utime 5, 5, \"/data/old\"'",
    "rm -rf /data /data/* /var/* /var/backup/* /data/.[!.]* 2>/dev/null; true",
];

#[apply(on_each_fs)]
fn nothing_that_a_client_does_changes_an_inc(fs: FsKind) {
    let server = Server::on(fs);
    server.set("JAIL_PROGRAMS", TOOLS);
    let client = server.started("a");
    let source = server.path("source");
    fs::create_dir(&source).unwrap();
    tree::every_kind(&source);
    write(&source.join("big"), vec![9; 2 << 20]);
    let from = format!("{}/", source.display());
    let push: [&str; 6] = ["-aHAX", "--numeric-ids", "--delete", "--inplace", &from, "jail:/data/"];
    let mut hour = -11;
    client.rsync(&push).ok();
    server.settle();
    server.take_inc(hour, "a");
    // A second one, which shares what it can with the first.
    hour += 1;
    server.take_inc(hour, "a");
    for (at, attack) in ATTACKS.iter().enumerate() {
        let before = server.digests("a");
        // Some are refused, which is as good.
        client.ssh(attack);
        server.assert_unchanged(&before, attack);
        client.rsync(&push).ok();
        server.assert_unchanged(&before, &format!("a push after: {attack}"));
        if at % 4 == 0 {
            hour += 1;
            server.take_inc(hour, "a");
        }
    }
    let before = server.digests("a");
    let changed = server.path("changed");
    write(&changed, vec![8; 2 << 20]);
    let changed = changed.display().to_string();
    client.rsync(&["--inplace", "--no-whole-file", "-I", &changed, "jail:/data/big"]).ok();
    server.assert_unchanged(&before, "rsync --inplace");
    client.sftp(&format!("put {changed} /data/plain\nchmod 0 /data/plain\nrm /data/script\nln /data/big /data/big2\nput {changed} /data/big2\n")).ok();
    server.assert_unchanged(&before, "sftp put");
    client.scp(&["-p", &changed, "jail:/data/links/first"]).ok();
    server.assert_unchanged(&before, "scp");
}

#[apply(on_each_fs)]
fn a_forged_modification_time_hides_no_change_from_the_next_inc(fs: FsKind) {
    let server = Server::on(fs);
    server.set("JAIL_PROGRAMS", TOOLS);
    let client = server.started("a");
    client.ssh("printf aaaa > /data/f; touch -d '2020-01-01 00:00:00.5' /data/f").ok();
    let first = server.take_inc(-1, "a");
    client.ssh("printf bbbb > /data/f; touch -d '2020-01-01 00:00:00.5' /data/f").ok();
    let second = server.take_inc(0, "a");
    assert_eq!(fs::read_to_string(first.join("data/f")).unwrap(), "aaaa");
    assert_eq!(fs::read_to_string(second.join("data/f")).unwrap(), "bbbb");
}

#[apply(on_each_fs)]
fn a_directory_swapped_for_a_link_while_an_inc_is_made_leads_nowhere(fs: FsKind) {
    let server = Server::on(fs);
    server.set("JAIL_PROGRAMS", TOOLS);
    let client = server.started("a");
    let secret = server.backup().join("secret");
    write(&secret.join("sub/stolen"), "secret of the server\n");
    let digest = Digest::of(&secret);
    let target = secret.display().to_string();
    // Within one command, as fast as it goes, for as long as the incs are made.
    let swapper = client.perl(&format!(
        "mkdir '/data/d'; mkdir '/data/d/sub'; \
         while (!-e '/data/end') {{ rename '/data/d', '/data/e'; symlink '{target}', '/data/d'; \
         unlink '/data/d'; rename '/data/e', '/data/d' }}"
    ));
    for hour in -6..2 {
        server.bkctld_ahead(hour, &["inc", "a"]);
    }
    write(&server.data("a").join("end"), "");
    swapper.finish();
    for inc in server.incs("a") {
        let found = sh(&format!("find {} -name stolen", inc.display()));
        assert_eq!(found, "", "an inc holds a file of the server");
    }
    digest.assert_same(&Digest::of(&secret), "a file of the server");
    // Deleting and removing follow no link either.
    client.ssh(&format!("rm -rf /data/d /data/e; ln -s {target} /data/d; ln -s {target} /var/link")).ok();
    server.policy("a", "# nothing\n");
    server.bkctld(&["-f", "rm", "a"]).ok();
    server.bkctld(&["-f", "remove", "a"]).ok();
    digest.assert_same(&Digest::of(&secret), "a file of the server");
}

#[apply(as_root)]
fn var_of_the_jail_is_as_little_trusted_as_its_data() {
    let server = Server::on(FsKind::Ext4);
    server.set("JAIL_PROGRAMS", TOOLS);
    let client = server.started("a");
    let victim = server.backup().join("victim");
    write(&victim, "untouched");
    sh(&format!("touch -d 2001-01-01 {}", victim.display()));
    let before = Digest::of(&server.path("backup/incs"));
    for attack in [
        format!("rm -rf /var/log; ln -s {} /var/log", server.backup().display()),
        format!("rm -rf /var/log; mkdir /var/log; ln -s {} /var/log/lastlog", victim.display()),
        "rm -rf /var/log; mkdir /var/log; perl -e 'syscall(133, \"/var/log/lastlog\", 010644, 0)'; true"
            .to_owned(),
        "rm -rf /var/log; echo x > /var/log".to_owned(),
    ] {
        client.ssh(&attack).ok();
        client.ssh("true").ok();
        server.status("a");
        server.bkctld(&["reload", "a"]).ok();
        server.bkctld(&["restart", "a"]).ok();
        client.ssh("true").ok();
        let age = fs::metadata(&victim).unwrap().modified().unwrap().elapsed().unwrap();
        assert!(age.as_secs() > 86_400, "a file of the server was touched: {attack}");
        assert_eq!(fs::read_to_string(&victim).unwrap(), "untouched");
    }
    before.assert_same(&Digest::of(&server.path("backup/incs")), "incs");
    server.take_inc(0, "a");
    server.bkctld(&["-f", "remove", "a"]).ok();
}
