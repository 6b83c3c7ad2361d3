use std::fs::{self, File};

use bkctld_core::inc::{Backend, delete, list};
use bkctld_core::progress::Progress;
use bkctld_sys::btrfs;

use crate::sample::{assert_same, digest, fill};
use crate::volume::{THREADS, Volume, may_run, name};

#[test]
fn a_jail_that_is_a_subvolume_gets_a_read_only_snapshot() {
    if !may_run() {
        return;
    }
    let volume = Volume::with_snapshots();
    fill(&volume.jail.data());
    let live = digest(volume.jail.dir());
    let record = volume.make_clean("2026-01-01-00");
    assert_eq!(record.backend, Backend::Snapshot);
    assert_same(&live, &digest(&volume.inc("2026-01-01-00")));
    assert!(fs::write(volume.inc("2026-01-01-00").join("data/new"), "x").is_err());
    fs::remove_dir_all(volume.jail.data()).unwrap();
    assert_same(&live, &digest(&volume.inc("2026-01-01-00")));

    let deleted = delete(&volume.jail, &[name("2026-01-01-00")], THREADS, &Progress::default()).unwrap();
    assert_eq!(deleted.incs, [name("2026-01-01-00")]);
    assert!(deleted.dir_removed);
    assert!(list(&volume.jail).unwrap().is_empty());
}

#[test]
fn nested_subvolumes_are_warned_of_and_deleted_with_the_jail() {
    if !may_run() {
        return;
    }
    let volume = Volume::with_snapshots();
    let data = volume.jail.data();
    let mut at = data.clone();
    for depth in 0..5 {
        for sibling in ["a", "b"] {
            btrfs::create_subvolume(File::open(&at).unwrap(), sibling.as_ref()).unwrap();
        }
        fs::create_dir(at.join("a/dir")).unwrap();
        fs::write(at.join("a/dir/file"), format!("{depth}")).unwrap();
        at = at.join("a/dir");
    }
    let jails = File::open(volume.mount.join("jails")).unwrap();
    btrfs::snapshot(File::open(data.join("a")).unwrap(), File::open(&data).unwrap(), "ro".as_ref(), true)
        .unwrap();
    let record = volume.make("2026-01-01-00");
    assert_eq!(record.warnings.len(), 1, "{:?}", record.warnings);
    assert_eq!(btrfs::children(File::open(volume.jail.dir()).unwrap()).unwrap().len(), 3);

    // A plain directory with subvolumes in it is deleted as well.
    fs::create_dir(volume.mount.join("jails/plain")).unwrap();
    btrfs::create_subvolume(File::open(volume.mount.join("jails/plain")).unwrap(), "sub".as_ref()).unwrap();
    for target in ["j", "plain"] {
        bkctld_tree::remove(&jails, target.as_ref(), THREADS, &|_| {}).unwrap();
        assert!(!volume.mount.join("jails").join(target).exists());
    }
}

#[test]
fn a_plain_directory_on_btrfs_keeps_the_content_of_nested_subvolumes() {
    if !may_run() {
        return;
    }
    let volume = Volume::new("btrfs");
    btrfs::create_subvolume(File::open(volume.jail.data()).unwrap(), "sub".as_ref()).unwrap();
    fs::write(volume.jail.data().join("sub/file"), "kept").unwrap();
    for inc in ["2026-01-01-00", "2026-01-02-00"] {
        volume.make_clean(inc);
        assert_eq!(fs::read(volume.inc(inc).join("data/sub/file")).unwrap(), b"kept");
    }
}
