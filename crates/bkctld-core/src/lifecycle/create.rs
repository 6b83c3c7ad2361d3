//! Making a jail: it is built in a temporary directory, which is renamed in the last step.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Stdio};

use bkctld_sys::process::die_with_the_caller;

use super::unfinished::unfinished;
use crate::config::Settings;
use crate::error::{Error, IoContext, Result};
use crate::file;
use crate::file::Sync;
use crate::firewall::{self, Change, JailRules};
use crate::jail::{FORMAT_VERSION, Jail, JailName, Port, Ports, SshdConfig, layout};
use crate::program::SSH_KEYGEN;
use crate::runtime::{self, RuntimeStore};
use crate::template::Template;
use crate::tree;
use crate::watch::{Watch, lock_config};

/// The files of a jail's root that are copies of their templates.
const ROOT_FILES: [(Template, &str, u32); 3] = [
    (Template::Passwd, "etc/passwd", 0o644),
    (Template::Shadow, "etc/shadow", 0o600),
    (Template::Group, "etc/group", 0o644),
];

/// The path of the SFTP server in the built-in template and in the original's.
const SFTP_SERVER_OF_TEMPLATES: &str = "/usr/lib/openssh/sftp-server";

/// Looks which port a new jail of this name would have. Nothing is done yet.
///
/// # Errors
/// [`JailExists`](crate::ErrorKind::JailExists).
pub fn plan(settings: &Settings, name: &JailName) -> Result<Port> {
    if Jail::new(settings, name.clone()).exists() {
        return Err(Error::jail_exists(name));
    }
    settings.check_dirs()?;
    Ports::lock(settings)?.next_free()
}

/// Creates the jail and returns its port. What an earlier, interrupted run left is cleared first; until the last
/// step there is no jail.
///
/// # Errors
/// [`JailExists`](crate::ErrorKind::JailExists); what an unfinished command still has to move to that name.
pub fn run(settings: &Settings, name: &JailName, watch: &dyn Watch) -> Result<Port> {
    let jail = &Jail::new(settings, name.clone());
    let _lock = lock_config(jail, watch)?;
    if jail.exists() {
        return Err(Error::jail_exists(jail.name()));
    }
    for missing in settings.check_dirs()? {
        file::make_private_dir(missing, 0o700)?;
    }
    if let Some(unfinished) = unfinished(settings)?.into_iter().find(|one| one.jail == *jail.name()) {
        return Err(Error::refused(format!("an interrupted command left parts of a jail '{}'", jail.name()))
            .with_hint(format!("run '{}' again first", unfinished.command)));
    }
    let store = RuntimeStore::ready(settings)?;
    let aside = jail.in_the_making();
    tree::delete(aside.dir())?;
    match build(settings, jail, &aside, &store) {
        Ok(port) => Ok(port),
        Err(error) => {
            // The first error tells more than what clearing up might add to it.
            let _ = tree::delete(aside.dir());
            Err(error)
        }
    }
}

fn build(settings: &Settings, jail: &Jail, aside: &Jail, store: &RuntimeStore) -> Result<Port> {
    let mut config = SshdConfig::parse(&aside.sshd_config(), &sshd_config_template(settings)?);
    let kinds = config.host_keys()?;
    layout::make_top(aside.dir())?;
    let keys = HostKeys::begin(aside, &kinds)?;
    layout::lay_out(aside, store)?;
    write_accounts(settings, aside)?;
    // sshd starts a shell for this file at every login, so a file that does nothing is omitted.
    let sshrc = Template::Sshrc.read(settings)?;
    if does_something(&sshrc) {
        write(&aside.rootfs().join("etc/ssh/sshrc"), 0o644, &sshrc)?;
    }
    write(&aside.authorized_keys(), 0o600, b"")?;
    write(&aside.version_file(), 0o644, format!("{FORMAT_VERSION}\n").as_bytes())?;
    keys.finish()?;
    write_policies(settings, jail)?;
    file::make_private_dir(jail.inc_dir(), 0o700)?;

    let ports = Ports::lock(settings)?;
    let port = ports.next_free()?;
    config.set_port(port)?;
    write(&aside.sshd_config(), 0o644, &config.content())?;
    let addresses = config.allowed_addresses()?;
    let jails = File::open(&settings.jail_dir).context("cannot open", &settings.jail_dir)?;
    rustix::fs::syncfs(&jails).context("cannot sync", &settings.jail_dir)?;
    let rules = JailRules { jail: jail.name().clone(), port, addresses };
    firewall::change(settings, &Change::admit(rules), |_| {
        fs::rename(aside.dir(), jail.dir()).context("cannot rename to", jail.dir())
    })?;
    jails.sync_all().context("cannot sync", &settings.jail_dir)?;
    Ok(port)
}

fn does_something(script: &[u8]) -> bool {
    script
        .split(|byte| *byte == b'\n')
        .map(<[u8]>::trim_ascii)
        .any(|line| !line.is_empty() && !line.starts_with(b"#"))
}

/// Writes a file of the new jail. All of them are synced together, before the jail gets its name.
fn write(path: &Path, mode: u32, content: &[u8]) -> Result<()> {
    file::replace_with(path, mode, content, Sync::Later)
}

/// Writes the accounts of the jail's root as their templates have them.
pub(super) fn write_accounts(settings: &Settings, jail: &Jail) -> Result<()> {
    for (template, place, mode) in ROOT_FILES {
        write(&jail.rootfs().join(place), mode, &template.read(settings)?)?;
    }
    Ok(())
}

fn write_policies(settings: &Settings, jail: &Jail) -> Result<()> {
    file::make_private_dir(jail.conf_dir(), 0o755)?;
    for (place, template) in
        [(jail.incs_policy(), Template::IncsPolicy), (jail.check_policy(), Template::CheckPolicy)]
    {
        // An existing file was written by the administrator, or by an interrupted run.
        if !place.exists() {
            file::replace(&place, 0o644, &template.read(settings)?)?;
        }
    }
    Ok(())
}

fn sshd_config_template(settings: &Settings) -> Result<Vec<u8>> {
    let content = Template::SshdConfig.read(settings)?;
    let Some(here) = runtime::sftp_server() else {
        return Ok(content);
    };
    let text = String::from_utf8_lossy(&content);
    Ok(text.replace(SFTP_SERVER_OF_TEMPLATES, &here.to_string_lossy()).into_bytes())
}

/// Running key generations: one ssh-keygen for each kind, in parallel with the rest.
struct HostKeys {
    running: Vec<Child>,
}

impl HostKeys {
    fn begin(jail: &Jail, kinds: &[&str]) -> Result<HostKeys> {
        let dir = jail.rootfs().join("etc/ssh");
        fs::create_dir_all(&dir).context("cannot create directory", &dir)?;
        let mut keys = HostKeys { running: Vec::new() };
        for kind in kinds {
            let path = dir.join(format!("ssh_host_{kind}_key"));
            let mut keygen = SSH_KEYGEN.command();
            keygen
                .args(["-q", "-N", "", "-C", &format!("root@{}", jail.name()), "-t", kind, "-f"])
                .arg(&path)
                .stdin(Stdio::null());
            // If `init` were killed, this would write into the directory of the next attempt.
            die_with_the_caller(&mut keygen);
            keys.running.push(SSH_KEYGEN.spawn(&mut keygen)?);
        }
        Ok(keys)
    }

    fn finish(mut self) -> Result<()> {
        for child in self.running.drain(..) {
            let output = child.wait_with_output().context("cannot run", "ssh-keygen")?;
            SSH_KEYGEN.check("", &output)?;
        }
        Ok(())
    }
}

impl Drop for HostKeys {
    fn drop(&mut self) {
        for child in &mut self.running {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
