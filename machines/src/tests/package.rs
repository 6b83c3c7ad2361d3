//! The Debian package where systemd is init: what it installs, enables and starts, what its upgrade keeps, and
//! what its removal leaves.

use crate::machine::{Machine, Session};
use crate::run::within;
use crate::suite::Suite;

super::tests![
    it_installs_on_a_server_without_jails_and_starts_none,
    entry_points_manuals_completions_templates_and_configuration_are_there,
    a_jail_is_started_by_the_installed_unit,
    journal_and_log_of_a_jail_agree_and_status_shows_the_port,
    after_a_boot_jails_are_on_and_those_that_are_to_be_off_are_off,
    after_a_boot_the_table_of_nftables_is_there_beside_others,
    the_timer_makes_an_inc_and_deletes_what_is_too_old,
    the_check_of_the_server_fails_only_where_something_is_wrong,
    numbers_for_prometheus_are_written_where_its_exporter_reads_them,
    a_cron_job_that_came_later_stays_in_charge,
    an_upgrade_ends_no_session_and_the_listener_is_exchanged_after_it,
    an_upgrade_leaves_off_what_the_administrator_has_stopped,
    sessions_get_the_new_rsync_when_its_package_is_upgraded,
    the_jails_have_their_table_again_after_whatever_befalls_nftables,
    its_removal_keeps_everything_and_its_return_starts_the_jails,
    its_purge_keeps_jails_incs_and_policies_and_nothing_else,
];

fn with_package_and_jail(suite: &Suite) -> Machine {
    let machine = Machine::with_package(suite);
    machine.make_jail("web01", 2222);
    machine
}

fn it_installs_on_a_server_without_jails_and_starts_none(suite: &Suite) {
    let machine = Machine::with_package_at_hand(suite);
    machine.install(Machine::PACKAGE);
    machine.assert_installed();
    machine.assert_enabled("bkctld.service", "enabled");
    for timer in
        ["bkctld-inc.timer", "bkctld-check-setup.timer", "bkctld-metrics.timer", "bkctld-stats.timer"]
    {
        machine.assert_enabled(timer, "enabled");
        machine.assert_active(timer, "active");
    }
    machine.assert_no_process();
    machine.assert_no_failed_unit();
    machine.assert_no_warning_about_units();
}

fn entry_points_manuals_completions_templates_and_configuration_are_there(suite: &Suite) {
    let machine = Machine::with_package(suite);
    machine.run("bkctld init web01");
    assert_eq!(machine.run("/usr/lib/bkctld/bkctld-list"), "web01");
    assert_eq!(
        machine.run(". /usr/lib/bkctld/includes; [ -n \"$VERSION\" ]; echo \"$JAILDIR\""),
        "/backup/jails"
    );
    for file in [
        "/usr/share/bkctld/sshd_config",
        "/etc/default/bkctld",
        "/usr/share/man/man8/bkctld.8.gz",
        "/usr/share/bash-completion/completions/bkctld",
        "/usr/share/zsh/vendor-completions/_bkctld",
        "/usr/share/fish/vendor_completions.d/bkctld.fish",
    ] {
        // The machine may leave documentation out when it installs.
        machine.run(&format!("[ -s {file} ] || dpkg -L bkctld | grep -x {file}"));
    }
    let completed = machine.run(
        "bash --norc -euc '
            source /usr/share/bash-completion/completions/bkctld
            COMP_WORDS=(bkctld start w) COMP_CWORD=2 COMP_TYPE=9
            _clap_complete_bkctld bkctld w start
            echo \"${COMPREPLY[*]}\"'",
    );
    assert_eq!(completed, "web01");
}

fn a_jail_is_started_by_the_installed_unit(suite: &Suite) {
    let machine = with_package_and_jail(suite);
    machine.assert_answers(2222);
    let program = machine.run(&format!("readlink /proc/{}/exe", machine.main_pid("web01")));
    assert_eq!(program, "/usr/sbin/bkctld");
    assert_eq!(
        machine.property("web01", "FragmentPath").rsplit_once("/lib/").unwrap().1,
        "systemd/system/bkctld@.service"
    );
}

fn journal_and_log_of_a_jail_agree_and_status_shows_the_port(suite: &Suite) {
    let machine = with_package_and_jail(suite);
    machine.run("systemctl status bkctld@web01 | grep 'listening on port 2222'");
    machine.assert_answers(2222);
    machine.assert_answers(2222);
    let accepted = |lines: &str| -> Vec<String> {
        let lines = lines.lines().filter_map(|line| Some(line[line.find("Accepted")?..].to_owned()));
        let mut lines: Vec<String> = lines.collect();
        lines.sort();
        lines
    };
    within(10, "both logins in journal and log alike", || {
        let journal = accepted(&machine.run("journalctl --quiet --unit bkctld@web01 -o cat"));
        let log = accepted(&machine.run("bkctld log web01"));
        journal == log && journal.iter().filter(|line| line.contains("publickey for root")).count() == 2
    });
}

fn after_a_boot_jails_are_on_and_those_that_are_to_be_off_are_off(suite: &Suite) {
    let machine = with_package_and_jail(suite);
    machine.run("bkctld init off01; sed -i 's/^EXPECTED_STATE=ON/EXPECTED_STATE=OFF/' /etc/evobackup/off01.d/check_policy");
    machine.run("bkctld check-setup | grep 'all jails are in their expected state'");
    machine.reboot();
    machine.until_on(60, "web01");
    machine.assert_on("web01");
    machine.assert_answers(2222);
    assert_eq!(machine.run("stat -c %a /run/bkctld"), "700");
    machine.within(60, "systemctl is-active bkctld.service | grep -x active");
    machine.assert_off("off01");
    machine.assert_active("bkctld-inc.timer", "active");
    machine.assert_no_failed_unit();
}

fn after_a_boot_the_table_of_nftables_is_there_beside_others(suite: &Suite) {
    let machine = with_package_and_jail(suite);
    machine.run("echo FIREWALL=nftables >>/etc/default/bkctld; systemctl enable nftables");
    machine.reboot();
    machine.within(60, "systemctl is-active nftables.service");
    machine.within(60, "nft list table inet bkctld | grep -q 2222");
    machine.run("nft list table inet filter");
    machine.assert_active("bkctld-firewall.service", "active");
    machine.assert_no_failed_unit();
    machine.run(
        "sed -i '/^FIREWALL=nftables/d' /etc/default/bkctld
        systemctl disable --now nftables
        systemctl restart bkctld-firewall",
    );
    machine.assert_active("bkctld-firewall.service", "inactive");
}

fn the_timer_makes_an_inc_and_deletes_what_is_too_old(suite: &Suite) {
    let machine = with_package_and_jail(suite);
    machine.run("mkdir -p /backup/incs/web01/2020-03-05-02");
    machine.run(
        "mkdir -p /run/systemd/system/bkctld-inc.timer.d
        printf '[Timer]\\nOnCalendar=\\nOnActiveSec=1s\\nAccuracySec=100ms\\n' \
            >/run/systemd/system/bkctld-inc.timer.d/now.conf
        systemctl daemon-reload
        systemctl restart bkctld-inc.timer",
    );
    machine.within(30, "! [ -e /backup/incs/web01/2020-03-05-02 ]");
    machine.run("[ -d \"$(ls -d /backup/incs/web01/20*)/data\" ]");
    machine.within(30, "systemctl show -p ActiveState bkctld-inc.service | grep -q =inactive");
    assert_eq!(machine.run("systemctl show --value -p Result bkctld-inc.service"), "success");
}

fn the_check_of_the_server_fails_only_where_something_is_wrong(suite: &Suite) {
    let machine = Machine::with_package_at_hand_and_fresh_partition(suite);
    machine.run("mkdir /backup; mount --bind /mnt/volume /backup; mkdir /backup/jails /backup/incs");
    machine.install(Machine::PACKAGE);
    machine.make_jail("web01", 2222);
    machine.assert_active("bkctld-check-setup.timer", "active");
    machine.run("bkctld check-setup; systemctl start bkctld-check-setup.service");
    machine.run("umount --lazy /backup");
    machine.fail("systemctl start bkctld-check-setup.service");
    machine.run("journalctl --sync; journalctl --quiet --unit bkctld-check-setup -o cat | grep 'CRITICAL.*not mounted'");
    machine.run("mv /backup /backup.away");
    machine.fail("systemctl start bkctld-check-setup.service");
}

fn numbers_for_prometheus_are_written_where_its_exporter_reads_them(suite: &Suite) {
    let machine = with_package_and_jail(suite);
    machine.run("systemctl start bkctld-metrics.service");
    machine.assert_gone("/var/lib/prometheus");
    machine.run("mkdir -p /var/lib/prometheus/node-exporter");
    machine.run("systemctl start bkctld-stats.service; systemctl start bkctld-metrics.service || true");
    machine.run("grep -x 'bkctld_jails 1' /var/lib/prometheus/node-exporter/bkctld.prom");
}

fn a_cron_job_that_came_later_stays_in_charge(suite: &Suite) {
    let machine = with_package_and_jail(suite);
    machine.run("mkdir -p /backup/incs/web01/2020-03-05-02");
    machine.write("/etc/cron.d/bkctld", "30 11 * * * root /usr/sbin/bkctld inc && /usr/sbin/bkctld rm\n");
    machine.run("systemctl start bkctld-inc.service || true");
    machine.run("[ -e /backup/incs/web01/2020-03-05-02 ]");
    machine.assert_no_failed_unit();
    machine.run("rm /etc/cron.d/bkctld; systemctl start bkctld-inc.service");
    machine.assert_gone("/backup/incs/web01/2020-03-05-02");
}

fn an_upgrade_ends_no_session_and_the_listener_is_exchanged_after_it(suite: &Suite) {
    let machine = with_package_and_jail(suite);
    let mut session = Session::open(&machine, 2222);
    let listener = machine.main_pid("web01");
    let is_new = format!("[ /proc/{listener}/exe -ef /usr/sbin/bkctld ]");
    machine.install(Machine::PACKAGE);
    session.assert_alive();
    machine.fail(&is_new);
    machine.assert_answers(2222);
    session.close();
    machine.within(10, &is_new);
    machine.until_on(10, "web01");
    assert_eq!(machine.main_pid("web01"), listener);
    machine.assert_answers(2222);
    machine.assert_on("web01");
    machine.assert_no_failed_unit();
}

fn an_upgrade_leaves_off_what_the_administrator_has_stopped(suite: &Suite) {
    let machine = with_package_and_jail(suite);
    machine.run("systemctl disable --now --quiet bkctld-inc.timer; bkctld stop web01");
    machine.install(Machine::PACKAGE);
    machine.assert_enabled("bkctld-inc.timer", "disabled");
    machine.assert_active("bkctld-inc.timer", "inactive");
    machine.assert_off("web01");
}

fn sessions_get_the_new_rsync_when_its_package_is_upgraded(suite: &Suite) {
    let machine = with_package_and_jail(suite);
    let current = || machine.run("readlink /var/lib/bkctld/runtime/current");
    let before = current();
    machine.run(
        "echo >>/usr/bin/rsync
        dpkg-trigger --by-package=rsync /usr/bin/rsync
        dpkg --triggers-only -a",
    );
    assert_ne!(current(), before, "the same programs");
    machine.assert_answers(2222);
}

fn the_jails_have_their_table_again_after_whatever_befalls_nftables(suite: &Suite) {
    let machine = with_package_and_jail(suite);
    machine.fail("nft list tables | grep bkctld");
    machine.run("systemctl start nftables");
    machine.fail("nft list tables | grep bkctld");
    // Its unit is not active: FIREWALL was not set when it was started.
    machine.run("echo FIREWALL=nftables >>/etc/default/bkctld");
    for action in ["reload", "restart", "reload", "restart", "reload", "stop", "start", "reload"] {
        machine.run(&format!("nft flush ruleset; systemctl {action} nftables"));
        if action != "stop" {
            machine.within(10, "nft list table inet bkctld | grep -q 2222");
        }
    }
    machine.run("bkctld ip web01 127.0.0.1");
    machine.assert_answers(2222);
    machine.assert_no_failed_unit();
}

fn its_removal_keeps_everything_and_its_return_starts_the_jails(suite: &Suite) {
    let machine = with_package_and_jail(suite);
    machine.run("bkctld inc; dpkg --remove bkctld");
    machine.assert_no_process();
    machine.run(
        "[ -d /backup/jails/web01/data ] && [ -d /backup/incs/web01 ] && [ -d /etc/evobackup/web01.d ]
        [ -f /etc/default/bkctld ] && [ -d /var/lib/bkctld ]",
    );
    machine.fail("systemctl cat bkctld-inc.timer");
    machine.install(Machine::PACKAGE);
    machine.until_on(30, "web01");
    machine.assert_on("web01");
    machine.assert_answers(2222);
}

fn its_purge_keeps_jails_incs_and_policies_and_nothing_else(suite: &Suite) {
    let machine = with_package_and_jail(suite);
    // The configuration is broken, too.
    machine.run("bkctld inc; echo 'this is not an assignment' >>/etc/default/bkctld; dpkg --purge bkctld");
    machine.assert_no_process();
    machine.run("[ -d /backup/jails/web01/data ] && [ -d /backup/incs/web01 ] && [ -f /etc/evobackup/web01.d/incs_policy ]");
    for gone in [
        "/etc/default/bkctld",
        "/etc/munin",
        "/var/lib/bkctld",
        "/usr/lib/bkctld",
        "/usr/share/bkctld",
        "/run/bkctld",
        "/run/lock/bkctld",
    ] {
        machine.assert_gone(gone);
    }
    assert_eq!(machine.run("find /etc/systemd /var/lib/systemd -name '*bkctld*'"), "");
}
