use std::fs;
use std::os::unix::fs::FileExt;

use bkctld_core::inc::{Record, clear_leftovers, list};
use bkctld_core::progress::Progress;

use crate::sample::{assert_same, digest, fill};
use crate::volume::{THREADS, name, on_each, run, settle};

#[test]
fn what_a_crash_leaves_at_any_stage_is_cleared_and_the_next_run_completes() {
    on_each(|volume| {
        fill(&volume.jail.data());
        settle();
        volume.make_clean("2026-01-01-00");
        let whole = digest(&volume.inc("2026-01-01-00"));
        let names = volume.names();
        let dir = volume.jail.inc_dir();
        let copy = |to: &str| {
            run("cp", &["-a", volume.inc("2026-01-01-00").to_str().unwrap(), dir.join(to).to_str().unwrap()]);
        };
        // Killed while copying; before the tree was renamed; while deleting; while a record was written.
        copy(".making.2026-01-02-00");
        fs::write(dir.join(".making.2026-01-02-00.index"), "half").unwrap();
        fs::write(dir.join(".2026-01-02-00.index"), "whole").unwrap();
        copy(".deleting.2025-12-31-00");
        fs::remove_dir_all(dir.join(".deleting.2025-12-31-00/data/plain")).unwrap();
        fs::write(dir.join(".2025-12-31-00.record"), "{}").unwrap();
        fs::write(dir.join(".bkctld-new-x"), "{").unwrap();
        assert_eq!(list(&volume.jail).unwrap(), [name("2026-01-01-00")]);
        clear_leftovers(&volume.jail, THREADS, &Progress::default()).unwrap();
        assert_eq!(volume.names(), names);

        copy(".making.2026-01-02-00");
        let record = volume.make_clean("2026-01-02-00");
        assert_eq!(record.counts.copied, 0);
        assert_eq!(Record::read(&volume.jail, name("2026-01-02-00")).unwrap(), Some(record));
        assert_same(&whole, &digest(&volume.inc("2026-01-02-00")));
        assert_same(&whole, &digest(&volume.inc("2026-01-01-00")));
    });
}

#[test]
fn a_damaged_index_costs_copies_and_nothing_else() {
    on_each(|volume| {
        fill(&volume.jail.data());
        settle();
        volume.make_clean("2026-01-01-00");
        let live = digest(volume.jail.dir());
        let index = volume.jail.inc_dir().join(".2026-01-01-00.index");
        let whole = fs::read(&index).unwrap();
        let len = whole.len();
        let damages: [&dyn Fn(&fs::File); 5] = [
            &|file| file.set_len(0).unwrap(),
            &|file| file.set_len(len as u64 / 2).unwrap(),
            // Wide enough to hit what files lie behind, wherever their blocks are.
            &|file| file.write_all_at(&vec![0; len / 2], len as u64 / 4).unwrap(),
            &|file| file.write_all_at(&vec![0xa5; len - 48], 0).unwrap(),
            &|file| file.write_all_at(&[0xff; 48], len as u64 - 48).unwrap(),
        ];
        for (hour, damage) in damages.iter().enumerate() {
            fs::write(&index, &whole).unwrap();
            damage(&fs::File::options().write(true).open(&index).unwrap());
            let inc = format!("2026-01-02-{hour:02}");
            let record = volume.make_clean(&inc);
            assert!(record.counts.copied + record.counts.cloned > 0, "{hour}");
            assert_same(&live, &digest(&volume.inc(&inc)));
            // The next one is to be based on the first again.
            for left in [inc.clone(), format!(".{inc}.index"), format!(".{inc}.record")] {
                let path = volume.jail.inc_dir().join(left);
                let _ = fs::remove_dir_all(&path).or_else(|_| fs::remove_file(&path));
            }
        }
    });
}
