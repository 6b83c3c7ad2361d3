//! A jail's listener as a unit of systemd: it starts, fails, comes back and ends.

use crate::machine::{Machine, PortThief, Session};
use crate::suite::Suite;

super::tests![
    start_is_seen_by_systemd_and_by_every_command,
    a_login_works_and_a_push_by_rsync,
    a_session_has_other_users_than_the_server,
    a_killed_listener_comes_back,
    a_session_ends_with_its_listener,
    restart_makes_another_listener,
    what_systemctl_stops_and_starts_is_seen,
    stop_leaves_no_process_whatever_a_client_has_forked,
    start_says_that_the_port_is_taken_and_nothing_tries_again,
    start_says_where_sshd_config_is_broken,
    a_listener_that_cannot_come_back_goes_on_trying_and_status_is_true,
    stop_ends_also_what_is_about_to_be_started_again,
    remove_leaves_no_jail_unit_or_process,
];

const SSHD_CONFIG: &str = "/backup/jails/web01/rootfs/etc/ssh/sshd_config";

fn start_is_seen_by_systemd_and_by_every_command(suite: &Suite) {
    let machine = Machine::with_program(suite);
    machine.run("bkctld init web01; bkctld key web01 /root/client_key.pub");
    machine.assert_off("web01");
    machine.run("bkctld start web01");
    machine.assert_on("web01");
    assert_eq!(machine.property("web01", "StatusText"), "listening on port 2222");
    machine.run("bkctld start web01");
    machine.assert_no_warning_about_units();
}

fn a_login_works_and_a_push_by_rsync(suite: &Suite) {
    let machine = Machine::with_program(suite);
    machine.make_jail("web01", 2222);
    machine.assert_answers(2222);
    machine.run("rsync -aHAX --numeric-ids -e 'ssh -p 2222' /etc root@localhost:/var/backup/");
    machine.run("diff -r --no-dereference /etc /backup/jails/web01/data/etc");
}

fn a_session_has_other_users_than_the_server(suite: &Suite) {
    let machine = Machine::with_program(suite);
    machine.make_jail("web01", 2222);
    let inside = machine.ssh(2222, "cat /proc/self/uid_map").expect("a session");
    assert!(!inside.is_empty());
    assert_ne!(inside, machine.run("cat /proc/self/uid_map"));
}

fn a_killed_listener_comes_back(suite: &Suite) {
    let machine = Machine::with_program(suite);
    machine.make_jail("web01", 2222);
    // More often than systemd lets a unit start by default.
    for _ in 0..6 {
        let before = machine.main_pid("web01");
        machine.run(&format!("kill -KILL {before}"));
        machine.within(
            10,
            &format!(
                "[ $(systemctl show --value -p MainPID bkctld@web01) != {before} ] && bkctld is-on web01"
            ),
        );
    }
    machine.assert_on("web01");
    machine.assert_answers(2222);
}

fn a_session_ends_with_its_listener(suite: &Suite) {
    let machine = Machine::with_program(suite);
    machine.make_jail("web01", 2222);
    let mut session = machine.spawn("exec ssh -p 2222 root@localhost 'sleep 1000'");
    machine.until_status_shows("web01", "sleep 1000");
    machine.run(&format!("kill -KILL {}", machine.main_pid("web01")));
    assert!(!session.wait().unwrap().success(), "the session lives");
    machine.until_on(10, "web01");
    machine.fail("bkctld --json status web01 | grep '\"active\":\\[{'");
}

fn restart_makes_another_listener(suite: &Suite) {
    let machine = Machine::with_program(suite);
    machine.make_jail("web01", 2222);
    let before = machine.main_pid("web01");
    machine.run("bkctld restart web01");
    assert_ne!(machine.main_pid("web01"), before);
    machine.assert_on("web01");
    machine.assert_answers(2222);
}

fn what_systemctl_stops_and_starts_is_seen(suite: &Suite) {
    let machine = Machine::with_program(suite);
    machine.make_jail("web01", 2222);
    machine.run("systemctl stop bkctld@web01");
    machine.assert_off("web01");
    machine.run("systemctl start bkctld@web01");
    machine.assert_on("web01");
}

fn stop_leaves_no_process_whatever_a_client_has_forked(suite: &Suite) {
    let machine = Machine::with_program(suite);
    machine.make_jail("web01", 2222);
    let mut session = machine.spawn(
        "exec ssh -p 2222 root@localhost \
            '(trap \"\" HUP TERM INT; sleep 1000) </dev/null >/dev/null 2>&1 & sleep 1000'",
    );
    machine.until_status_shows("web01", "sleep 1000");
    machine.run("bkctld stop web01");
    machine.assert_off("web01");
    machine.assert_no_process();
    machine.fail("grep -x sleep /proc/[0-9]*/comm");
    drop(session.wait());
    machine.run("bkctld stop web01");
    assert_eq!(
        machine.run("systemctl list-units --failed --no-legend --plain 'bkctld@*'"),
        "",
        "a failed unit"
    );
}

fn start_says_that_the_port_is_taken_and_nothing_tries_again(suite: &Suite) {
    let machine = Machine::with_program(suite);
    machine.make_jail("web01", 2222);
    machine.run("bkctld stop web01");
    let thief = PortThief::take(&machine, 2222);
    machine.refuses(10, "in use", "bkctld start web01");
    machine.refuses(10, "2222", "bkctld start web01");
    machine.assert_off("web01");
    machine.run("sleep 3");
    assert_eq!(machine.property("web01", "ActiveState"), "inactive");
    drop(thief);
    machine.run("sleep 2");
    machine.assert_off("web01");
}

fn start_says_where_sshd_config_is_broken(suite: &Suite) {
    let machine = Machine::with_program(suite);
    machine.make_jail("web01", 2222);
    machine.run(&format!("bkctld stop web01; echo 'NoSuchOption yes' >>{SSHD_CONFIG}"));
    machine.refuses(15, "NoSuchOption", "bkctld start web01");
    machine.assert_off("web01");
    machine.run("journalctl --sync; journalctl --quiet BKCTLD_JAIL=web01 | grep NoSuchOption");
}

fn a_listener_that_cannot_come_back_goes_on_trying_and_status_is_true(suite: &Suite) {
    let machine = Machine::with_program(suite);
    machine.make_jail("web01", 2222);
    machine.run("systemctl stop bkctld@web01");
    let thief = PortThief::take(&machine, 2222);
    machine.run("systemctl --no-block start bkctld@web01; sleep 3");
    machine.fail("bkctld is-on web01");
    drop(thief);
    machine.until_on(10, "web01");
    machine.assert_answers(2222);
    machine.assert_on("web01");
}

fn stop_ends_also_what_is_about_to_be_started_again(suite: &Suite) {
    let machine = Machine::with_program(suite);
    machine.make_jail("web01", 2222);
    machine.run("bkctld stop web01");
    let _thief = PortThief::take(&machine, 2222);
    machine.run("systemctl --no-block start bkctld@web01");
    machine.within(10, "[ $(systemctl show --value -p NRestarts bkctld@web01) -ge 1 ]");
    machine.run("bkctld stop web01; sleep 2");
    assert_eq!(machine.property("web01", "ActiveState"), "inactive");
    machine.assert_off("web01");
}

fn remove_leaves_no_jail_unit_or_process(suite: &Suite) {
    let machine = Machine::with_program(suite);
    machine.make_jail("web01", 2222);
    let session = Session::open(&machine, 2222);
    machine.run("bkctld --force remove web01");
    drop(session);
    machine.assert_gone("/backup/jails/web01");
    machine.assert_no_process();
    assert_eq!(machine.run("systemctl list-units --all --no-legend 'bkctld@web01*'"), "", "the unit is left");
}
