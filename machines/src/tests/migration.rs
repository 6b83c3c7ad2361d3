//! Every step of docs/migration.md, in its order, on a server with a jail of each sort, and back.

use std::fs;

use crate::host;
use crate::machine::Machine;
use crate::original::Original;
use crate::suite::Suite;

super::tests![the_steps_of_the_page_lead_over_and_the_original_brings_it_back];

const JAILS: [(&str, u16); 3] = [("web01", 2701), ("web02", 2702), ("web03", 2703)];

/// The blocks of the page that are commands.
pub fn steps() -> Vec<String> {
    let page = fs::read_to_string(host::checkout().join("docs/migration.md")).unwrap();
    let blocks = page.split("\n```console\n").skip(1);
    blocks.map(|block| block.split_once("\n```").expect("an end").0.to_owned()).collect()
}

fn the_steps_of_the_page_lead_over_and_the_original_brings_it_back(suite: &Suite) {
    let machine = Machine::with_program(suite);
    machine.bring_original();
    machine.make_container_jail("web01", 2701);
    machine.make_container_jail("web02", 2702);
    machine.make_chroot_jail("web03", 2703);
    // A policy at its old place.
    machine.run("rm -r /etc/evobackup/web01.d; printf '+%%Y-%%m-%%d.-0day\\n' >/etc/evobackup/web01");

    let steps = steps();
    assert!(steps.len() >= 9, "only {} steps", steps.len());
    for step in steps {
        machine.run(&step);
        for (_, port) in JAILS {
            let is_off = step.contains("stop all");
            assert_eq!(machine.original_answers(port), !is_off, "port {port} after: {step}");
        }
    }

    for (jail, _) in JAILS {
        machine.assert_off(jail);
        machine.assert_nothing_of_container(jail);
        assert_eq!(machine.run(&format!("bkctld jail-version {jail}")), "2");
        machine.run(&format!("[ -L /etc/evobackup/{jail} ]"));
        machine.update_by_original(jail);
        machine.run(&format!("systemctl start systemd-nspawn@{jail}"));
    }
    for (_, port) in JAILS {
        machine.until_original_answers(port);
    }
    for (jail, _) in JAILS {
        machine.assert_original_serves(jail);
    }
    machine.run("bkctld start all");
    for (jail, port) in JAILS {
        machine.assert_ours(jail);
        machine.assert_original_answers(port);
    }
}
