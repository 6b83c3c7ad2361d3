//! What changes under a jail that runs: its port, its configuration, its unit, its name.

use crate::host;
use crate::machine::{Machine, Session};
use crate::suite::Suite;

super::tests![
    a_reload_takes_a_new_port_and_keeps_sessions,
    systemctl_reload_takes_a_new_port,
    a_reload_that_fails_says_why_and_changes_nothing,
    another_configuration_has_its_own_jails,
    an_installed_unit_is_used_as_it_is,
    rename_takes_the_unit_along,
];

const SSHD_CONFIG: &str = "/backup/jails/web01/rootfs/etc/ssh/sshd_config";

fn a_reload_takes_a_new_port_and_keeps_sessions(suite: &Suite) {
    let machine = Machine::with_program(suite);
    machine.make_jail("web01", 2222);
    let mut session = Session::open(&machine, 2222);
    let listener = machine.main_pid("web01");
    machine.run("bkctld port web01 2300");
    session.assert_alive();
    session.close();
    machine.assert_on("web01");
    assert_eq!(machine.main_pid("web01"), listener);
    machine.assert_answers(2300);
    assert!(!machine.answers(2222), "the old port is open");
}

fn systemctl_reload_takes_a_new_port(suite: &Suite) {
    let machine = Machine::with_program(suite);
    machine.make_jail("web01", 2300);
    let mut session = Session::open(&machine, 2300);
    machine.run(&format!("sed -i 's/^Port .*/Port 2222/' {SSHD_CONFIG}; systemctl reload bkctld@web01"));
    machine.until_answers(5, 2222);
    machine.assert_on("web01");
    session.assert_alive();
    session.close();
}

fn a_reload_that_fails_says_why_and_changes_nothing(suite: &Suite) {
    let machine = Machine::with_program(suite);
    machine.make_jail("web01", 2222);
    machine.run(&format!("cp -p {SSHD_CONFIG} /root/good; echo 'NoSuchOption yes' >>{SSHD_CONFIG}"));
    machine.refuses(15, "NoSuchOption", "bkctld reload web01");
    machine.run(&format!("cp -p /root/good {SSHD_CONFIG}"));
    machine.assert_answers(2222);
    machine.assert_on("web01");
    machine.run("bkctld reload web01");
}

fn another_configuration_has_its_own_jails(suite: &Suite) {
    let machine = Machine::with_program(suite);
    machine.make_jail("web01", 2222);
    machine.run("mkdir -p '/srv/b 100%/jails' '/srv/b 100%/incs'");
    machine.write(
        "/srv/an other 100%.conf",
        "BACKUP_PARTITION=\"/srv/b 100%\"\nCONFDIR=/srv/etc\nDATADIR=/srv/lib\nLOCKDIR=/srv/lock\n",
    );
    let other = |arguments: &str| format!("bkctld --config '/srv/an other 100%.conf' {arguments}");
    machine.run(&other("init web02"));
    machine.run(&other("port web02 2400"));
    machine.run(&other("key web02 /root/client_key.pub"));
    machine.run(&other("start web02"));
    machine.assert_answers(2400);
    machine.assert_answers(2222);
    machine.run(&other("init web01"));
    machine.run(&other("port web01 2500"));
    machine.refuses(10, "another configuration", &other("start web01"));
    machine.run(&other("stop web01"));
    machine.assert_on("web01");
    machine.run(&other("--force remove all"));
    assert_eq!(machine.run("systemctl list-units --no-legend 'bkctld@web02*'"), "", "the unit is left");
    machine.assert_on("web01");
}

/// A machine where the unit of the repository is installed, with another place for the program.
fn with_installed_unit(suite: &Suite) -> Machine {
    let machine = Machine::with_program(suite);
    machine.run(
        "bkctld init web01; bkctld key web01 /root/client_key.pub; bkctld start web01; bkctld stop web01",
    );
    let unit = std::fs::read_to_string(host::checkout().join("systemd/bkctld@.service")).unwrap();
    machine.write(
        "/usr/lib/systemd/system/bkctld@.service",
        &unit.replace("/usr/sbin/bkctld", "/usr/bin/bkctld"),
    );
    machine.run("cp /usr/sbin/bkctld /usr/bin/bkctld; rm '/run/systemd/system/bkctld@.service'; systemctl daemon-reload");
    machine.run("bkctld start web01; systemctl enable --quiet bkctld@web01");
    machine
}

fn an_installed_unit_is_used_as_it_is(suite: &Suite) {
    let machine = with_installed_unit(suite);
    let unit = machine.run("readlink -f \"$(systemctl show --value --property FragmentPath bkctld@web01)\"");
    assert!(unit.starts_with("/usr/lib/"), "{unit}");
    let program = machine.run(&format!("readlink /proc/{}/exe", machine.main_pid("web01")));
    assert_eq!(program, "/usr/bin/bkctld");
    machine.assert_answers(2222);
    machine.assert_on("web01");
}

fn rename_takes_the_unit_along(suite: &Suite) {
    let machine = with_installed_unit(suite);
    machine.run("bkctld rename web01 www01");
    machine.assert_on("www01");
    machine.assert_answers(2222);
    machine.assert_enabled("bkctld@www01", "enabled");
    machine.assert_enabled("bkctld@web01", "disabled");
    assert_eq!(
        machine.run("systemctl list-units --all --no-legend 'bkctld@web01*'"),
        "",
        "the old unit is left"
    );
    machine.run("bkctld rename www01 web01");
    machine.assert_on("web01");
    machine.assert_answers(2222);
}
