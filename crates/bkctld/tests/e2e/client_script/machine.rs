//! A client machine as its administrator sees it: files, a key, a script and its settings.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::support::run::{Running, start};
use crate::support::{Ran, Server, run, sh, write, write_program};

/// What runs the script.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Shell {
    Dash,
    /// With busybox's own programs, too.
    Busybox,
    /// Another one, by this command.
    Other(&'static str),
}

/// A client machine: a tree of files, a key, a place for the script and what it needs.
pub struct Machine<'s> {
    server: &'s Server,
    pub dir: PathBuf,
    pub shell: Shell,
}

impl<'s> Machine<'s> {
    /// The client of a jail that is on, with a script for these servers.
    pub fn new(server: &'s Server, shell: Shell, jail: &str, servers: &[&str]) -> Machine<'s> {
        server.started(jail);
        let dir = server.path(&format!("machine-{jail}"));
        let machine = Machine { server, dir, shell };
        for dir in ["root/etc", "root/tmp", "root/proc", "root/home/ann", "hooks", "bin", "log", "tmp"] {
            fs::create_dir_all(machine.path(dir)).unwrap();
        }
        write(&machine.path("root/etc/hosts"), "127.0.0.1 localhost\n");
        write(&machine.path("root/home/ann/diary"), "a day\n");
        write(&machine.path("root/tmp/scratch"), "scratch");
        write(&machine.path("root/proc/version"), "of the kernel");
        // Whoever sends mail here: the whole mail in a file.
        machine.program("bin/mail", r#"{ echo "$@"; cat; } >>"${0%/bin/mail}/mails""#);
        if shell == Shell::Busybox {
            fs::create_dir(machine.path("busybox")).unwrap();
            sh(&format!("busybox --install -s {}", machine.path("busybox").display()));
        }
        machine.set("");
        machine.take_script(jail, servers);
        machine
    }

    pub fn path(&self, below: &str) -> PathBuf {
        self.dir.join(below)
    }

    pub fn take_script(&self, jail: &str, servers: &[&str]) {
        let printed = self.server.bkctld(&[&["client", jail], servers].concat()).ok();
        assert!(printed.stderr.is_empty(), "{}", printed.told());
        fs::write(self.path("backup.sh"), printed.stdout).unwrap();
    }

    /// What the administrator of the machine has changed, and more of it.
    pub fn set(&self, more: &str) {
        let dir = self.dir.display();
        let key = self.server.path("client-web01/id");
        let text = format!(
            "ROOT={dir}/root\nKEY={}\nLOG={dir}/log/backup.log\nLOCK={dir}/lock\nHOOKS={dir}/hooks\n\
             DUMPS={dir}/root/dumps\nTIMEOUT=10\n{more}\n",
            key.display()
        );
        fs::write(self.path("client.conf"), text).unwrap();
    }

    pub fn program(&self, name: &str, script: &str) {
        write_program(&self.path(name), format!("#!/bin/sh\n{script}\n"));
    }

    pub fn command(&self) -> Command {
        let words = match self.shell {
            Shell::Dash => "dash",
            Shell::Busybox => "busybox sh",
            Shell::Other(words) => words,
        };
        let mut words = words.split(' ');
        let mut command = Command::new(words.next().unwrap());
        self.server.environment(&mut command);
        command.env("PATH", format!("{0}/bin:{0}/busybox:/usr/bin:/bin", self.dir.display()));
        command.env("TMPDIR", self.path("tmp")).env("BKCTLD_CLIENT_CONFIG", self.path("client.conf"));
        command.args(words).arg(self.path("backup.sh"));
        command
    }

    pub fn backup(&self) -> Ran {
        run(self.command())
    }

    pub fn begin(&self) -> Running {
        start(self.command(), b"")
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.path("log/backup.log")).unwrap_or_default()
    }

    #[track_caller]
    pub fn logged(&self, words: &str) {
        assert!(self.log().contains(words), "'{words}' is not in the log:\n{}", self.log());
    }

    /// The mails so far, which are thereby read.
    pub fn mails(&self) -> String {
        let mails = fs::read_to_string(self.path("mails")).unwrap_or_default();
        let _ = fs::remove_file(self.path("mails"));
        mails
    }

    /// What the jail has of a file.
    pub fn sent(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.server.data("web01").join(name)).ok()
    }
}

/// Has the script not find a program that this host may have.
pub fn lacking(program: &str) -> String {
    format!("command() {{ [ \"$2\" != '{program}' ] && type \"$2\" >/dev/null 2>&1; }}")
}
