use super::*;
use crate::error::ErrorKind;

/// A jail of the second format whose client has made links before, and a directory of the host's.
struct Planted {
    _dir: tempfile::TempDir,
    jail: Jail,
    settings: Settings,
    victim: PathBuf,
}

impl Planted {
    fn new() -> Planted {
        let dir = tempfile::tempdir().unwrap();
        let mut settings = Settings::on_partition(&dir.path().join("backup"));
        settings.data_dir = dir.path().join("data");
        fs::create_dir_all(settings.data_dir.join("runtime/current/usr/bin")).unwrap();
        symlink("usr/bin", settings.data_dir.join("runtime/current/bin")).unwrap();
        let victim = dir.path().join("victim");
        fs::create_dir_all(victim.join("bin")).unwrap();
        fs::write(victim.join("bin/sh"), "").unwrap();
        let jail = Jail::new(&settings, "web".parse().unwrap());
        fs::create_dir_all(jail.rootfs()).unwrap();
        fs::write(jail.version_file(), "2\n").unwrap();
        Planted { _dir: dir, jail: Jail::new(&settings, "web".parse().unwrap()), settings, victim }
    }

    fn assert_untouched(&self) {
        assert!(self.victim.join("bin/sh").is_file());
        assert_eq!(fs::read_dir(&self.victim).unwrap().count(), 1);
    }
}

#[test]
fn a_link_in_place_of_any_directory_of_the_root_is_refused_and_nothing_is_changed() {
    for (name, _) in ROOT_DIRS {
        let planted = Planted::new();
        let rootfs = planted.jail.rootfs();
        let link = if name.is_empty() { rootfs.clone() } else { rootfs.join(name) };
        if name.is_empty() {
            fs::remove_dir(&link).unwrap();
        }
        fs::create_dir_all(link.parent().unwrap()).unwrap();
        symlink(&planted.victim, &link).unwrap();
        let error = make_ready(&planted.settings, &planted.jail).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Untrusted, "{name}: {error}");
        assert!(error.to_string().contains(&*link.to_string_lossy()), "{name}: {error}");
        assert!(!planted.jail.data().exists(), "{name}");
        planted.assert_untouched();
    }
}

#[test]
fn old_programs_are_cleared_in_the_jail_and_nowhere_else() {
    let planted = Planted::new();
    let usr = planted.jail.rootfs().join("usr");
    symlink(&planted.victim, &usr).unwrap();
    clear_old_programs(&planted.jail).unwrap();
    planted.assert_untouched();
    assert!(file_type(&usr).unwrap().is_dir());

    fs::create_dir_all(usr.join("lib/x")).unwrap();
    fs::write(usr.join("lib/x/old"), "").unwrap();
    symlink(&planted.victim, usr.join("bin")).unwrap();
    let before = std::os::unix::fs::MetadataExt::ino(&fs::metadata(&usr).unwrap());
    clear_old_programs(&planted.jail).unwrap();
    planted.assert_untouched();
    assert_eq!(fs::read_dir(&usr).unwrap().count(), 0);
    assert_eq!(std::os::unix::fs::MetadataExt::ino(&fs::metadata(&usr).unwrap()), before);

    fs::rename(planted.jail.rootfs(), planted.jail.dir().join("aside")).unwrap();
    fs::create_dir(planted.victim.join("usr")).unwrap();
    fs::write(planted.victim.join("usr/kept"), "").unwrap();
    symlink(&planted.victim, planted.jail.rootfs()).unwrap();
    let error = clear_old_programs(&planted.jail).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Untrusted, "{error}");
    assert!(planted.victim.join("usr/kept").is_file());
}
