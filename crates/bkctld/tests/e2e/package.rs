//! What the Debian package adds to the program. That the package works is shown by the tests on whole machines in
//! `machines/`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::*;

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Whether no cron job below this directory runs `bkctld inc`.
fn no_cron_job(root: &Path) -> Ran {
    let mut command = Command::new(repository().join("systemd/no-cron-job"));
    command.env("CRON_ROOT", root).arg("inc");
    run(command)
}

#[apply(as_root)]
fn a_cron_job_of_the_original_is_found_wherever_it_is() {
    let server = Server::plain();
    for (file, line, found) in [
        ("etc/cron.d/bkctld", "30 11 * * * root /usr/sbin/bkctld inc && /usr/sbin/bkctld rm", true),
        ("etc/cron.d/bkctld", "30 11 * * * root /usr/lib/bkctld/bkctld-inc", true),
        ("etc/cron.d/bkctld", "0 1 * * * root bkctld -q --config /etc/other inc; true", true),
        ("etc/crontab", "0 1 * * * root bkctld inc >/dev/null 2>&1", true),
        ("var/spool/cron/crontabs/root", "@daily bkctld inc", true),
        ("etc/cron.daily/backup", "bkctld inc", true),
        ("etc/cron.d/bkctld", "# 30 11 * * * root bkctld inc", false),
        ("etc/cron.d/bkctld", "0 * * * * root bkctld inc-lock all", false),
        ("etc/cron.d/bkctld", "0 * * * * root bkctld list; inc", false),
        ("etc/cron.d/bkctld", "0 * * * * root bkctld rm", false),
        // cron does not read these.
        ("etc/cron.d/bkctld.dpkg-old", "0 * * * * root bkctld inc", false),
    ] {
        let root = server.path("cron");
        let file = root.join(file);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        write(&file, format!("MAILTO=root\n{line}\n"));
        let said = no_cron_job(&root);
        match found {
            true => drop(said.exits(1).says(file.to_str().unwrap())),
            false => drop(said.ok().silent()),
        }
        fs::remove_dir_all(root).unwrap();
    }
    no_cron_job(&server.path("nothing")).ok().silent();
}

#[apply(as_root)]
fn the_units_run_commands_that_there_are() {
    let help = Server::plain().bkctld(&["--help"]).ok().out();
    let mut count = 0;
    for unit in fs::read_dir(repository().join("systemd")).unwrap().map(|entry| entry.unwrap().path()) {
        let text = fs::read_to_string(&unit).unwrap();
        for line in text.lines().filter(|line| line.starts_with("Exec") && !line.contains("/bkctld run ")) {
            for command in line.split("/usr/sbin/bkctld ").skip(1) {
                let command = command.split(' ').find(|word| !word.starts_with('-')).unwrap();
                assert!(help.contains(&format!("\n  {command} ")), "{}: {line}", unit.display());
                count += 1;
            }
        }
    }
    assert!(count >= 5, "only {count} were found");
}
