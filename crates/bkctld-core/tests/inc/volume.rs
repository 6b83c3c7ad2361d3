//! A file system in an image file, mounted as long as the value lives, with one jail on it.

use std::fs;
use std::num::NonZeroUsize;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use bkctld_core::inc::{Made, MakeOptions, Outcome, Record, make};
use bkctld_core::progress::Progress;
use bkctld_core::{IncName, Jail, Settings};

pub const THREADS: NonZeroUsize = NonZeroUsize::new(2).unwrap();

pub struct Volume {
    pub kind: &'static str,
    pub mount: PathBuf,
    pub jail: Jail,
    _dir: tempfile::TempDir,
}

/// Whether the test can run; an ordinary user is told why not.
pub fn may_run() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        eprintln!("skipped: mounting file systems needs root");
    }
    root
}

/// Runs the test on every file system that incs are made on by walking: a btrfs whose jail is a
/// plain directory among them.
pub fn on_each(test: impl Fn(&Volume)) {
    if may_run() {
        for kind in ["ext4", "xfs", "btrfs"] {
            eprintln!("on {kind}");
            test(&Volume::new(kind));
        }
    }
}

pub fn run(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).output().unwrap();
    assert!(output.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

impl Volume {
    pub fn new(kind: &'static str) -> Volume {
        Volume::sized(kind, "1G")
    }

    pub fn sized(kind: &'static str, size: &str) -> Volume {
        let dir = tempfile::tempdir().unwrap();
        let image = dir.path().join("image");
        let mount = dir.path().join("mount");
        fs::create_dir(&mount).unwrap();
        run("truncate", &["-s", size, image.to_str().unwrap()]);
        let format: &[&str] = match kind {
            "ext4" => &["mkfs.ext4", "-q", "-F", "-I", "256"],
            "xfs" => &["mkfs.xfs", "-q"],
            _ => &["mkfs.btrfs", "-q"],
        };
        run(format[0], &[&format[1..], &[image.to_str().unwrap()]].concat());
        run("mount", &["-o", "loop", image.to_str().unwrap(), mount.to_str().unwrap()]);
        let jail = Jail::new(&Settings::on_partition(&mount), "j".parse().unwrap());
        let volume = Volume { kind, mount, jail, _dir: dir };
        fs::create_dir(volume.mount.join("jails")).unwrap();
        if kind != "snapshots" {
            volume.fill_jail();
        }
        volume
    }

    /// A btrfs whose jail is a subvolume.
    pub fn with_snapshots() -> Volume {
        let volume = Volume::new("snapshots");
        let jails = fs::File::open(volume.mount.join("jails")).unwrap();
        bkctld_sys::btrfs::create_subvolume(&jails, "j".as_ref()).unwrap();
        volume.fill_jail();
        volume
    }

    fn fill_jail(&self) {
        for dir in [self.jail.dir().to_path_buf(), self.jail.data(), self.jail.var(), self.jail.rootfs()] {
            let _ = fs::create_dir(dir);
        }
        // As `init` makes it, and `inc` would make it.
        fs::set_permissions(self.jail.dir(), fs::Permissions::from_mode(0o700)).unwrap();
        fs::write(self.jail.version_file(), "2\n").unwrap();
    }

    pub fn inc(&self, name: &str) -> PathBuf {
        self.jail.inc_dir().join(name)
    }

    /// The names in `INCDIR/J`, ours among them.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(self.jail.inc_dir())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    pub fn try_make(&self, name: &str) -> bkctld_core::Result<Outcome> {
        let options = MakeOptions { threads: THREADS, now: &jiff::Timestamp::now, session_active: &|| false };
        make(&self.jail, name.parse().unwrap(), &options, &Progress::default())
    }

    pub fn make(&self, name: &str) -> Record {
        match self.try_make(name).unwrap() {
            Outcome::Made(Made { record, .. }) => record,
            Outcome::AlreadyThere => panic!("{name} is there already"),
        }
    }

    /// Makes an inc in which nothing may be amiss.
    pub fn make_clean(&self, name: &str) -> Record {
        let record = self.make(name);
        assert_eq!(record.warnings, Vec::<String>::new());
        record
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        let gone = Command::new("umount").arg(&self.mount).status();
        if !gone.is_ok_and(|status| status.success()) {
            let _ = Command::new("umount").arg("-l").arg(&self.mount).status();
        }
    }
}

/// Lets enough time pass for what was written to count as settled.
pub fn settle() {
    std::thread::sleep(Duration::from_millis(3100));
}

pub fn name(text: &str) -> IncName {
    text.parse().unwrap()
}

pub fn same_inode(a: &Path, b: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let (a, b) = (a.symlink_metadata().unwrap(), b.symlink_metadata().unwrap());
    (a.dev(), a.ino()) == (b.dev(), b.ino())
}
