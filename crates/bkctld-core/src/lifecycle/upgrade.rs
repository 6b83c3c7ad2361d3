//! Moves configuration from its old paths to the new ones: `CONFDIR/J` becomes `CONFDIR/J.d/incs_policy`, and
//! the local template `inc.tpl` becomes `incs_policy.tpl`.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::Path;

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use crate::config::Settings;
use crate::error::{Error, IoContext, JailContext, Result};
use crate::file;
use crate::jail::{Jail, JailName};
use crate::template::Template;
use crate::text;
use crate::watch::{Watch, lock_config};

/// The old name of the template of policies.
const OLD_TEMPLATE: &str = "inc.tpl";

/// The upgrade that a jail's configuration needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Upgrade {
    /// The upgrade of its policy.
    pub policy: PolicyUpgrade,
    /// Whether a `check_policy` is made from its template.
    pub check_policy: bool,
}

/// The upgrade that a jail's policy needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PolicyUpgrade {
    /// Nothing: the policy is at its new path, with a link at the old one.
    Done,
    /// The file moves, and a link replaces it.
    Move,
    /// Only the link is made; the file is at its new path.
    Link,
    /// There is no policy at either path.
    Missing,
    /// At the old path there is a link of the administrator, which is still followed.
    OwnLink,
}

/// Brings the jail's configuration to its new paths, and returns the upgrade that this took.
///
/// # Errors
/// As [`Upgrade::plan`].
pub fn run(settings: &Settings, name: &JailName, watch: &dyn Watch) -> Result<Upgrade> {
    let jail = Jail::open(settings, name.clone())?;
    let _lock = lock_config(&jail, watch)?;
    let plan = Upgrade::plan(&jail)?;
    if !plan.is_done() {
        plan.carry_out(settings, &jail)?;
    }
    Ok(plan)
}

impl Upgrade {
    /// Finds out which upgrade is needed.
    ///
    /// # Errors
    /// Fails if the two paths have different policies: the new one is in use, and only the administrator
    /// knows which is right.
    pub fn plan(jail: &Jail) -> Result<Upgrade> {
        let policy = plan_policy(jail).for_jail(jail.name())?;
        let check_policy = !jail.check_policy().exists();
        Ok(Upgrade { policy, check_policy })
    }

    /// Whether there is nothing to do.
    fn is_done(&self) -> bool {
        !self.check_policy && !matches!(self.policy, PolicyUpgrade::Move | PolicyUpgrade::Link)
    }

    fn carry_out(&self, settings: &Settings, jail: &Jail) -> Result<()> {
        let act = || {
            file::make_private_dir(jail.conf_dir(), 0o755)?;
            if self.policy == PolicyUpgrade::Move {
                link_to_new_place(jail)?;
            }
            if matches!(self.policy, PolicyUpgrade::Move | PolicyUpgrade::Link) {
                put_link(jail)?;
            }
            if self.check_policy {
                file::replace(&jail.check_policy(), 0o644, &Template::CheckPolicy.read(settings)?)?;
            }
            Ok(())
        };
        act().for_jail(jail.name())
    }
}

fn plan_policy(jail: &Jail) -> Result<PolicyUpgrade> {
    let (old, new) = (jail.legacy_policy(), jail.incs_policy());
    let has_new = new.is_file();
    let meta = match fs::symlink_metadata(old) {
        Ok(meta) => meta,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Ok(if has_new { PolicyUpgrade::Link } else { PolicyUpgrade::Missing });
        }
        Err(error) => return Err(error).context("cannot look at", old),
    };
    if meta.is_symlink() {
        return Ok(if has_new { PolicyUpgrade::Done } else { PolicyUpgrade::OwnLink });
    }
    // `CONFDIR/x.d` is the directory of jail `x`, and the old place of a jail named `x.d`.
    if meta.is_dir() {
        return Ok(if has_new { PolicyUpgrade::Done } else { PolicyUpgrade::Missing });
    }
    if !meta.is_file() {
        return Err(Error::bad_file(old, "is not a regular file"));
    }
    refuse_another(old, &new)?;
    Ok(PolicyUpgrade::Move)
}

/// Refuses anything under the new name that is not the same policy: a dangling link or a directory would
/// leave the jail without a policy once the old path is a link to it.
fn refuse_another(old: &Path, new: &Path) -> Result<()> {
    if !file::exists(new)? {
        return Ok(());
    }
    if !new.is_file() {
        let what = format!("is in the way of {} and is not a file", text::path(old));
        return Err(Error::bad_file(new, what).with_hint("move it away"));
    }
    if file::read_if_there(old)? == file::read_if_there(new)? {
        return Ok(());
    }
    Err(Error::refused(format!("{} and {} differ; the latter is in use", text::path(old), text::path(new)))
        .at(old)
        .with_hint("delete the wrong one"))
}

/// A hard link instead of a rename, so that there is always a policy; and not a copy, because checks use the
/// time of its last change.
fn link_to_new_place(jail: &Jail) -> Result<()> {
    let (old, new) = (jail.legacy_policy(), jail.incs_policy());
    match fs::hard_link(old, &new) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => refuse_another(old, &new),
        linked => linked.context("cannot make", new),
    }
}

fn put_link(jail: &Jail) -> Result<()> {
    let old = jail.legacy_policy();
    let aside = old.with_file_name(format!(".bkctld-new-{}", jail.name()));
    match fs::remove_file(&aside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(error).context("cannot delete", &aside);
        }
        _ => {}
    }
    symlink(jail.incs_policy(), &aside).context("cannot make link", &aside)?;
    fs::rename(&aside, old).context("cannot rename to", old)
}

/// The upgrade that the administrator's template of policies needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TemplateUpgrade {
    /// There is nothing to do.
    Done,
    /// The template is renamed.
    Rename,
    /// Both names exist; the new one is in use.
    Both,
}

impl TemplateUpgrade {
    /// Looks under which names `LOCALTPLDIR` has the template.
    pub fn plan(settings: &Settings) -> TemplateUpgrade {
        let has = |name: &str| settings.local_tpl_dir.join(name).is_file();
        match (has(OLD_TEMPLATE), has(Template::IncsPolicy.name())) {
            (false, _) => TemplateUpgrade::Done,
            (true, false) => TemplateUpgrade::Rename,
            (true, true) => TemplateUpgrade::Both,
        }
    }

    /// Gives the template its new name, if that is what the plan says.
    pub fn carry_out(self, settings: &Settings) -> Result<()> {
        if self != TemplateUpgrade::Rename {
            return Ok(());
        }
        let old = settings.local_tpl_dir.join(OLD_TEMPLATE);
        let new = settings.local_tpl_dir.join(Template::IncsPolicy.name());
        match renameat_with(CWD, &old, CWD, &new, RenameFlags::NOREPLACE) {
            // Another run was faster.
            Err(Errno::NOENT) => Ok(()),
            renamed => renamed.context("cannot rename", old),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    fn server() -> (tempfile::TempDir, Settings, Jail) {
        let dir = tempfile::tempdir().unwrap();
        let mut settings = Settings::on_partition(&dir.path().join("backup"));
        settings.conf_dir = dir.path().join("conf");
        settings.local_tpl_dir = dir.path().join("localtpl");
        settings.tpl_dir = dir.path().join("tpl");
        for made in [&settings.conf_dir, &settings.local_tpl_dir] {
            fs::create_dir(made).unwrap();
        }
        let jail = Jail::new(&settings, "web".parse().unwrap());
        (dir, settings, jail)
    }

    #[test]
    fn the_policy_moves_with_its_time_and_a_link_stays_behind() {
        let (_dir, settings, jail) = server();
        fs::write(jail.legacy_policy(), "+%Y-%m-%d.-0day\n").unwrap();
        let before = fs::metadata(jail.legacy_policy()).unwrap();
        let plan = Upgrade::plan(&jail).unwrap();
        assert_eq!(plan, Upgrade { policy: PolicyUpgrade::Move, check_policy: true });
        plan.carry_out(&settings, &jail).unwrap();
        assert_eq!(fs::read_link(jail.legacy_policy()).unwrap(), jail.incs_policy());
        let after = fs::metadata(jail.incs_policy()).unwrap();
        assert_eq!((after.ino(), after.mtime_nsec()), (before.ino(), before.mtime_nsec()));
        assert_eq!(fs::read_to_string(jail.check_policy()).unwrap(), Template::CheckPolicy.built_in());
        assert!(Upgrade::plan(&jail).unwrap().is_done());
        let names = fs::read_dir(&settings.conf_dir).unwrap().count();
        assert_eq!(names, 2, "nothing else is left");
    }

    #[test]
    fn an_upgrade_that_stopped_between_two_steps_is_finished() {
        let (_dir, settings, jail) = server();
        fs::write(jail.legacy_policy(), "+%Y-%m-%d.-0day\n").unwrap();
        fs::create_dir(jail.conf_dir()).unwrap();
        link_to_new_place(&jail).unwrap();
        // Covers a crash here, and one after the temporary link was made.
        symlink("x", settings.conf_dir.join(".bkctld-new-web")).unwrap();
        let plan = Upgrade::plan(&jail).unwrap();
        assert_eq!(plan.policy, PolicyUpgrade::Move);
        plan.carry_out(&settings, &jail).unwrap();
        assert!(Upgrade::plan(&jail).unwrap().is_done());
        assert_eq!(fs::read_to_string(jail.legacy_policy()).unwrap(), "+%Y-%m-%d.-0day\n");
    }

    #[test]
    fn two_policies_that_differ_stay_as_they_are() {
        let (_dir, settings, jail) = server();
        fs::create_dir(jail.conf_dir()).unwrap();
        fs::write(jail.legacy_policy(), "old").unwrap();
        fs::write(jail.incs_policy(), "new").unwrap();
        let error = Upgrade::plan(&jail).unwrap_err().to_string();
        assert!(error.contains("conf/web and") && error.contains("differ"), "{error}");
        fs::write(jail.legacy_policy(), "new").unwrap();
        Upgrade::plan(&jail).unwrap().carry_out(&settings, &jail).unwrap();
        assert!(jail.legacy_policy().is_symlink());
    }

    #[test]
    fn what_is_no_policy_at_the_new_place_costs_the_jail_none() {
        let (_dir, settings, jail) = server();
        fs::write(jail.legacy_policy(), "+%Y-%m-%d.-0day\n").unwrap();
        let planned_before = Upgrade::plan(&jail).unwrap();
        fs::create_dir(jail.conf_dir()).unwrap();
        let assert_refused = || {
            for error in [
                Upgrade::plan(&jail).map(|_| ()).unwrap_err(),
                planned_before.carry_out(&settings, &jail).unwrap_err(),
            ] {
                assert!(error.to_string().contains("is not a file"), "{error}");
            }
            assert!(fs::symlink_metadata(jail.legacy_policy()).unwrap().is_file());
        };
        symlink("nowhere", jail.incs_policy()).unwrap();
        assert_refused();
        fs::remove_file(jail.incs_policy()).unwrap();
        fs::create_dir(jail.incs_policy()).unwrap();
        assert_refused();
    }

    #[test]
    fn what_there_is_of_a_policy_decides() {
        let (_dir, settings, jail) = server();
        let policy = || Upgrade::plan(&jail).unwrap().policy;
        assert_eq!(policy(), PolicyUpgrade::Missing);
        symlink("elsewhere", jail.legacy_policy()).unwrap();
        assert_eq!(policy(), PolicyUpgrade::OwnLink);
        fs::remove_file(jail.legacy_policy()).unwrap();
        fs::create_dir(jail.conf_dir()).unwrap();
        fs::write(jail.incs_policy(), "").unwrap();
        assert_eq!(policy(), PolicyUpgrade::Link);
        Upgrade::plan(&jail).unwrap().carry_out(&settings, &jail).unwrap();
        assert_eq!(policy(), PolicyUpgrade::Done);
    }

    #[test]
    fn the_old_template_gets_its_new_name_and_replaces_none() {
        let (_dir, settings, _) = server();
        assert_eq!(TemplateUpgrade::plan(&settings), TemplateUpgrade::Done);
        fs::write(settings.local_tpl_dir.join("inc.tpl"), "mine").unwrap();
        TemplateUpgrade::plan(&settings).carry_out(&settings).unwrap();
        assert_eq!(Template::IncsPolicy.read(&settings).unwrap(), b"mine");
        fs::write(settings.local_tpl_dir.join("inc.tpl"), "older").unwrap();
        assert_eq!(TemplateUpgrade::plan(&settings), TemplateUpgrade::Both);
        TemplateUpgrade::plan(&settings).carry_out(&settings).unwrap();
        assert_eq!(Template::IncsPolicy.read(&settings).unwrap(), b"mine");
    }
}
