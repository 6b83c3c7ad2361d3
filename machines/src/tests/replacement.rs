//! The Debian package in place of the shell program, of its package or its sources, and of an earlier package of
//! ours: what stays as the administrator had it, and the way back.

use crate::machine::Machine;
use crate::original::Original;
use crate::suite::Suite;
use crate::tests::migration;

super::tests![
    it_replaces_the_original_and_keeps_its_cron_job_and_configuration,
    links_of_munin_lead_to_the_new_plugin_and_others_stay,
    the_original_takes_its_place_again_and_nothing_of_ours_runs_or_is_enabled,
    containers_of_the_original_run_on_under_an_upgrade_until_their_restart,
    an_original_from_sources_serves_on_and_is_named_until_it_is_moved_away,
    a_configuration_that_only_a_shell_understands_is_named,
    an_unchanged_configuration_stays_and_a_missing_one_is_put_there,
    the_configuration_of_an_earlier_package_stays_until_the_purge,
];

const ORIGINAL: &str = "/root/original.deb";
const CRON_JOB: &str = "30 11 * * * root /usr/sbin/bkctld inc && /usr/sbin/bkctld rm\n";

/// Builds a package as the original's, of which only the files matter here.
fn build_original(machine: &Machine) {
    machine.write(
        "/root/original.tree/DEBIAN/control",
        "Package: bkctld\nVersion: 25.06-1\nArchitecture: all\nMaintainer: nobody <nobody@bkctld.example>\n\
            Description: stands for the shell program\n",
    );
    machine.write("/root/original.tree/DEBIAN/conffiles", "/etc/default/bkctld\n");
    for program in [
        "usr/sbin/bkctld",
        "usr/lib/bkctld/bkctld-inc",
        "usr/lib/bkctld/bkctld-glacier",
        "usr/share/munin/plugins/bkctld_incs",
        "usr/share/munin/plugins/bkctld_jails",
        "usr/share/munin/plugins/bkctld_ops",
        "usr/share/munin/plugins/bkctld_rsyncs",
    ] {
        machine.write(&format!("/root/original.tree/{program}"), "#!/bin/sh\necho \"the original: $*\"\n");
    }
    machine.write("/root/original.tree/usr/lib/bkctld/includes", "VERSION=25.06\n");
    machine.write("/root/original.tree/usr/share/bash_completion/bkctld", "complete bkctld\n");
    machine.write("/root/original.tree/etc/default/bkctld", "#WARNING=48\n");
    machine.write(
        "/root/original.tree/lib/systemd/system/bkctld.service",
        "[Service]\nType=oneshot\nRemainAfterExit=true\nExecStart=/usr/sbin/bkctld start all\n\
            [Install]\nWantedBy=multi-user.target\n",
    );
    machine.run(&format!("dpkg-deb --root-owner-group --build /root/original.tree {ORIGINAL}"));
}

/// Builds one of our packages from when its configuration was a conffile.
fn build_earlier(machine: &Machine) {
    machine.run(&format!(
        "dpkg-deb --raw-extract {} /root/earlier.tree
        cd /root/earlier.tree
        sed -i 's/^Version: .*/Version: 26.11.0-0/' DEBIAN/control
        sed -i 's,put_once /usr.*,:,' DEBIAN/postinst
        sed -i '/^        rm -f \\/etc\\/default/d' DEBIAN/postrm
        mkdir -p etc/default etc/munin/plugin-conf.d
        mv usr/share/bkctld/default etc/default/bkctld
        mv usr/share/bkctld/munin.conf etc/munin/plugin-conf.d/bkctld
        printf '%s\\n' /etc/default/bkctld /etc/munin/plugin-conf.d/bkctld >DEBIAN/conffiles
        dpkg-deb --root-owner-group --build /root/earlier.tree /root/earlier.deb",
        Machine::PACKAGE
    ));
}

/// A machine with the original's package installed and a jail; its service enabled, its configuration edited, a
/// cron job, and links as its instructions for Munin have them.
fn with_original(suite: &Suite) -> Machine {
    let machine = Machine::with_package_at_hand(suite);
    // A jail from before, whose programs do not matter here.
    machine.run("mkdir -p /backup/jails /backup/incs");
    machine.install(Machine::PACKAGE);
    machine.make_jail("web01", 2222);
    machine.run("dpkg --purge bkctld");
    build_original(&machine);
    machine.install(ORIGINAL);
    machine.run(
        "ln -sf /lib/systemd/system/bkctld.service /etc/systemd/system/multi-user.target.wants/
        systemctl daemon-reload
        echo 'WARNING=36' >>/etc/default/bkctld
        cp /etc/default/bkctld /root/default
        mkdir -p /etc/munin/plugins /etc/munin/plugin-conf.d
        for graph in incs jails ops rsyncs; do ln -s /usr/share/munin/plugins/bkctld_$graph /etc/munin/plugins/; done
        ln -sfn /root/default /etc/munin/plugins/bkctld_ops
        printf '[bkctld_*]\\n    user root\\n' >/etc/munin/plugin-conf.d/bkctld
        cp /etc/munin/plugin-conf.d/bkctld /root/munin.conf",
    );
    machine.write("/etc/cron.d/bkctld", CRON_JOB);
    machine
}

fn munin_links_lead_to_the_original(machine: &Machine) {
    for graph in ["incs", "jails", "rsyncs"] {
        assert_eq!(machine.run(&format!("/etc/munin/plugins/bkctld_{graph}")), "the original: ");
    }
}

fn it_replaces_the_original_and_keeps_its_cron_job_and_configuration(suite: &Suite) {
    let machine = with_original(suite);
    machine.install(Machine::PACKAGE);
    machine.assert_installed();
    machine
        .run("cmp /root/default /etc/default/bkctld; cmp /root/munin.conf /etc/munin/plugin-conf.d/bkctld");
    assert_eq!(machine.run("cat /etc/cron.d/bkctld"), CRON_JOB.trim_end());
    machine.assert_enabled("bkctld-inc.timer", "disabled");
    machine.assert_active("bkctld-inc.timer", "inactive");
    machine.assert_enabled("bkctld.service", "enabled");
    assert_eq!(machine.run("bkctld list"), "web01");
    // Which the scripts of that package had stopped.
    machine.assert_on("web01");
    machine.run("[ -L /usr/lib/bkctld/bkctld-inc ]");
    machine.assert_gone("/usr/lib/bkctld/bkctld-glacier");
    machine.assert_gone("/usr/share/bash_completion/bkctld");
    machine.assert_answers(2222);
}

fn links_of_munin_lead_to_the_new_plugin_and_others_stay(suite: &Suite) {
    let machine = with_original(suite);
    machine.install(Machine::PACKAGE);
    let jails = machine.run("/etc/munin/plugins/bkctld_jails");
    assert!(jails.lines().any(|line| line == "jails.value 1"), "{jails}");
    for graph in ["incs", "rsyncs"] {
        machine.run(&format!("/etc/munin/plugins/bkctld_{graph} | grep 'value [0-9]'"));
    }
    assert_eq!(machine.run("readlink /etc/munin/plugins/bkctld_ops"), "/root/default");
}

fn the_original_takes_its_place_again_and_nothing_of_ours_runs_or_is_enabled(suite: &Suite) {
    let machine = with_original(suite);
    machine.install(Machine::PACKAGE);
    machine.assert_on("web01");
    machine.run("bkctld stats; [ -e /var/lib/bkctld/sizes ]");
    machine.run("cp /usr/share/bkctld/munin.conf /etc/munin/plugin-conf.d/bkctld");
    machine.install(ORIGINAL);
    machine.assert_installed();
    assert_eq!(machine.run("bkctld inc"), "the original: inc");
    machine.assert_no_process();
    machine.run("cmp /root/default /etc/default/bkctld");
    munin_links_lead_to_the_original(&machine);
    machine.assert_gone("/var/lib/bkctld/sizes");
    machine.assert_gone("/etc/munin/plugin-conf.d/bkctld");
    machine.run("systemctl daemon-reload");
    assert_eq!(machine.run("systemctl list-units --all --no-legend --plain 'bkctld-*' 'bkctld@*'"), "");
    assert_eq!(machine.run("find /etc/systemd/system -name '*bkctld*' -printf '%f '"), "bkctld.service ");

    machine.install(Machine::PACKAGE);
    machine.run("cmp /root/default /etc/default/bkctld");
    machine.assert_enabled("bkctld-inc.timer", "disabled");
    machine.assert_enabled("bkctld-check-setup.timer", "enabled");
    machine.assert_active("bkctld-check-setup.timer", "active");
    machine.assert_on("web01");

    // The other way back: out first, then the original.
    machine.run("bkctld --force remove all; dpkg --remove bkctld");
    machine.install(ORIGINAL);
    machine.assert_installed();
    munin_links_lead_to_the_original(&machine);
}

fn containers_of_the_original_run_on_under_an_upgrade_until_their_restart(suite: &Suite) {
    let machine = Machine::with_package_at_hand(suite);
    machine.bring_original();
    build_original(&machine);
    machine.install(ORIGINAL);
    machine.run("mkdir -p /backup/jails /backup/incs");
    machine.make_container_jail("old01", 2601);
    machine.install(Machine::PACKAGE);
    machine.assert_original_answers(2601);
    machine.assert_original_serves("old01");
    machine.run("dpkg-trigger --by-package=rsync /usr/bin/rsync; dpkg --triggers-only -a");
    machine.assert_original_answers(2601);
    machine.assert_original_serves("old01");
    machine.install(ORIGINAL);
    // Not stopped on the way back either.
    machine.run("systemctl is-active --quiet systemd-nspawn@old01");
    machine.assert_original_answers(2601);
    machine.install(Machine::PACKAGE);
    machine.assert_original_serves("old01");
    machine.run("bkctld restart old01");
    machine.assert_ours("old01");
    machine.assert_original_answers(2601);
}

fn an_original_from_sources_serves_on_and_is_named_until_it_is_moved_away(suite: &Suite) {
    let machine = Machine::with_package_at_hand(suite);
    machine.bring_original();
    machine.run("mkdir -p /backup/jails /backup/incs /usr/local/lib/bkctld");
    // Its commands are not wanted here, only that they are not ours.
    machine.write("/usr/local/sbin/bkctld", "#!/bin/sh\necho from sources; exit 3\n");
    machine.make_container_jail("old01", 2601);
    let said = machine.install(Machine::PACKAGE);
    assert!(
        said.lines().any(|line| line.contains("/usr/local/sbin/bkctld") && line.contains("migration.md")),
        "{said}"
    );
    assert!(said.contains("/usr/local/lib/bkctld"), "{said}");
    machine.assert_original_answers(2601);
    machine.run(
        "{ /usr/sbin/bkctld check-setup || true; } | \
            grep 'WARNING.*/usr/local/sbin/bkctld, /usr/local/lib/bkctld'",
    );
    machine.run(&migration::steps()[0]);
    machine.assert_original_serves("old01");
    machine.fail("bkctld check-setup | grep /usr/local");
    machine.run("bkctld restart old01");
    machine.assert_ours("old01");
    machine.assert_original_answers(2601);
}

fn a_configuration_that_only_a_shell_understands_is_named(suite: &Suite) {
    let machine = Machine::with_package_at_hand(suite);
    build_original(&machine);
    machine.install(ORIGINAL);
    machine.run("echo 'JAILDIR=$(echo /backup/jails)' >>/etc/default/bkctld");
    let said = machine.install(Machine::PACKAGE);
    assert!(said.contains("/etc/default/bkctld:2:"), "{said}");
    machine.assert_installed();
}

fn an_unchanged_configuration_stays_and_a_missing_one_is_put_there(suite: &Suite) {
    let machine = Machine::with_package_at_hand(suite);
    build_original(&machine);
    machine.install(ORIGINAL);
    machine.run("cp /etc/default/bkctld /root/default");
    machine.install(Machine::PACKAGE);
    machine.run("cmp /root/default /etc/default/bkctld");
    // What was deleted stays so.
    machine.run("rm /etc/default/bkctld");
    machine.install(Machine::PACKAGE);
    machine.assert_gone("/etc/default/bkctld");
    machine.run("dpkg --purge bkctld");
    machine.install(Machine::PACKAGE);
    machine.run("cmp /usr/share/bkctld/default /etc/default/bkctld");
    let modes =
        machine.run("stat -c '%a %U:%G' /etc/default/bkctld /etc/munin/plugin-conf.d/bkctld | sort -u");
    assert_eq!(modes, "644 root:root");
    assert_eq!(machine.run("dpkg-query --show --showformat '${Conffiles}' bkctld"), "");
}

fn the_configuration_of_an_earlier_package_stays_until_the_purge(suite: &Suite) {
    let machine = Machine::with_package_at_hand(suite);
    build_earlier(&machine);
    let sum = || machine.run("cat /etc/default/bkctld /etc/munin/plugin-conf.d/bkctld | cksum");
    for edit in [":", "echo WARNING=36 >>/etc/default/bkctld"] {
        machine.install("/root/earlier.deb");
        machine.run(edit);
        let before = sum();
        machine.install(Machine::PACKAGE);
        machine.assert_installed();
        assert_eq!(sum(), before, "after {edit}");
        assert_eq!(machine.run("find /etc/default /etc/munin -name 'bkctld.*'"), "", "copies beside it");
        machine.run("dpkg --purge bkctld");
        machine.assert_gone("/etc/default/bkctld");
        machine.assert_gone("/etc/munin");
    }
}
