//! `run J` and `supervise J`: the processes behind a started jail. Nobody types
//! these. They are recognised before the command line is parsed, because an idle listener should
//! hold as little memory as it can: there may be a thousand of them.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use bkctld_core::error::IoContext;
use bkctld_core::runtime::RuntimeStore;
use bkctld_core::syslog::{Entry, Severity, SystemLog};
use bkctld_core::{Error, Jail, JailName, Settings};
use bkctld_sandbox::{ListenerEnd, ServedJail, StartedBy};
use jiff::Zoned;

use crate::cli::command_of_name;
use crate::exit::{Exit, Failure};
use crate::options::read_configuration;
use crate::ui::{Ui, Verbosity};

/// Runs the listener or its supervisor if that is what the arguments say.
pub fn run_if_asked(arguments: &[OsString]) -> Option<ExitCode> {
    // `bkctld-start run` starts the jail of that name.
    if command_of_name(arguments).is_some() {
        return None;
    }
    let daemon = match arguments.get(1).and_then(|word| word.to_str()) {
        Some("run") => listen,
        Some("supervise") => supervise,
        _ => return None,
    };
    let exit = match daemon(arguments.get(2)) {
        Ok(()) => Exit::Done,
        Err(failure) => {
            tell(arguments.get(2), &failure);
            failure.exit()
        }
    };
    Some(exit.into())
}

/// Reports why nothing runs: to the journal if systemd has started us, once and with the jail as a field;
/// otherwise to the process that started us, which logs it.
fn tell(name: Option<&OsString>, failure: &Failure) {
    if systemd() {
        let settings = read_configuration(None).map_or_else(|_| Settings::default(), |read| read.settings);
        let jail: Option<JailName> = name.and_then(|name| name.to_str()?.parse().ok());
        let entry = Entry::new(Severity::Error, failure).by("listener").about(jail.as_ref());
        if SystemLog::new(settings.log_level).send(&entry, || Zoned::now().datetime()) {
            return;
        }
    }
    Ui::new(Verbosity::Normal, false).error(failure);
}

/// Whether systemd has started this process and waits for its notification.
fn systemd() -> bool {
    std::env::var_os("NOTIFY_SOCKET").is_some()
}

fn listen(name: Option<&OsString>) -> Result<(), Failure> {
    let (settings, jail) = jail(name)?;
    // An earlier version made it for everybody, and an upgrade comes by here.
    RuntimeStore::new(&settings).close_to_others()?;
    let started_by = if systemd() { StartedBy::Systemd } else { StartedBy::Supervisor };
    let log = SystemLog::new(settings.log_level);
    let name = jail.name().clone();
    match bkctld_sandbox::listen(&ServedJail { jail, settings, log, started_by })? {
        ListenerEnd::Stopped => Ok(()),
        // In the same process, which is the one that systemd or the supervisor watches.
        ListenerEnd::Replaced(program) => {
            let error = Command::new(&program).args(["run", name.as_str()]).exec();
            Err(error).context("cannot become", &program).map_err(Failure::from)
        }
    }
}

fn supervise(name: Option<&OsString>) -> Result<(), Failure> {
    let (settings, jail) = jail(name)?;
    let log = SystemLog::new(settings.log_level);
    let arguments = [OsString::from("run"), OsString::from(jail.name().as_str())];
    // By its path, so that after an upgrade a listener that is started again is the new program, and
    // so that it bears the program's name in a list of processes.
    let program = std::env::current_exe().context("cannot find", "this program")?;
    Ok(bkctld_sandbox::supervise(&jail, &log, &program, &arguments)?)
}

fn jail(name: Option<&OsString>) -> Result<(Settings, Jail), Failure> {
    if !rustix::process::geteuid().is_root() {
        return Err(Error::refused("must be run as root").into());
    }
    let name = name.and_then(|name| name.to_str()).unwrap_or_default();
    let name: JailName = name.parse().map_err(Error::from)?;
    // Warnings were said by the command that starts the jail.
    let settings = read_configuration(None)?.settings;
    let jail = Jail::open(&settings, name)?;
    jail.require_current_format()?;
    Ok((settings, jail))
}
