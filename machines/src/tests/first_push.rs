//! From a fresh partition to the first push and the first inc, by the README's own commands and nothing else.

use std::fs;

use crate::host;
use crate::machine::Machine;
use crate::suite::Suite;

super::tests![the_commands_of_the_readme_lead_to_a_first_inc];

/// The blocks of the README's section "First jail", in their order: a jail, a push, an inc.
fn blocks() -> [String; 3] {
    let readme = fs::read_to_string(host::checkout().join("README.md")).unwrap();
    let section =
        readme.split("\n## ").find_map(|section| section.strip_prefix("First jail\n")).expect("the section");
    let blocks = section.split("\n```").skip(1).step_by(2);
    let blocks: Vec<String> = blocks.map(|block| block.split_once('\n').unwrap().1.to_owned()).collect();
    blocks.try_into().expect("three blocks")
}

fn the_commands_of_the_readme_lead_to_a_first_inc(suite: &Suite) {
    let [make_a_jail, push, make_an_inc] = blocks();
    let machine = Machine::with_package_at_hand_and_fresh_partition(suite);

    // On a server without jails, init refuses while nothing is mounted.
    machine.run(&format!("rm -rf /root/.ssh; apt-get --yes install {}; mkdir -p /backup", Machine::PACKAGE));
    machine.run("ssh-keygen -q -t ed25519 -N '' -C web01 -f /root/web01");
    machine.refuses(10, "mount the backup partition", "bkctld init web01");
    assert_eq!(machine.run("ls /backup"), "", "something was made below the mount point");

    machine.run("mount --bind /mnt/volume /backup");
    assert_eq!(machine.run("ls -A /backup"), "lost+found");
    machine.run(&make_a_jail);
    machine.assert_on("web01");
    let modes = machine.run("stat -c '%a %U' /backup/jails /backup/incs /backup/jails/web01 | uniq");
    assert_eq!(modes, "700 root");

    // The client knows the server by name, and its key.
    machine.run(
        "echo '127.0.0.1 backup.example.org' >>/etc/hosts
        mkdir -m 700 /root/.ssh
        printf 'IdentityFile /root/web01\\nBatchMode yes\\n' >/root/.ssh/config
        ssh-keyscan -p 2222 backup.example.org >/root/.ssh/known_hosts
        echo home >/home/file",
    );
    machine.run(&push);
    for pushed in ["etc", "home"] {
        let differences = machine.run(&format!(
            "rsync -aHAXn --numeric-ids --delete --itemize-changes /{pushed}/ /backup/jails/web01/data/{pushed}/"
        ));
        assert_eq!(differences, "", "{pushed} has not arrived whole");
    }

    machine.run(&make_an_inc);
    assert_eq!(machine.run("ls /backup/incs/web01 | wc -l"), "1");
    machine.run("diff -r --no-dereference /etc \"$(echo /backup/incs/web01/20*)/data/etc\"");
    machine.run("bkctld check-incs last; bkctld check-setup");
    machine.assert_no_failed_unit();

    machine.run("bkctld --force remove all; dpkg --purge bkctld");
    machine.assert_no_process();
    machine.run("umount /backup");
}
