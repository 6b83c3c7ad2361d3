//! The shell program 25.x on a machine: the jails that it made, and the containers in which it runs them.

use std::fs;

use crate::host;
use crate::machine::Machine;

/// Where the functions are that make its jails, which the end-to-end tests have too.
const FUNCTIONS: &str = "/root/original";

/// What the shell program does on a machine.
pub trait Original {
    /// Brings what the others need; done first.
    fn bring_original(&self);
    /// Makes a jail of the second format, in a container that runs.
    fn make_container_jail(&self, name: &str, port: u16);
    /// Makes a jail of the first format, in a chroot that runs.
    fn make_chroot_jail(&self, name: &str, port: u16);
    /// Starts the container of a jail, and waits until it answers.
    fn start_container(&self, name: &str, port: u16);
    /// Has its `update` make anew what it needs of a jail.
    fn update_by_original(&self, name: &str);
    /// Lets clients know the host keys of a root file system, which then must not change.
    fn know_host_keys(&self, root: &str, port: u16);
    /// What a client prints that knows the host keys and has IPv4 only, as the shell program serves; nothing if
    /// the session fails.
    fn ssh_known(&self, port: u16, command: &str) -> Option<String>;
    /// Whether such a client can log in.
    fn original_answers(&self, port: u16) -> bool;
    /// Panics unless such a client can log in.
    fn assert_original_answers(&self, port: u16);
    /// Waits until such a client can log in.
    fn until_original_answers(&self, port: u16);
    /// Panics unless the jail is on, in its container, and all that show it say so.
    fn assert_original_serves(&self, name: &str);
    /// Panics unless the jail is on, by our listener, and its container is off.
    fn assert_ours(&self, name: &str);
    /// Panics if its container runs.
    fn assert_no_container(&self, name: &str);
    /// Panics if anything outside of the jail is left of its container.
    fn assert_nothing_of_container(&self, name: &str);
}

impl Original for Machine {
    fn bring_original(&self) {
        let functions = host::checkout().join("crates/bkctld/tests/e2e/support/original.sh");
        self.write(FUNCTIONS, &fs::read_to_string(functions).unwrap());
    }

    fn make_container_jail(&self, name: &str, port: u16) {
        let jail = format!("/backup/jails/{name}");
        self.run(&format!(
            ". {FUNCTIONS}
            original_v2 {jail} {port}
            original_container {name} {jail}
            cp /root/client_key.pub {jail}/rootfs/root/.ssh/authorized_keys
            mkdir -p /etc/evobackup/{name}.d
            printf '+%%Y-%%m-%%d.-0day\\n' >/etc/evobackup/{name}.d/incs_policy"
        ));
        self.know_host_keys(&format!("{jail}/rootfs"), port);
        self.start_container(name, port);
    }

    fn make_chroot_jail(&self, name: &str, port: u16) {
        let jail = format!("/backup/jails/{name}");
        self.run(&format!(
            ". {FUNCTIONS}
            original_v1 {jail} {port}
            cp /root/client_key.pub {jail}/root/.ssh/authorized_keys
            mkdir -p /etc/evobackup
            printf '+%%Y-%%m-%%d.-0day\\n' >/etc/evobackup/{name}
            original_v1_start {jail}"
        ));
        self.know_host_keys(&jail, port);
        self.until_original_answers(port);
    }

    fn start_container(&self, name: &str, port: u16) {
        self.run(&format!("systemctl start systemd-nspawn@{name}"));
        self.until_original_answers(port);
    }

    fn update_by_original(&self, name: &str) {
        self.run(&format!(". {FUNCTIONS}; original_update {name} /backup/jails/{name}"));
    }

    fn know_host_keys(&self, root: &str, port: u16) {
        self.run(&format!(
            "for key in {root}/etc/ssh/ssh_host_*_key.pub; do
                echo \"[localhost]:{port} $(cut -d ' ' -f 1,2 \"$key\")\"
            done >>/root/.ssh/known_hosts"
        ));
    }

    fn ssh_known(&self, port: u16, command: &str) -> Option<String> {
        let output = self
            .attempt(&format!("ssh -4 -o StrictHostKeyChecking=yes -p {port} root@localhost '{command}'"));
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
    }

    fn original_answers(&self, port: u16) -> bool {
        self.ssh_known(port, "echo hello").as_deref() == Some("hello")
    }

    #[track_caller]
    fn assert_original_answers(&self, port: u16) {
        assert!(self.original_answers(port), "no answer on port {port}");
    }

    #[track_caller]
    fn until_original_answers(&self, port: u16) {
        crate::run::within(30, "an answer", || self.original_answers(port));
    }

    #[track_caller]
    fn assert_original_serves(&self, name: &str) {
        self.run(&format!("bkctld is-on {name}"));
        assert!(self.run(&format!("bkctld --no-header status {name}")).contains(" ON "), "status says off");
        assert_eq!(served_by(self, name), "systemd-nspawn");
        self.run(&format!("systemctl is-active --quiet systemd-nspawn@{name}"));
    }

    #[track_caller]
    fn assert_ours(&self, name: &str) {
        self.assert_on(name);
        self.assert_no_container(name);
        assert_eq!(served_by(self, name), "bkctld");
    }

    #[track_caller]
    fn assert_no_container(&self, name: &str) {
        self.fail(&format!("systemctl is-active --quiet systemd-nspawn@{name}"));
    }

    #[track_caller]
    fn assert_nothing_of_container(&self, name: &str) {
        self.assert_gone(&format!("/etc/systemd/nspawn/{name}.nspawn"));
        self.assert_gone(&format!("/var/lib/machines/{name}"));
        let unit = format!("systemd-nspawn@{name}");
        assert_ne!(self.run(&format!("systemctl show --value --property UnitFileState {unit}")), "enabled");
        let units = self.run(&format!("systemctl list-units --all --no-legend --plain '{unit}*'"));
        assert!(!units.contains("failed"), "{units}");
    }
}

/// Who serves the jail, as `status` says it.
fn served_by(machine: &Machine, name: &str) -> String {
    machine.run(&format!(
        "bkctld --json status {name} 2>/dev/null | sed -n 's/.*\"served_by\":\"\\([^\"]*\\)\".*/\\1/p'"
    ))
}
