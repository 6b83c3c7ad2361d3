//! A listener, or a supervisor with one, for a jail that a test has made: what the program's `run`
//! does, without its configuration. Tests start it as a process of its own, because a listener forks
//! and so can have no threads.
//!
//! `jail-service run|supervised|supervise BASE JAIL`; reads `BASE/JAIL.conf`, lines of `key=value`.
#![forbid(unsafe_code)]

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use bkctld_core::config::{Isolation, SessionLimits};
use bkctld_core::error::{Error, IoContext, Result};
use bkctld_core::syslog::SystemLog;
use bkctld_core::{Jail, Settings};
use bkctld_sandbox::{ListenerConfig, Service, run, supervise};

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
    let settings =
        Settings { data_dir: base.join("lib"), lock_dir: base.join("lock"), ..Settings::on_partition(base) };
    let jail = Jail::open(&settings, name.parse()?)?;
    // Nothing for the log of the machine that runs the tests.
    let log = SystemLog::new(0);
    if mode == "supervise" {
        let args = ["supervised".into(), base.into(), name.into()];
        return supervise(&jail, &log, std::path::Path::new("/proc/self/exe"), &args);
    }
    let service = Service {
        runtime: settings.data_dir.join("runtime/current"),
        sshd_config: settings.sshd_config.clone(),
        log,
        log_to_stderr: mode == "run",
        supervised: mode == "supervised",
        jail,
    };
    let conf = base.join(format!("{name}.conf"));
    // Nothing replaces this program.
    run(&service, &|| read(&conf)).map(|_| ())
}

fn read(path: &Path) -> Result<ListenerConfig> {
    let bad = |what: &str| Error::Invalid(format!("{}: bad {what}", path.display()));
    let mut config = ListenerConfig {
        log_level: None,
        port: "2222".parse()?,
        listen: Vec::new(),
        allowed: Vec::new(),
        isolation: Isolation::Full,
        limits: SessionLimits::default(),
    };
    for line in fs::read_to_string(path).context("cannot read", path)?.lines() {
        let (key, value) = line.split_once('=').ok_or_else(|| bad("line"))?;
        match key {
            "port" => config.port = value.parse()?,
            "listen" => config.listen.push(value.parse().map_err(|_| bad(key))?),
            "allowed" => config.allowed.push(value.parse().map_err(|_| bad(key))?),
            "isolation" if value == "compat" => config.isolation = Isolation::Compat,
            "per_jail" => config.limits.per_jail = value.parse().map_err(|_| bad(key))?,
            "per_source" => config.limits.per_source = value.parse().map_err(|_| bad(key))?,
            "max_penalty" => config.limits.max_penalty = value.parse().map_err(|_| bad(key))?,
            "exempt" => config.limits.penalty_exempt.push(value.parse().map_err(|_| bad(key))?),
            _ => return Err(bad(key)),
        }
    }
    Ok(config)
}
