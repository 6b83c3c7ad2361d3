use std::fs;

use crate::volume::{Volume, may_run, settle};

#[test]
fn a_first_inc_without_room_is_refused_before_anything_is_copied() {
    if !may_run() {
        return;
    }
    let volume = Volume::sized("ext4", "100M");
    let data = volume.jail.data();
    fs::write(data.join("large"), vec![1; 60 << 20]).unwrap();
    fs::hard_link(data.join("large"), data.join("again")).unwrap();
    let error = volume.try_make("2026-01-01-00").unwrap_err().to_string();
    assert!(
        error.contains("not enough space")
            && error.contains(" needed, ")
            && error.contains("or delete incs)"),
        "{error}"
    );
    assert!(error.contains("60.0 MiB"), "one inode was counted for each name: {error}");
    assert_eq!(volume.names(), Vec::<String>::new());
}

#[test]
fn a_disk_that_becomes_full_leaves_nothing_and_is_said() {
    if !may_run() {
        return;
    }
    let volume = Volume::sized("ext4", "100M");
    let data = volume.jail.data();
    fs::write(data.join("small"), "1").unwrap();
    settle();
    volume.make_clean("2026-01-01-00");
    let before = volume.names();
    fs::write(data.join("large"), vec![1; 60 << 20]).unwrap();
    let error = volume.try_make("2026-01-02-00").unwrap_err().to_string();
    assert!(error.contains("became full"), "{error}");
    assert_eq!(volume.names(), before);
    fs::remove_file(data.join("large")).unwrap();
    volume.make_clean("2026-01-02-00");
}
