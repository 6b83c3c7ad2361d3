//! A crash in a session has nothing started on a server whose core files go to systemd-coredump.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use crate::confine;
use crate::host;
use crate::machine::Machine;
use crate::run::within;
use crate::suite::Suite;

super::tests![a_crash_in_a_session_starts_no_handler_of_core_files];

/// The kernel's pattern for core files is one for all containers, and what it names is started beside this
/// machine's first process. So a program of ours stands there for as long as this lives, notes that it was
/// started for a process of the machine, and goes on into it.
struct Handler {
    /// Held by whoever has changed the pattern.
    _lock: File,
    directory: PathBuf,
}

impl Handler {
    fn put(machine: &Machine) -> Handler {
        let lock = File::create(host::cache().join("core_pattern.lock")).unwrap();
        lock.lock().unwrap();
        let directory = confine::run_directory().join("core");
        fs::create_dir_all(&directory).unwrap();
        let handler = Handler { _lock: lock, directory };
        handler.write(machine);
        // The arguments that this version of systemd-coredump takes, after its own name and the process.
        let settings = fs::read_to_string(machine.tree().join("usr/lib/sysctl.d/50-coredump.conf")).unwrap();
        let arguments = settings
            .lines()
            .find_map(|line| line.strip_prefix("kernel.core_pattern=|")?.split_once(" %P "))
            .expect("a pattern")
            .1;
        let program = handler.directory.join("handler");
        confine::set_core_pattern(&format!("|{} %P {arguments}", program.display()));
        handler
    }

    fn write(&self, machine: &Machine) {
        let started = self.started_file();
        fs::write(&started, "").unwrap();
        let program = self.directory.join("handler");
        let script = format!(
            "#!/bin/sh
            # A session is in the machine's control groups; what the test runs there is in its PID namespace only.
            grep -q '{group}' \"/proc/$1/cgroup\" || [ \"$(readlink \"/proc/$1/ns/pid\")\" = '{namespace}' ] || exit 0
            echo \"$1\" >>{started}
            # As its own namespace numbers the process.
            number=$(awk '/^NSpid:/ {{ print $NF }}' \"/proc/$1/status\")
            process=$1
            shift
            exec nsenter --target \"$process\" --mount --uts --ipc --net --pid --root \
                /lib/systemd/systemd-coredump \"$number\" \"$@\"\n",
            group = machine.control_group(),
            namespace = machine.pid_namespace(),
            started = started.display(),
        );
        fs::write(&program, script).unwrap();
        crate::run::run(
            std::process::Command::new("chmod").arg("755").args([Path::new(&self.directory), &program]),
        );
    }

    fn started_file(&self) -> PathBuf {
        self.directory.join("started")
    }

    /// How often it was started.
    fn started(&self) -> usize {
        fs::read_to_string(self.started_file()).unwrap().lines().count()
    }
}

impl Drop for Handler {
    fn drop(&mut self) {
        confine::restore_core_pattern(&confine::run_directory());
    }
}

fn a_crash_in_a_session_starts_no_handler_of_core_files(suite: &Suite) {
    let machine = Machine::with_program(suite);
    machine.make_jail("core01", 2291);
    machine.assert_answers(2291);
    let handler = Handler::put(&machine);
    // That the handler works at all: a crash outside of a jail is taken.
    machine.run("ulimit -c unlimited; sh -c 'kill -SEGV $$' || true");
    let stored = machine.tree().join("var/lib/systemd/coredump");
    within(20, "a handler that is started", || handler.started() == 1);
    within(20, "a core file that is taken", || {
        fs::read_dir(&stored).is_ok_and(|mut files| files.next().is_some())
    });
    for limit in [":", "ulimit -c unlimited", "ulimit -c 0"] {
        let session = machine.attempt(&format!("ssh -p 2291 root@localhost '{limit}; kill -SEGV $$'"));
        // What ssh says of a signal.
        assert_eq!(session.status.code(), Some(255), "{limit}: the shell has not crashed");
        // Its core would have gone through the handler before the session ended; and then some.
        std::thread::sleep(std::time::Duration::from_secs(1));
        assert_eq!(handler.started(), 1, "{limit}: a handler was started");
    }
    machine.run("bkctld --force remove core01");
    machine.assert_no_process();
}
