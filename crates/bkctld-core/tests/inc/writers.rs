//! Files that somebody writes to while an inc is made. A write sets the ctime when it begins and brings its
//! data when it can.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::volume::{Volume, may_run, run, same_inode, settle};

const SIZE: usize = 4 << 20;

/// A `write` that has begun and waits in the midst for the rest of its data.
struct SlowWrite(Child);

impl SlowWrite {
    fn begin(volume: &Volume, file: &Path) -> SlowWrite {
        let program = volume.mount.join("slow_write");
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/inc/slow_write.c");
        run("cc", &["-O1", "-o", program.to_str().unwrap(), source]);
        let before = changed(file);
        let child = Command::new(program)
            .args([file.to_str().unwrap(), &SIZE.to_string()])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let until = Instant::now() + Duration::from_secs(60);
        while changed(file) == before {
            assert!(Instant::now() < until, "the write does not begin");
            std::thread::sleep(Duration::from_millis(10));
        }
        SlowWrite(child)
    }

    fn end(mut self) {
        self.0.stdin.take().unwrap().write_all(b"\n").unwrap();
        assert!(self.0.wait().unwrap().success());
    }
}

impl Drop for SlowWrite {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn changed(file: &Path) -> (i64, i64) {
    let meta = file.metadata().unwrap();
    (meta.ctime(), meta.ctime_nsec())
}

#[test]
fn data_of_a_write_that_goes_on_while_an_inc_is_made_are_in_the_next() {
    if !may_run() {
        return;
    }
    let volume = Volume::new("ext4");
    let file = volume.jail.data().join("f");
    fs::write(&file, vec![0; SIZE]).unwrap();
    File::open(&file).unwrap().sync_all().unwrap();
    settle();
    let write = SlowWrite::begin(&volume, &file);
    let begun = changed(&file);
    settle();
    let halfway = volume.make("2026-01-01-00");
    assert!(fs::read(volume.inc("2026-01-01-00").join("data/f")).unwrap() != vec![b'A'; SIZE]);
    write.end();
    assert_eq!(fs::read(&file).unwrap(), vec![b'A'; SIZE]);
    assert_eq!(changed(&file), begun, "the end of the write shows, so this tests nothing");
    let record = volume.make_clean("2026-01-02-00");
    assert!(
        fs::read(volume.inc("2026-01-02-00").join("data/f")).unwrap() == vec![b'A'; SIZE],
        "the inc after the write's end holds what was there in its midst"
    );
    assert_eq!(halfway.warnings, ["data/f: open for writing while it was copied, so it may be incomplete"]);
    // By now it is settled, and shared as ever.
    assert_eq!((record.counts.linked, record.counts.copied), (1, 1));
    assert_eq!(volume.make_clean("2026-01-03-00").counts.copied, 0);
    let inc = |day: &str| volume.inc(day).join("data/f");
    assert!(same_inode(&inc("2026-01-02-00"), &inc("2026-01-03-00")));
}

#[test]
fn a_file_that_stays_open_for_writing_is_copied_each_time() {
    if !may_run() {
        return;
    }
    for kind in ["ext4", "xfs", "btrfs"] {
        let volume = Volume::new(kind);
        let data = volume.jail.data();
        let file = File::create(data.join("open")).unwrap();
        fs::write(data.join("closed"), "x").unwrap();
        settle();
        volume.make("2026-01-01-00");
        let counts = volume.make("2026-01-02-00").counts;
        // The closed one and the jail's version are links.
        assert_eq!((counts.linked, counts.files), (2, 3), "{kind}");
        drop(file);
        let counts = volume.make_clean("2026-01-03-00").counts;
        assert_eq!((counts.linked, counts.files), (2, 3), "{kind}");
        assert_eq!(volume.make_clean("2026-01-04-00").counts.linked, 3, "{kind}");
    }
}
