use std::fs;
use std::os::unix::fs::symlink;

use bkctld_core::inc::{Outcome, delete, list};
use bkctld_core::progress::Progress;

use crate::sample::fill;
use crate::volume::{THREADS, name, on_each};

#[test]
fn only_incs_that_are_named_are_deleted_and_nothing_else() {
    on_each(|volume| {
        fill(&volume.jail.data());
        for inc in ["2026-01-01-00", "2026-01-02-00", "2026-01-03-00"] {
            volume.make_clean(inc);
        }
        assert_eq!(volume.try_make("2026-01-03-00").unwrap(), Outcome::AlreadyThere);
        let dir = volume.jail.inc_dir();
        fs::write(dir.join("2026-01-04-00"), "a file").unwrap();
        symlink("2026-01-01-00", dir.join("2026-01-05-00")).unwrap();
        fs::create_dir(dir.join(".hidden")).unwrap();
        fs::create_dir(dir.join("2026-13-01-00")).unwrap();
        let all: Vec<_> = (1..=6).map(|day| name(&format!("2026-01-0{day}-00"))).collect();
        assert_eq!(list(&volume.jail).unwrap(), all[..3]);

        let progress = Progress::default();
        let deleted = delete(&volume.jail, &all[1..], THREADS, &progress).unwrap();
        assert_eq!(deleted.incs, all[1..3]);
        assert!(!deleted.dir_removed);
        assert!(progress.files.into_inner() > 600);
        assert_eq!(
            volume.names(),
            // The index of an inc goes when two newer ones have theirs.
            [
                ".2026-01-01-00.record",
                ".hidden",
                "2026-01-01-00",
                "2026-01-04-00",
                "2026-01-05-00",
                "2026-13-01-00"
            ]
        );
        for other in ["2026-01-04-00", "2026-01-05-00"] {
            fs::remove_file(dir.join(other)).unwrap();
        }
        for other in [".hidden", "2026-13-01-00"] {
            fs::remove_dir(dir.join(other)).unwrap();
        }
        let deleted = delete(&volume.jail, &all, THREADS, &Progress::default()).unwrap();
        assert!(deleted.dir_removed && !dir.exists());
        assert_eq!(delete(&volume.jail, &all, THREADS, &Progress::default()).unwrap().incs, []);
    });
}
