//! The container of a jail of the second format: `systemd-nspawn@J.service`, the jail's settings in
//! `/etc/systemd/nspawn`, and a link in `/var/lib/machines` to its root file system.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustix::process::{Pid, Signal, kill_process};

use crate::error::{Error, IoContext, Result};
use crate::jail::Jail;
use crate::systemctl::State;
use crate::{file, systemctl, text};

const SETTINGS_DIR: &str = "/etc/systemd/nspawn";
const MACHINES_DIR: &str = "/var/lib/machines";

/// The directory of the jails in the settings of the original's containers, whatever `JAILDIR` was.
const JAILS_IN_SETTINGS: &str = "/backup/jails";

/// The files that the original has left outside a jail, for its container. An unrelated machine of the same
/// name is not included.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Leftovers {
    /// `/etc/systemd/nspawn/J.nspawn`.
    pub settings: Option<PathBuf>,
    /// `/var/lib/machines/J`: a link.
    pub link: Option<PathBuf>,
}

impl Leftovers {
    /// Looks for the jail's, where the original put them.
    pub fn find(jail: &Jail) -> Result<Leftovers> {
        Leftovers::find_in(jail, Path::new(SETTINGS_DIR), Path::new(MACHINES_DIR))
    }

    fn find_in(jail: &Jail, settings_dir: &Path, machines_dir: &Path) -> Result<Leftovers> {
        let link = machines_dir.join(jail.name().as_str());
        let link = leads_to(&link, &jail.rootfs())?.then_some(link);
        let settings = settings_dir.join(format!("{}.nspawn", jail.name()));
        let settings = binds(&settings, jail, link.is_some())?.then_some(settings);
        Ok(Leftovers { settings, link })
    }

    /// Whether the original has left nothing, or it was deleted since.
    pub fn is_empty(&self) -> bool {
        self.settings.is_none() && self.link.is_none()
    }

    /// The paths of all of it.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.settings.iter().chain(&self.link).map(PathBuf::as_path)
    }

    /// Deletes the files. The link is deleted last, because it shows that the others belong to the jail.
    fn delete(&self) -> Result<()> {
        for path in self.paths() {
            // If the path is a link, this deletes the link itself.
            match fs::remove_file(path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                deleted => deleted.context("cannot delete", path)?,
            }
        }
        Ok(())
    }
}

/// Whether this is a link to the directory, even if the directory does not exist.
fn leads_to(link: &Path, dir: &Path) -> Result<bool> {
    let target = match fs::read_link(link) {
        Ok(target) => target,
        // EINVAL: the path exists and is not a link.
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::InvalidInput) => {
            return Ok(false);
        }
        Err(error) => return Err(error).context("cannot read", link),
    };
    Ok(target == dir || same_place(&target, dir))
}

fn same_place(one: &Path, other: &Path) -> bool {
    matches!((one.canonicalize(), other.canonicalize()), (Ok(one), Ok(other)) if one == other)
}

/// Whether these are the settings of a container with the jail's data at `/data`.
fn binds(settings: &Path, jail: &Jail, has_link: bool) -> Result<bool> {
    let Some(content) = file::read_if_there(settings)? else { return Ok(false) };
    let text = String::from_utf8_lossy(&content);
    let sources =
        text.lines().filter_map(|line| line.trim().strip_prefix("Bind=")?.strip_suffix("/data:/data"));
    let fixed = Path::new(JAILS_IN_SETTINGS).join(jail.name().as_str());
    Ok(sources.map(Path::new).any(|source| {
        source == jail.dir() || same_place(source, jail.dir()) || (has_link && source == fixed)
    }))
}

/// The name of the jail's unit.
pub fn unit(jail: &Jail) -> String {
    format!("systemd-nspawn@{}.service", jail.name())
}

/// Whether the original's container of the jail runs. systemd is asked only where the original left
/// something of the jail.
pub fn is_active(jail: &Jail) -> Result<bool> {
    if !systemctl::is_init() || Leftovers::find(jail)?.is_empty() {
        return Ok(false);
    }
    Ok(systemctl::state(&unit(jail))? == State::Up)
}

/// Stops the container, and with it its sessions; returns when its processes are gone.
pub fn stop(jail: &Jail) -> Result<()> {
    let unit = unit(jail);
    systemctl::run(["stop", &unit])?;
    forget_failure(&unit)
}

/// systemd remembers a container whose init was killed as a failed unit. It is fine if there is no such unit.
fn forget_failure(unit: &str) -> Result<()> {
    systemctl::output(["reset-failed", unit]).map(|_| ())
}

/// Starts the container again, after [`stop`].
pub fn start(jail: &Jail) -> Result<()> {
    systemctl::run(["start", &unit(jail)])
}

/// Lets the container's sshd read its configuration again, as the original did; sessions continue.
pub fn reload(jail: &Jail) -> Result<()> {
    let main = systemctl::property(&unit(jail), "MainPID")?;
    let init = main.parse().ok().and_then(Pid::from_raw).and_then(|nspawn| children(nspawn).next());
    // A leftover process of a session is also a child of process 1, but younger.
    let sshd = init.and_then(|init| children(init).find(|child| is_sshd(*child)));
    let Some(sshd) = sshd else {
        return Err(Error::service(format!("the sshd of {} is not found", unit(jail)))
            .with_hint(format!("'bkctld restart {}' takes it over", jail.name())));
    };
    kill_process(sshd, Signal::HUP).context("cannot signal", "sshd")
}

/// The oldest child first. nspawn's child is the container's process 1, whose child is the listening sshd;
/// sessions are the children of that one.
fn children(pid: Pid) -> impl Iterator<Item = Pid> {
    let pid = pid.as_raw_nonzero();
    let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    let pids: Vec<Pid> =
        text.split_ascii_whitespace().filter_map(|word| Pid::from_raw(word.parse().ok()?)).collect();
    pids.into_iter()
}

fn is_sshd(pid: Pid) -> bool {
    fs::read(format!("/proc/{}/comm", pid.as_raw_nonzero())).is_ok_and(|comm| comm == b"sshd\n")
}

/// Disables the container's unit and deletes the original's files outside the jail; nothing in the jail is
/// touched. Returns the deleted files.
///
/// # Errors
/// A running container must be stopped first.
pub fn clear(jail: &Jail) -> Result<Leftovers> {
    let leftovers = Leftovers::find(jail)?;
    if leftovers.is_empty() {
        return Ok(leftovers);
    }
    if systemctl::is_init() {
        let unit = unit(jail);
        match systemctl::state(&unit)? {
            State::Up => {
                return Err(Error::refused(format!("{unit} runs still, so {} stays", shown(&leftovers))));
            }
            // It may need them until its end, which this waits for.
            State::Ending => systemctl::run(["stop", &unit])?,
            State::Down => {}
        }
        if systemctl::property(&unit, "UnitFileState")? == "enabled" {
            systemctl::run(["disable", "--quiet", &unit])?;
        }
        forget_failure(&unit)?;
    }
    leftovers.delete()?;
    Ok(leftovers)
}

fn shown(leftovers: &Leftovers) -> String {
    leftovers.paths().map(|path| text::path(path).to_string()).collect::<Vec<_>>().join(", ")
}

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod properties;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::Settings;

    struct Machine {
        dir: tempfile::TempDir,
        jail: Jail,
    }

    impl Machine {
        fn new() -> Machine {
            let dir = tempfile::tempdir().unwrap();
            let settings = Settings::on_partition(&dir.path().join("backup"));
            let jail = Jail::new(&settings, "web".parse().unwrap());
            for made in ["nspawn", "machines", "backup/jails/web/rootfs", "backup/jails/web/data"] {
                fs::create_dir_all(dir.path().join(made)).unwrap();
            }
            Machine { dir, jail }
        }

        fn link(&self) -> PathBuf {
            self.dir.path().join("machines/web")
        }

        fn settings(&self) -> PathBuf {
            self.dir.path().join("nspawn/web.nspawn")
        }

        fn write_settings(&self, jail_dir: &Path) {
            let jail_dir = jail_dir.display();
            let text = format!(
                "[Exec]\nProcessTwo=True\n[Files]\nBind={jail_dir}/var:/var\nBind={jail_dir}/data:/data\n"
            );
            fs::write(self.settings(), text).unwrap();
        }

        fn found(&self) -> (bool, bool) {
            let (settings, machines) = (self.dir.path().join("nspawn"), self.dir.path().join("machines"));
            let found = Leftovers::find_in(&self.jail, &settings, &machines).unwrap();
            (found.settings.is_some(), found.link.is_some())
        }
    }

    #[test]
    fn the_originals_link_and_settings_are_found_by_where_they_lead() {
        let machine = Machine::new();
        assert_eq!(machine.found(), (false, false));
        machine.write_settings(machine.jail.dir());
        assert_eq!(machine.found(), (true, false));
        symlink(machine.jail.rootfs(), machine.link()).unwrap();
        assert_eq!(machine.found(), (true, true));
        // By another path to the same directory, and to the directory of a removed jail.
        fs::remove_file(machine.link()).unwrap();
        symlink(machine.dir.path().join("backup/jails/../jails/web/rootfs"), machine.link()).unwrap();
        assert_eq!(machine.found(), (true, true));
        fs::remove_dir_all(machine.jail.dir()).unwrap();
        fs::remove_file(machine.link()).unwrap();
        symlink(machine.jail.rootfs(), machine.link()).unwrap();
        assert_eq!(machine.found(), (true, true));
    }

    #[test]
    fn settings_with_the_fixed_place_are_the_jails_only_beside_its_link() {
        let machine = Machine::new();
        machine.write_settings(Path::new("/backup/jails/web"));
        assert_eq!(machine.found(), (false, false));
        symlink(machine.jail.rootfs(), machine.link()).unwrap();
        assert_eq!(machine.found(), (true, true));
    }

    #[test]
    fn somebody_elses_machine_of_the_same_name_is_left_alone() {
        let machine = Machine::new();
        fs::create_dir(machine.link()).unwrap();
        machine.write_settings(Path::new("/srv/other/web"));
        assert_eq!(machine.found(), (false, false));
        fs::remove_dir(machine.link()).unwrap();
        symlink("/srv/other/web/rootfs", machine.link()).unwrap();
        assert_eq!(machine.found(), (false, false));
    }

    #[test]
    fn deleting_takes_the_link_and_not_what_it_leads_to() {
        let machine = Machine::new();
        fs::write(machine.jail.rootfs().join("kept"), "").unwrap();
        machine.write_settings(machine.jail.dir());
        symlink(machine.jail.rootfs(), machine.link()).unwrap();
        let (settings, machines) = (machine.dir.path().join("nspawn"), machine.dir.path().join("machines"));
        let found = Leftovers::find_in(&machine.jail, &settings, &machines).unwrap();
        found.delete().unwrap();
        assert_eq!(machine.found(), (false, false));
        assert!(machine.link().symlink_metadata().is_err());
        assert!(machine.jail.rootfs().join("kept").exists());
        found.delete().unwrap();
    }
}
