//! `bkctld@J.service`, where systemd is the server's init.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use bkctld_core::config::DEFAULT_FILE;
use bkctld_core::error::{Error, IoContext, Result};
use bkctld_core::{Jail, Settings, file, text};

/// The unit that the package installs.
const UNIT: &str = include_str!("../../../../systemd/bkctld@.service");
const INSTALLED_PROGRAM: &str = "/usr/bin/bkctld";

/// Units that are gone after the next boot.
const RUNTIME_UNITS: &str = "/run/systemd/system";

/// Whether systemd is this server's init: sd_booted(3).
pub fn is_init() -> bool {
    Path::new(RUNTIME_UNITS).is_dir()
}

/// Starts the jail's unit; returns when its listener has said that it is ready.
pub fn start(settings: &Settings, jail: &Jail) -> Result<()> {
    provide_unit(settings)?;
    succeed("start", &systemctl(["start", &unit(jail)])?)
}

/// Stops the jail's unit; returns when its processes are gone.
pub fn stop(jail: &Jail) -> Result<()> {
    succeed("stop", &systemctl(["stop", &unit(jail)])?)
}

/// Whether systemd runs the jail or is about to run it again.
pub fn has(jail: &Jail) -> Result<bool> {
    let output = systemctl(["is-active", &unit(jail)])?;
    // An inactive unit's name goes with exit status 3; "activating" is one that is restarted.
    Ok(matches!(output.stdout.trim_ascii(), b"active" | b"activating" | b"reloading" | b"deactivating"))
}

fn unit(jail: &Jail) -> String {
    format!("bkctld@{}.service", jail.name())
}

fn systemctl<const N: usize>(arguments: [&str; N]) -> Result<Output> {
    Command::new("systemctl").args(arguments).output().context("cannot run", "systemctl")
}

fn succeed(action: &str, output: &Output) -> Result<()> {
    if output.status.success() {
        return Ok(());
    }
    Err(Error::Program {
        program: format!("systemctl {action}"),
        reason: text::printable(output.stderr.trim_ascii()).into_owned(),
    })
}

/// Where no package has installed the unit (a program built by hand), one is put among those that
/// last until the next boot. Ours there is replaced, an installed one is left alone.
fn provide_unit(settings: &Settings) -> Result<()> {
    let ours = Path::new(RUNTIME_UNITS).join("bkctld@.service");
    let found = systemctl(["show", "--property=FragmentPath", "--value", "bkctld@x.service"])?;
    let fragment = PathBuf::from(OsStr::new(String::from_utf8_lossy(found.stdout.trim_ascii()).as_ref()));
    if !fragment.as_os_str().is_empty() && fragment != ours {
        return Ok(());
    }
    let wanted = unit_for(settings, &std::env::current_exe().context("cannot find", "this program")?);
    if file::read_if_there(&ours)?.as_deref() == Some(wanted.as_bytes()) {
        return Ok(());
    }
    file::replace(&ours, 0o644, wanted.as_bytes())?;
    succeed("daemon-reload", &systemctl(["daemon-reload"])?)
}

fn unit_for(settings: &Settings, program: &Path) -> String {
    let mut unit = UNIT.replace(INSTALLED_PROGRAM, &program.to_string_lossy());
    if let Some(config) = settings.file.as_deref().filter(|config| *config != Path::new(DEFAULT_FILE)) {
        let line = format!("[Service]\nEnvironment=\"BKCTLD_CONFIG={}\"", config.display());
        unit = unit.replacen("[Service]", &line, 1);
    }
    unit
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_for_a_program_built_by_hand_names_it_and_its_configuration() {
        let settings = Settings { file: Some("/srv/conf".into()), ..Settings::default() };
        let unit = unit_for(&settings, Path::new("/opt/bkctld"));
        assert!(unit.contains("\nExecStart=/opt/bkctld run %i\n"), "{unit}");
        assert!(
            unit.contains("\n[Service]\nEnvironment=\"BKCTLD_CONFIG=/srv/conf\"\nType=notify\n"),
            "{unit}"
        );
        assert!(!unit_for(&Settings::default(), Path::new("/opt/bkctld")).contains("BKCTLD_CONFIG"));
    }
}
