use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use super::*;

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus")
}

/// What lies in the corpus of one target, by name.
fn inputs(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let dir = corpus().join(target);
    let entries = fs::read_dir(&dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "{} is empty", dir.display());
    paths.into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

#[test]
fn every_property_holds_of_its_corpus() {
    for (target, holds) in PROPERTIES {
        for (path, bytes) in inputs(target) {
            let held = std::panic::catch_unwind(|| holds(&bytes));
            assert!(held.is_ok(), "{} breaks the property '{target}'", path.display());
        }
    }
}

#[test]
fn the_corpus_of_one_parser_breaks_no_other() {
    let all: BTreeSet<Vec<u8>> =
        PROPERTIES.iter().flat_map(|(target, _)| inputs(target)).map(|(_, bytes)| bytes).collect();
    for (target, holds) in PROPERTIES {
        for bytes in &all {
            let held = std::panic::catch_unwind(|| holds(bytes));
            assert!(held.is_ok(), "{:?} breaks the property '{target}'", String::from_utf8_lossy(bytes));
        }
    }
}

/// Eight times as much of the same may take eight times as long, not sixty-four times.
#[test]
fn no_parser_takes_longer_than_in_proportion() {
    const LITTLE: usize = 16 << 10;
    // What takes less is not worth a measurement that anything may disturb.
    const WORTH_A_LOOK: Duration = Duration::from_millis(150);
    let fastest = |holds: &Property, bytes: &[u8], times: usize| {
        (0..times).map(|_| processor_time(|| holds(bytes))).min().unwrap()
    };
    for (target, holds) in PROPERTIES {
        for (path, bytes) in inputs(target) {
            if bytes.is_empty() {
                continue;
            }
            let of = |len: usize| -> Vec<u8> { bytes.iter().copied().cycle().take(len).collect() };
            let (little, much) = (of(LITTLE), of(8 * LITTLE));
            if fastest(holds, &much, 1) < WORTH_A_LOOK {
                continue;
            }
            let (little, much) = (fastest(holds, &little, 3), fastest(holds, &much, 3));
            assert!(
                much < little * 28,
                "{target}: {} takes {little:?}, eight of it {much:?}",
                path.display()
            );
        }
    }
}
