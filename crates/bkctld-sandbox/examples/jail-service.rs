//! A listener, or a supervisor with one, for a jail that a test has made: what the program's `run`
//! does, with the settings of a server of its own. Tests start it as a process of its own, because a listener
//! forks and so can have no threads.
//!
//! `jail-service run|supervised|supervise BASE JAIL`
#![forbid(unsafe_code)]

use std::path::Path;
use std::process::ExitCode;

use bkctld_core::error::Result;
use bkctld_core::syslog::SystemLog;
use bkctld_core::{Jail, Settings};
use bkctld_sandbox::{ServedJail, StartedBy, listen, supervise};

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [mode, base, name] = args.as_slice() else { return ExitCode::from(2) };
    match act(mode, Path::new(base), name) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = std::io::Write::write_all(&mut std::io::stderr(), format!("{error}\n").as_bytes());
            ExitCode::FAILURE
        }
    }
}

fn act(mode: &str, base: &Path, name: &str) -> Result<()> {
    let settings = Settings {
        conf_dir: base.join("conf"),
        data_dir: base.join("lib"),
        lock_dir: base.join("lock"),
        ..Settings::on_partition(base)
    };
    let jail = Jail::open(&settings, name.parse()?)?;
    // Nothing for the log of the machine that runs the tests.
    let log = SystemLog::new(0);
    if mode == "supervise" {
        let args = ["supervised".into(), base.into(), name.into()];
        return supervise(&jail, &log, Path::new("/proc/self/exe"), &args);
    }
    let started_by = if mode == "supervised" { StartedBy::Supervisor } else { StartedBy::Systemd };
    // Nothing replaces this program.
    listen(&ServedJail { jail, settings, log, started_by }).map(|_| ())
}
