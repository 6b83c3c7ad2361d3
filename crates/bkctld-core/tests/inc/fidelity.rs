use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, chown};
use std::path::Path;

use bkctld_core::inc::Backend;

use crate::sample::{assert_same, digest, fill};
use crate::volume::{Volume, may_run, on_each, run, same_inode, settle};

fn assert_rsync_sees_no_difference(a: &Path, b: &Path) {
    let args = ["-aHAXn", "--numeric-ids", "--itemize-changes", "--delete"];
    let (a, b) = (format!("{}/", a.display()), format!("{}/", b.display()));
    assert_eq!(run("rsync", &[&args[..], &[&a, &b]].concat()), "");
}

fn assert_shares_nothing(live: &Path, inc: &Path) {
    for path in digest(live).keys() {
        let (live, inc) = (live.join(path), inc.join(path));
        assert!(!same_inode(&live, &inc), "{inc:?} is a live inode");
    }
}

#[test]
fn everything_that_a_tree_can_hold_is_in_the_inc() {
    on_each(|volume| {
        fill(&volume.jail.data());
        settle();
        let live = digest(volume.jail.dir());
        let record = volume.make_clean("2026-01-01-00");
        assert_eq!(record.backend, Backend::Detached);
        assert_eq!(record.counts.linked, 0);
        assert_same(&live, &digest(&volume.inc("2026-01-01-00")));
        assert_rsync_sees_no_difference(volume.jail.dir(), &volume.inc("2026-01-01-00"));
        assert_shares_nothing(volume.jail.dir(), &volume.inc("2026-01-01-00"));
        assert_eq!(record.counts.cloned > 0, volume.kind != "ext4");

        // Unchanged: the second inc takes every file from the first.
        let record = volume.make_clean("2026-01-02-00");
        assert_eq!((record.counts.copied, record.counts.cloned), (0, 0));
        assert_same(&live, &digest(&volume.inc("2026-01-02-00")));
        assert_rsync_sees_no_difference(volume.jail.dir(), &volume.inc("2026-01-02-00"));
        let file = "data/plain/f5";
        assert!(same_inode(&volume.inc("2026-01-01-00").join(file), &volume.inc("2026-01-02-00").join(file)));
        assert_shares_nothing(volume.jail.dir(), &volume.inc("2026-01-02-00"));
    });
}

#[test]
fn nothing_that_is_done_to_the_live_tree_reaches_an_inc() {
    on_each(|volume| {
        let data = volume.jail.data();
        fill(&data);
        settle();
        volume.make_clean("2026-01-01-00");
        let before = digest(&volume.inc("2026-01-01-00"));
        let at = |name: &str| data.join(name);
        let seen = |name: &str| at(name).metadata().unwrap();
        File::create(at("plain/f1")).unwrap().write_all(b"x\n").unwrap();
        OpenOptions::new().write(true).open(at("plain/f2")).unwrap().write_all_at(b"Z", 3).unwrap();
        OpenOptions::new().write(true).open(at("plain/f3")).unwrap().set_len(1).unwrap();
        fs::set_permissions(at("plain/f4"), fs::Permissions::from_mode(0o0)).unwrap();
        chown(at("plain/f5"), Some(4), Some(4)).unwrap();
        // Content of the same length with the old times: only the ctime tells.
        let times = fs::FileTimes::new()
            .set_modified(seen("plain/f6").modified().unwrap())
            .set_accessed(seen("plain/f6").accessed().unwrap());
        let file = OpenOptions::new().write(true).open(at("plain/f6")).unwrap();
        file.write_all_at(b"Q", 0).unwrap();
        file.set_times(times).unwrap();
        drop(file);
        rustix::fs::fremovexattr(File::open(at("attributes")).unwrap(), c"user.one").unwrap();
        fs::hard_link(at("plain/f7"), at("plain/f7 again")).unwrap();
        File::options().append(true).open(at("plain/f7 again")).unwrap().write_all(b"more").unwrap();
        File::options().append(true).open(at("links/a/7")).unwrap().write_all(b"more").unwrap();
        fs::rename(at("www"), at("tmp")).unwrap();
        fs::rename(at("nobody"), at("www")).unwrap();
        fs::rename(at("tmp"), at("nobody")).unwrap();
        fs::remove_file(at("plain/f8")).unwrap();
        fs::create_dir(at("plain/f8")).unwrap();
        assert_same(&before, &digest(&volume.inc("2026-01-01-00")));

        settle();
        let live = digest(volume.jail.dir());
        volume.make_clean("2026-01-02-00");
        assert_same(&live, &digest(&volume.inc("2026-01-02-00")));
        assert_same(&before, &digest(&volume.inc("2026-01-01-00")));
        fs::remove_dir_all(&data).unwrap();
        fs::create_dir(&data).unwrap();
        let record = volume.make_clean("2026-01-03-00");
        assert_eq!(record.counts.files, 1);
        assert_same(&before, &digest(&volume.inc("2026-01-01-00")));
        assert_same(&live, &digest(&volume.inc("2026-01-02-00")));
    });
}

#[test]
fn a_file_changed_twice_within_one_tick_is_never_taken_for_unchanged() {
    on_each(|volume| {
        let file = volume.jail.data().join("f");
        for round in 0..40_u8 {
            let handle = File::options().create(true).truncate(false).write(true).open(&file).unwrap();
            handle.write_all_at(&[round], 0).unwrap();
            handle.set_times(fs::FileTimes::new().set_modified(std::time::UNIX_EPOCH)).unwrap();
            drop(handle);
            let name = format!("2026-01-01-{:02}", round % 20);
            let _ = fs::remove_dir_all(volume.inc(&name));
            volume.make_clean(&name);
            assert_eq!(fs::read(volume.inc(&name).join("data/f")).unwrap(), [round]);
        }
    });
}

#[test]
fn names_of_one_file_stay_names_of_one_file_when_their_directories_move() {
    on_each(|volume| {
        let data = volume.jail.data();
        for dir in ["a", "b"] {
            fs::create_dir(data.join(dir)).unwrap();
        }
        for n in 0..300 {
            fs::write(data.join(format!("a/{n}")), format!("{n}")).unwrap();
            fs::hard_link(data.join(format!("a/{n}")), data.join(format!("b/{n}"))).unwrap();
        }
        settle();
        volume.make_clean("2026-01-01-00");
        fs::rename(data.join("a"), data.join("c")).unwrap();
        fs::create_dir(data.join("a")).unwrap();
        settle();
        volume.make_clean("2026-01-02-00");
        assert_same(&digest(volume.jail.dir()), &digest(&volume.inc("2026-01-02-00")));
        let inc = volume.inc("2026-01-02-00").join("data");
        assert_eq!(inc.join("c/7").metadata().unwrap().nlink() % 2, 0);
        assert!(same_inode(&inc.join("c/7"), &inc.join("b/7")));
    });
}

#[test]
fn more_links_than_the_file_system_allows_become_a_new_file() {
    if !may_run() {
        return;
    }
    let volume = Volume::new("ext4");
    let data = volume.jail.data();
    fs::write(data.join("one"), "1").unwrap();
    fs::create_dir(data.join("more")).unwrap();
    for n in 1..40_000 {
        fs::hard_link(data.join("one"), data.join(format!("more/{n}"))).unwrap();
    }
    fs::write(data.join("single"), "1").unwrap();
    settle();
    volume.make_clean("2026-01-01-00");
    // Twice 40,000 names are more than ext4 gives an inode: the second inc has a file of its own.
    let record = volume.make_clean("2026-01-02-00");
    assert_eq!(record.counts.copied, 1);
    for inc in ["2026-01-01-00", "2026-01-02-00"] {
        assert_eq!(volume.inc(inc).join("data/one").metadata().unwrap().nlink(), 40_000);
    }
    // A file with one name whose chain through the incs is at its end.
    let old = volume.inc("2026-01-02-00").join("data/single");
    fs::create_dir(volume.mount.join("other")).unwrap();
    for n in 0..70_000 {
        if fs::hard_link(&old, volume.mount.join(format!("other/{n}"))).is_err() {
            break;
        }
    }
    assert_eq!(old.metadata().unwrap().nlink(), 65_000);
    volume.make_clean("2026-01-03-00");
    let new = volume.inc("2026-01-03-00").join("data/single");
    assert_eq!(fs::read(&new).unwrap(), b"1");
    assert_eq!(new.metadata().unwrap().nlink(), 1);
}
