//! Jails that the shell program still runs, as containers of systemd-nspawn or in a chroot, are taken over,
//! and can go back.

use crate::machine::{Machine, Session};
use crate::original::Original;
use crate::suite::Suite;

super::tests![
    a_jail_in_a_container_is_on_and_its_server_is_named,
    a_start_that_fails_says_why_and_the_container_serves_again,
    a_changed_port_reaches_the_container_and_sessions_go_on,
    stop_stops_the_container_and_nothing_else_starts_it,
    start_takes_the_port_over_with_the_same_host_keys_and_data,
    before_an_update_the_container_can_have_the_jail_back,
    restart_takes_a_jail_over,
    update_takes_a_jail_over_and_clears_what_is_left_of_its_container,
    a_jail_that_is_off_stays_off_at_its_update,
    another_machine_of_the_same_name_is_left_alone,
    after_its_own_update_the_original_serves_a_jail_again,
    the_original_serves_a_jail_that_bkctld_made,
    rename_and_archive_leave_nothing_of_the_container,
    remove_deletes_the_container_too,
];

const PORT: u16 = 2601;

/// A machine with a jail `old01` in a container that runs.
fn with_container(suite: &Suite) -> Machine {
    let machine = Machine::with_program(suite);
    machine.bring_original();
    machine.make_container_jail("old01", PORT);
    machine
}

fn a_jail_in_a_container_is_on_and_its_server_is_named(suite: &Suite) {
    let machine = with_container(suite);
    machine.assert_original_serves("old01");
}

fn a_start_that_fails_says_why_and_the_container_serves_again(suite: &Suite) {
    let machine = with_container(suite);
    let file = "/backup/jails/old01/rootfs/etc/ssh/sshd_config";
    machine.run(&format!("cp -p {file} /root/good; sed -i 's/^AllowUsers.*/AllowUsers root@127.*/' {file}"));
    machine.refuses(40, "systemd-nspawn@old01.service serves it again", "bkctld start old01");
    machine.run(&format!("cp -p /root/good {file}"));
    machine.until_original_answers(PORT);
    machine.assert_original_serves("old01");
}

fn a_changed_port_reaches_the_container_and_sessions_go_on(suite: &Suite) {
    let machine = with_container(suite);
    let mut session = Session::open(&machine, PORT);
    machine.run("bkctld port old01 2611");
    machine.know_host_keys("/backup/jails/old01/rootfs", 2611);
    machine.until_original_answers(2611);
    session.assert_alive();
    session.close();
    machine.assert_original_serves("old01");
    machine.run(&format!("bkctld port old01 {PORT}"));
    machine.until_original_answers(PORT);
}

fn stop_stops_the_container_and_nothing_else_starts_it(suite: &Suite) {
    let machine = with_container(suite);
    machine.run("bkctld stop old01");
    machine.assert_off("old01");
    machine.assert_no_container("old01");
    assert!(!machine.original_answers(PORT), "it answers");
    machine.start_container("old01", PORT);
    machine.assert_original_serves("old01");
}

fn start_takes_the_port_over_with_the_same_host_keys_and_data(suite: &Suite) {
    let machine = with_container(suite);
    machine.run("bkctld start old01");
    machine.assert_ours("old01");
    machine.assert_original_answers(PORT);
    assert_eq!(machine.ssh_known(PORT, "cat /var/backup/home/notes").as_deref(), Some("notes"));
    machine.run("bkctld start old01");
}

fn before_an_update_the_container_can_have_the_jail_back(suite: &Suite) {
    let machine = with_container(suite);
    machine.run("bkctld start old01");
    machine.assert_ours("old01");
    machine.run("bkctld stop old01");
    machine.start_container("old01", PORT);
    machine.assert_original_serves("old01");
}

fn restart_takes_a_jail_over(suite: &Suite) {
    let machine = with_container(suite);
    machine.run("bkctld restart old01");
    machine.assert_ours("old01");
    machine.assert_original_answers(PORT);
}

fn update_takes_a_jail_over_and_clears_what_is_left_of_its_container(suite: &Suite) {
    let machine = with_container(suite);
    machine.run("systemctl enable --quiet systemd-nspawn@old01");
    let state = || {
        machine.run(
            "cd /backup/jails/old01
            find data rootfs/etc/ssh rootfs/root -printf '%p %i %m %T@ %s\\n' | sort",
        )
    };
    let before = state();
    machine.run("bkctld -n update old01 | grep /var/lib/machines/old01");
    machine.run("bkctld update old01");
    machine.assert_ours("old01");
    machine.assert_original_answers(PORT);
    machine.assert_nothing_of_container("old01");
    assert_eq!(state(), before, "something in the jail has changed");
    machine.run("bkctld update old01");
    machine.assert_ours("old01");
}

fn a_jail_that_is_off_stays_off_at_its_update(suite: &Suite) {
    let machine = with_container(suite);
    machine.run("kill -KILL \"$(systemctl show --value --property MainPID systemd-nspawn@old01)\"");
    machine.within(20, "! systemctl is-active --quiet systemd-nspawn@old01");
    machine.within(20, "! ss -ltn | grep -q :2601");
    // systemd may still be at work on it: such a jail is off, too.
    machine.assert_off("old01");
    machine.run("bkctld update old01");
    machine.assert_off("old01");
    machine.assert_nothing_of_container("old01");
    machine.assert_no_container("old01");
}

fn another_machine_of_the_same_name_is_left_alone(suite: &Suite) {
    let machine = with_container(suite);
    machine.run("bkctld update old01; bkctld stop old01");
    machine.write("/var/lib/machines/old01/file", "kept");
    machine.write("/etc/systemd/nspawn/old01.nspawn", "[Exec]\nBoot=no\n");
    machine.run("bkctld update old01");
    assert_eq!(machine.run("cat /var/lib/machines/old01/file"), "kept");
    machine.run("[ -e /etc/systemd/nspawn/old01.nspawn ]");
}

fn after_its_own_update_the_original_serves_a_jail_again(suite: &Suite) {
    let machine = with_container(suite);
    machine.run("bkctld update old01; bkctld stop old01");
    machine.update_by_original("old01");
    machine.start_container("old01", PORT);
    machine.assert_original_serves("old01");
    assert_eq!(machine.ssh_known(PORT, "cat /var/backup/home/notes").as_deref(), Some("notes"));
}

fn the_original_serves_a_jail_that_bkctld_made(suite: &Suite) {
    let machine = Machine::with_program(suite);
    machine.bring_original();
    machine.run("bkctld init new01; bkctld port new01 2603; bkctld key new01 /root/client_key.pub");
    machine.know_host_keys("/backup/jails/new01/rootfs", 2603);
    machine.update_by_original("new01");
    machine.start_container("new01", 2603);
    machine.assert_original_serves("new01");
    machine.ssh_known(2603, "echo x >/var/backup/pushed").expect("a session");
    machine.run("[ -e /backup/jails/new01/data/pushed ]");
    machine.run("bkctld --force remove new01");
    machine.assert_nothing_of_container("new01");
    machine.assert_no_container("new01");
}

fn rename_and_archive_leave_nothing_of_the_container(suite: &Suite) {
    let machine = with_container(suite);
    machine.run("bkctld rename old01 old02");
    machine.assert_ours("old02");
    machine.assert_nothing_of_container("old01");
    machine.assert_original_answers(PORT);
    machine.make_container_jail("old03", 2605);
    machine.run("bkctld --force archive old03");
    machine.assert_nothing_of_container("old03");
    machine.assert_no_container("old03");
    machine.run("[ -e /backup/archives/old03/data/home/notes ]");
}

fn remove_deletes_the_container_too(suite: &Suite) {
    let machine = with_container(suite);
    machine.run("bkctld --force remove all");
    machine.assert_nothing_of_container("old01");
    machine.assert_no_container("old01");
}
