//! The files that a new jail begins with. The administrator's (`LOCALTPLDIR`) win over those of the
//! package (`TPLDIR`), which win over those built into the program.

use crate::config::Settings;
use crate::error::Result;
use crate::file;

/// A file that a new jail begins with, or that the program fills in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Template {
    /// `/etc/passwd` of the jail: its users, root among them.
    Passwd,
    /// `/etc/shadow` of the jail: no user has a password.
    Shadow,
    /// `/etc/group` of the jail, with the group of terminals.
    Group,
    /// The jail's `sshd_config`, whose port and addresses are set afterwards.
    SshdConfig,
    /// `/etc/ssh/sshrc` of the jail: sshd runs it before the command of each session.
    Sshrc,
    /// A new jail's `incs_policy`: which incs `rm` keeps.
    IncsPolicy,
    /// A new jail's `check_policy`: when its silence alarms, and whether it should be on.
    CheckPolicy,
    /// The script by which a client pushes.
    Client,
}

impl Template {
    /// Every template, so that a test can compare them with the folder `templates/`.
    pub const ALL: [Template; 8] = [
        Template::Passwd,
        Template::Shadow,
        Template::Group,
        Template::SshdConfig,
        Template::Sshrc,
        Template::IncsPolicy,
        Template::CheckPolicy,
        Template::Client,
    ];

    /// The name of its file.
    pub fn name(self) -> &'static str {
        match self {
            Template::Passwd => "passwd",
            Template::Shadow => "shadow",
            Template::Group => "group",
            Template::SshdConfig => "sshd_config",
            Template::Sshrc => "sshrc",
            Template::IncsPolicy => "incs_policy.tpl",
            Template::CheckPolicy => "check_policy.tpl",
            Template::Client => "client.sh",
        }
    }

    /// Its content on a server with these settings. Errors where a file of that name is there and
    /// cannot be read: falling through to the next folder would undo what the administrator
    /// decided.
    pub fn read(self, settings: &Settings) -> Result<Vec<u8>> {
        for dir in [&settings.local_tpl_dir, &settings.tpl_dir] {
            if let Some(content) = file::read_if_there(&dir.join(self.name()))? {
                return Ok(content);
            }
        }
        Ok(self.built_in().as_bytes().to_vec())
    }

    /// The content that the program brings along.
    pub fn built_in(self) -> &'static str {
        match self {
            Template::Passwd => include_str!("../../../templates/passwd"),
            Template::Shadow => include_str!("../../../templates/shadow"),
            Template::Group => include_str!("../../../templates/group"),
            Template::SshdConfig => include_str!("../../../templates/sshd_config"),
            Template::Sshrc => include_str!("../../../templates/sshrc"),
            Template::IncsPolicy => include_str!("../../../templates/incs_policy.tpl"),
            Template::CheckPolicy => include_str!("../../../templates/check_policy.tpl"),
            Template::Client => include_str!("../../../templates/client.sh"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;
    use std::process::Command;

    use super::*;

    #[test]
    fn the_administrators_template_wins_then_the_packages_then_the_built_in_one() {
        let dir = tempfile::tempdir().unwrap();
        let settings = Settings {
            local_tpl_dir: dir.path().join("local"),
            tpl_dir: dir.path().join("package"),
            ..Settings::default()
        };
        for template in Template::ALL {
            assert_eq!(template.read(&settings).unwrap(), template.built_in().as_bytes());
        }
        fs::create_dir(&settings.tpl_dir).unwrap();
        fs::write(settings.tpl_dir.join("group"), "package").unwrap();
        assert_eq!(Template::Group.read(&settings).unwrap(), b"package");
        fs::create_dir(&settings.local_tpl_dir).unwrap();
        fs::write(settings.local_tpl_dir.join("group"), "local").unwrap();
        assert_eq!(Template::Group.read(&settings).unwrap(), b"local");
        fs::create_dir(settings.local_tpl_dir.join("passwd")).unwrap();
        assert!(Template::Passwd.read(&settings).is_err());
    }

    #[test]
    fn the_built_in_templates_are_the_files_of_the_folder() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../templates");
        let mut found: Vec<String> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        let mut named = Template::ALL.map(|template| template.name().to_owned()).to_vec();
        found.sort();
        named.sort();
        assert_eq!(found, named);
    }

    /// With real host keys, since sshd refuses to start without one.
    #[test]
    fn the_sshd_of_this_machine_accepts_the_built_in_sshd_config() {
        let dir = tempfile::tempdir().unwrap();
        let key = dir.path().join("key");
        let keygen =
            Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key).status();
        assert!(keygen.unwrap().success());
        fs::create_dir_all("/run/sshd").unwrap();
        let config = dir.path().join("sshd_config");
        let real_key = format!("HostKey {}\n#", key.display());
        let text = Template::SshdConfig.built_in().replace("HostKey /etc", &format!("{real_key} /etc"));
        fs::write(&config, text).unwrap();
        let out = Command::new("/usr/sbin/sshd").arg("-T").arg("-f").arg(&config).output().unwrap();
        let shown = String::from_utf8(out.stdout).unwrap();
        assert!(out.status.success() && out.stderr.is_empty(), "{}", String::from_utf8_lossy(&out.stderr));
        for line in [
            "port 2222",
            "allowusers root@0.0.0.0/0",
            "usepam no",
            "permitrootlogin without-password",
            "passwordauthentication no",
            "kbdinteractiveauthentication no",
            "disableforwarding yes",
            "printlastlog no",
            "usedns no",
            "subsystem sftp /usr/lib/openssh/sftp-server",
        ] {
            assert!(shown.lines().any(|found| found == line), "{line} is not in\n{shown}");
        }
    }

    #[test]
    fn no_account_of_a_jail_is_locked_or_has_a_password() {
        let names = |text: &str| -> Vec<String> {
            text.lines().map(|line| line.split(':').next().unwrap().to_owned()).collect()
        };
        assert_eq!(names(Template::Passwd.built_in()), names(Template::Shadow.built_in()));
        // Without PAM, sshd takes a leading '!' for a locked account and turns it away.
        assert!(Template::Shadow.built_in().lines().all(|line| line.split(':').nth(1) == Some("*")));
        assert!(Template::Group.built_in().contains("tty:x:5:\n"));
    }
}
