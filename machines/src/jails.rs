//! What tests ask of the jails of a machine.

use crate::machine::Machine;
use crate::run::within;

impl Machine {
    /// Installs packages, which are files.
    #[track_caller]
    pub fn install(&self, packages: &str) -> String {
        self.run(&format!("dpkg -i {packages} 2>&1"))
    }

    /// Makes a jail on this port, with the client's key, and starts it.
    #[track_caller]
    pub fn make_jail(&self, name: &str, port: u16) {
        self.run(&format!(
            "bkctld init {name}; bkctld port {name} {port}; bkctld key {name} /root/client_key.pub; bkctld start {name}"
        ));
        self.assert_on(name);
    }

    /// Whether a client can log in and run a command.
    pub fn answers(&self, port: u16) -> bool {
        self.ssh(port, "echo hello").is_some_and(|words| words == "hello")
    }

    /// What a command prints in a session; nothing if the session fails.
    pub fn ssh(&self, port: u16, command: &str) -> Option<String> {
        let output = self.attempt(&format!("ssh -p {port} root@localhost '{command}'"));
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
    }

    /// Panics unless a client can log in.
    #[track_caller]
    pub fn assert_answers(&self, port: u16) {
        let hello = self.run(&format!("ssh -p {port} root@localhost 'echo hello'"));
        assert_eq!(hello, "hello");
    }

    /// A property of the jail's unit.
    #[track_caller]
    pub fn property(&self, jail: &str, property: &str) -> String {
        self.run(&format!("systemctl show --value --property {property} bkctld@{jail}"))
    }

    /// The process of the jail's listener.
    #[track_caller]
    pub fn main_pid(&self, jail: &str) -> String {
        self.property(jail, "MainPID")
    }

    /// Panics unless systemd and each command that shows a state say that the jail is on.
    #[track_caller]
    pub fn assert_on(&self, jail: &str) {
        self.run(&format!("systemctl is-active --quiet bkctld@{jail}"));
        self.run(&format!("bkctld is-on {jail}"));
        assert!(self.run(&format!("bkctld --no-header status {jail}")).contains(" ON "), "status says off");
    }

    /// Panics unless systemd and each command that shows a state say that the jail is off.
    #[track_caller]
    pub fn assert_off(&self, jail: &str) {
        self.fail(&format!("systemctl is-active --quiet bkctld@{jail}"));
        assert_eq!(self.attempt(&format!("bkctld is-on {jail}")).status.code(), Some(100), "is-on");
        assert!(self.run(&format!("bkctld --no-header status {jail}")).contains(" OFF "), "status says on");
    }

    /// Waits until the jail is on.
    #[track_caller]
    pub fn until_on(&self, seconds: u64, jail: &str) {
        self.within(seconds, &format!("bkctld is-on {jail}"));
    }

    /// Waits until a client can log in.
    #[track_caller]
    pub fn until_answers(&self, seconds: u64, port: u16) {
        within(seconds, "an answer", || self.answers(port));
    }

    /// Waits until `status` of the jail shows this among its sessions.
    #[track_caller]
    pub fn until_status_shows(&self, jail: &str, words: &str) {
        self.within(10, &format!("bkctld --json status {jail} | grep -q '{words}'"));
    }

    /// Panics if a listener, a monitor or an init of ours runs.
    #[track_caller]
    pub fn assert_no_process(&self) {
        let found = self.run(
            "for exe in /proc/[0-9]*/exe; do
                case $(readlink \"$exe\" || true) in *bkctld*) tr '\\0' ' ' <\"${exe%exe}cmdline\" ;; esac
            done",
        );
        assert_eq!(found, "", "it runs");
    }

    /// Panics if a unit of ours has failed.
    #[track_caller]
    pub fn assert_no_failed_unit(&self) {
        let failed = self.run("systemctl list-units --failed --no-legend --plain 'bkctld*'");
        let status = || self.run("systemctl status 'bkctld*' || true");
        assert!(failed.is_empty(), "failed: {failed}\n{}", status());
    }

    /// Panics if systemd complains of a unit of ours.
    #[track_caller]
    pub fn assert_no_warning_about_units(&self) {
        self.fail("journalctl --quiet _PID=1 | grep -i 'bkctld.*\\(unknown\\|ignor\\|obsolete\\|failed to parse\\)'");
    }

    /// Panics unless the unit is enabled, disabled, masked.
    #[track_caller]
    pub fn assert_enabled(&self, unit: &str, state: &str) {
        assert_eq!(self.run(&format!("systemctl is-enabled {unit} || true")), state, "{unit}");
    }

    /// Panics unless the unit is active, inactive, failed.
    #[track_caller]
    pub fn assert_active(&self, unit: &str, state: &str) {
        assert_eq!(self.run(&format!("systemctl is-active {unit} || true")), state, "{unit}");
    }

    /// Panics unless dpkg has the package installed whole.
    #[track_caller]
    pub fn assert_installed(&self) {
        let status = self.run("dpkg-query --show --showformat '${Status}' bkctld");
        assert_eq!(status, "install ok installed");
    }

    /// Panics if a path is there.
    #[track_caller]
    pub fn assert_gone(&self, path: &str) {
        self.run(&format!("[ ! -e '{path}' ] && [ ! -L '{path}' ] || {{ ls -ld '{path}'; exit 1; }}"));
    }
}
