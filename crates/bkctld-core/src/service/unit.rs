//! `bkctld@J.service`, where systemd is the server's init.

use std::path::{Path, PathBuf};

use crate::config::{DEFAULT_FILE, Settings};
use crate::error::{Error, IoContext, Result};
use crate::jail::Jail;
use crate::{file, systemctl};

/// The unit that the package installs.
const UNIT: &str = include_str!("../../../../systemd/bkctld@.service");
const INSTALLED_PROGRAM: &str = "/usr/sbin/bkctld";

/// Units that are gone after the next boot.
const RUNTIME_UNITS: &str = "/run/systemd/system";

/// Starts the jail's unit; returns when its listener has said that it is ready.
///
/// # Errors
/// What the listener says against starting. The unit is stopped then: a jail that was reported not
/// to start must not come up, or fill the journal, behind the administrator's back.
pub fn start(settings: &Settings, jail: &Jail) -> Result<()> {
    if is_active(jail)? && !has(settings, jail)? {
        let message = format!("{} runs a jail of this name from another configuration", unit(jail));
        return Err(Error::service(message).with_hint("stop that one first"));
    }
    provide_unit(settings, jail)?;
    let output = systemctl::output(["start", &unit(jail)])?;
    if !output.status.success() {
        let why = systemctl::property(&unit(jail), "StatusText")?;
        stop(jail)?;
        if !why.is_empty() {
            return Err(Error::service(why));
        }
        return systemctl::check("start", &output);
    }
    if jail.is_listening()? {
        return Ok(());
    }
    let unit = unit(jail);
    Err(Error::service(format!("{unit} is active, but not with this configuration"))
        .with_hint(format!("see 'systemctl cat {unit}'")))
}

/// Stops the jail's unit; returns when its processes are gone.
pub fn stop(jail: &Jail) -> Result<()> {
    let unit = unit(jail);
    systemctl::run(["stop", &unit])?;
    // A listener that was killed before would be remembered as a failed unit for ever, even after
    // the jail was removed. Fails where systemd has forgotten the unit, which is what is wanted.
    systemctl::output(["reset-failed", &unit])?;
    Ok(())
}

/// Forgets a jail that is stopped and goes for good: a unit that the administrator has enabled would
/// fail at each boot.
pub fn forget(settings: &Settings, jail: &Jail) -> Result<()> {
    if is_active(jail)? && !has(settings, jail)? {
        return Ok(());
    }
    if is_enabled(jail)? {
        systemctl::run(["disable", "--quiet", &unit(jail)])?;
    }
    if provide(&configuration_file(jail), None)? {
        systemctl::run(["daemon-reload"])?;
    }
    Ok(())
}

/// Whether the administrator has enabled the jail's unit.
pub fn is_enabled(jail: &Jail) -> Result<bool> {
    Ok(systemctl::property(&unit(jail), "UnitFileState")? == "enabled")
}

/// Has systemd start the jail's unit at boot.
pub fn enable(jail: &Jail) -> Result<()> {
    systemctl::run(["enable", "--quiet", &unit(jail)])
}

/// Whether systemd runs the jail or is about to run it again. A unit of this name may also be that
/// of another configuration's jail.
pub fn has(settings: &Settings, jail: &Jail) -> Result<bool> {
    if !is_active(jail)? {
        return Ok(false);
    }
    let said = file::read_if_there(&configuration_file(jail))?;
    Ok(jail.is_listening()? || said.as_deref() == configuration(settings).as_deref().map(str::as_bytes))
}

fn is_active(jail: &Jail) -> Result<bool> {
    Ok(systemctl::state(&unit(jail))? != systemctl::State::Down)
}

fn unit(jail: &Jail) -> String {
    format!("bkctld@{}.service", jail.name())
}

/// Where no package has installed the unit (a program built by hand), one is put among those that
/// last until the next boot. Ours there is replaced, an installed one is left alone. What another
/// configuration than the usual one needs is said for the jail's own unit only, as two configurations
/// may be in use at once.
fn provide_unit(settings: &Settings, jail: &Jail) -> Result<()> {
    let ours = Path::new(RUNTIME_UNITS).join("bkctld@.service");
    let fragment = PathBuf::from(systemctl::property("bkctld@x.service", "FragmentPath")?);
    let mut changed = false;
    if fragment.as_os_str().is_empty() || fragment == ours {
        let program = std::env::current_exe().context("cannot find", "this program")?;
        changed |= provide(&ours, Some(UNIT.replace(INSTALLED_PROGRAM, &quoted(&program))))?;
    }
    changed |= provide(&configuration_file(jail), configuration(settings))?;
    if changed {
        systemctl::run(["daemon-reload"])?;
    }
    Ok(())
}

/// Makes the file what is wanted, or makes it go. True when that changed anything.
fn provide(path: &Path, wanted: Option<String>) -> Result<bool> {
    let found = file::read_if_there(path)?;
    if found.as_deref() == wanted.as_deref().map(str::as_bytes) {
        return Ok(false);
    }
    match wanted {
        Some(wanted) => {
            if let Some(parent) = path.parent() {
                file::make_dir(parent)?;
            }
            file::replace(path, 0o644, wanted.as_bytes())?;
        }
        None => std::fs::remove_file(path).context("cannot remove", path)?,
    }
    Ok(true)
}

fn configuration_file(jail: &Jail) -> PathBuf {
    Path::new(RUNTIME_UNITS).join(format!("{}.d", unit(jail))).join("configuration.conf")
}

/// The part of a unit that names the configuration; none for the one that is read anyway.
fn configuration(settings: &Settings) -> Option<String> {
    let config = settings.file.as_deref().filter(|config| *config != Path::new(DEFAULT_FILE))?;
    let variable = format!("BKCTLD_CONFIG={}", config.display());
    Some(format!("[Service]\nEnvironment={}\n", quoted(Path::new(&variable))))
}

/// A word of a unit file: systemd.syntax(7), and `%` for specifiers.
fn quoted(path: &Path) -> String {
    let mut word = String::from("\"");
    for c in path.to_string_lossy().chars() {
        match c {
            '%' => word.push_str("%%"),
            '"' | '\\' => word.extend(['\\', c]),
            _ => word.push(c),
        }
    }
    word.push('"');
    word
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_another_configuration_than_the_usual_one_is_named() {
        let with = |file: Option<&str>| {
            configuration(&Settings { file: file.map(PathBuf::from), ..Settings::default() })
        };
        let wanted = "[Service]\nEnvironment=\"BKCTLD_CONFIG=/srv/conf\"\n";
        assert_eq!(with(Some("/srv/conf")).as_deref(), Some(wanted));
        assert_eq!(with(Some(DEFAULT_FILE)), None);
        assert_eq!(with(None), None);
    }

    #[test]
    fn a_path_of_any_characters_is_one_word_of_a_unit() {
        assert_eq!(quoted(Path::new("/opt/a b/100%/\"x\\")), r#""/opt/a b/100%%/\"x\\""#);
    }

    #[test]
    fn the_unit_names_the_program_that_is_replaced_where_it_was_built_by_hand() {
        assert_eq!(UNIT.matches(INSTALLED_PROGRAM).count(), 1);
    }
}
