use std::os::unix::fs::{MetadataExt, symlink};

use super::*;
use crate::error::ErrorKind;

struct Old {
    dir: tempfile::TempDir,
    settings: Settings,
}

impl Old {
    fn new() -> Old {
        let dir = tempfile::tempdir().unwrap();
        let mut settings = Settings::on_partition(&dir.path().join("backup"));
        settings.data_dir = dir.path().join("data");
        // The parts of a runtime that a jail's layout needs.
        let runtime = settings.data_dir.join("runtime/current");
        fs::create_dir_all(runtime.join("usr/bin")).unwrap();
        symlink("usr/bin", runtime.join("bin")).unwrap();
        let old = Old { dir, settings };
        let top = old.jail().dir().to_path_buf();
        for made in
            ["etc/ssh", "root/.ssh", "usr/bin", "lib/x", "run", "dev", "proc", "var/log", "var/backup/d"]
        {
            fs::create_dir_all(top.join(made)).unwrap();
        }
        symlink("usr/bin", top.join("bin")).unwrap();
        symlink("../run", top.join("var/run")).unwrap();
        for (name, content) in [
            ("etc/ssh/sshd_config", "Port 2230\n"),
            ("etc/ssh/ssh_host_rsa_key", "key"),
            ("root/.ssh/authorized_keys", "client"),
            ("var/backup/d/file", "pushed"),
            ("var/log/lastlog", ""),
            ("usr/bin/old", ""),
        ] {
            fs::write(top.join(name), content).unwrap();
        }
        old
    }

    fn jail(&self) -> Jail {
        Jail::new(&self.settings, "old".parse().unwrap())
    }

    fn path(&self, below: &str) -> PathBuf {
        self.jail().dir().join(below)
    }

    /// Every name in the jail, with the inodes of the files, which a copy would change.
    fn all(&self) -> Vec<(PathBuf, Option<u64>)> {
        let mut all = Vec::new();
        let mut left = vec![self.jail().dir().to_path_buf()];
        while let Some(dir) = left.pop() {
            for entry in fs::read_dir(dir).unwrap().flatten() {
                let meta = entry.metadata().unwrap();
                if meta.is_dir() {
                    left.push(entry.path());
                }
                let kept = entry.path().ends_with("file") || entry.path().ends_with("lastlog");
                all.push((entry.path(), kept.then_some(meta.ino())));
            }
        }
        all.sort();
        all
    }
}

fn convert(old: &Old) -> Result<()> {
    Conversion::plan(&old.jail())?.carry_out(&old.settings)
}

#[test]
fn everything_gets_its_new_place_and_nothing_is_copied() {
    let old = Old::new();
    let inode = |below: &str| fs::metadata(old.path(below)).unwrap().ino();
    let (file, key) = (inode("var/backup/d/file"), inode("etc/ssh/ssh_host_rsa_key"));
    convert(&old).unwrap();
    assert_eq!(old.jail().format_version().unwrap(), "2");
    assert_eq!(inode("data/d/file"), file);
    assert_eq!(inode("rootfs/etc/ssh/ssh_host_rsa_key"), key);
    let mut top: Vec<_> =
        fs::read_dir(old.jail().dir()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    top.sort();
    assert_eq!(top, ["data", "rootfs", "var", "version"]);
    assert!(fs::symlink_metadata(old.path("var/run")).is_err());
    assert!(old.path("rootfs/bin").is_symlink() && !old.path("rootfs/usr/bin").exists());
    let again = convert(&old).unwrap_err();
    assert_eq!(again.kind(), ErrorKind::WrongFormat, "{again}");
}

#[test]
fn a_conversion_that_stops_after_any_step_is_finished_by_the_next() {
    let expected = {
        let old = Old::new();
        convert(&old).unwrap();
        old.all()
            .into_iter()
            .map(|(path, _)| path.strip_prefix(old.dir.path()).unwrap().to_path_buf())
            .collect::<Vec<_>>()
    };
    let count = Conversion::plan(&Old::new().jail()).unwrap().steps.len();
    assert!(count > 10);
    for done in 0..count {
        let old = Old::new();
        let plan = Conversion::plan(&old.jail()).unwrap();
        for step in &plan.steps[..done] {
            plan.take(step, &old.settings).unwrap();
        }
        let jail = old.jail();
        assert!(jail.has_old_layout());
        let text = format!("after {done} steps");
        assert_eq!(fs::read_to_string(jail.data().join("d/file")).unwrap(), "pushed", "{text}");
        assert!(jail.sshd_config().is_file() && jail.authorized_keys().is_file(), "{text}");
        convert(&old).unwrap_or_else(|error| panic!("{text}: {error}"));
        let all: Vec<_> = old
            .all()
            .into_iter()
            .map(|(path, _)| path.strip_prefix(old.dir.path()).unwrap().to_path_buf())
            .collect();
        assert_eq!(all, expected, "{text}");
        assert_eq!(fs::read_to_string(old.path("data/d/file")).unwrap(), "pushed");
    }
}

#[test]
fn what_the_client_put_in_the_way_is_named_and_nothing_is_touched() {
    type Break = fn(&Old);
    let breaks: [(&str, Break); 9] = [
        ("rootfs", |old| symlink("/etc", old.path("rootfs")).unwrap()),
        ("rootfs/usr", |old| {
            fs::create_dir(old.path("rootfs")).unwrap();
            symlink("/usr", old.path("rootfs/usr")).unwrap();
        }),
        ("rootfs/dev", |old| {
            fs::create_dir(old.path("rootfs")).unwrap();
            fs::write(old.path("rootfs/dev"), "").unwrap();
        }),
        ("etc/ssh", |old| {
            fs::rename(old.path("etc/ssh"), old.path("aside")).unwrap();
            symlink("../aside", old.path("etc/ssh")).unwrap();
        }),
        ("ssh_host_rsa_key", |old| {
            fs::remove_file(old.path("etc/ssh/ssh_host_rsa_key")).unwrap();
            symlink("/etc/hostname", old.path("etc/ssh/ssh_host_rsa_key")).unwrap();
        }),
        ("var", |old| {
            fs::rename(old.path("var"), old.path("aside")).unwrap();
            symlink("aside", old.path("var")).unwrap();
        }),
        ("data", |old| {
            fs::create_dir(old.path("data")).unwrap();
            fs::write(old.path("data/other"), "").unwrap();
        }),
        ("var/backup", |old| {
            fs::remove_dir_all(old.path("var/backup")).unwrap();
            symlink("/srv", old.path("var/backup")).unwrap();
        }),
        ("sshd_config", |old| fs::remove_file(old.path("etc/ssh/sshd_config")).unwrap()),
    ];
    for (named, broken) in breaks {
        let old = Old::new();
        broken(&old);
        let before = old.all();
        let error = convert(&old).unwrap_err().to_string();
        assert!(error.contains(named), "{named}: {error}");
        assert_eq!(old.all(), before, "{named}");
    }
}
