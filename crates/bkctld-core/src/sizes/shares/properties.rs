//! Properties of every file of an inc's files.

use super::*;

pub(crate) fn hold(bytes: &[u8]) {
    let label = label(bytes);
    let Some(files) = decode(bytes, label) else { return };
    assert!(files.rows.windows(2).all(|pair| pair[0].inode < pair[1].inode));
    assert!(files.ranges.iter().all(|range| range.start < range.end));
    assert!(files.ranges.windows(2).all(|pair| pair[0].end <= pair[1].start));
    let again = encode(&files, label).and_then(|bytes| decode(&bytes, label));
    assert_eq!(again.as_ref(), Some(&files));
    let (Ok(newest), Ok(next)) = ("9998-12-31-23".parse(), "9999-01-01-00".parse()) else { return };
    let _ = files.summed(newest);
    goes_on(files, newest, next);
}

/// The label that the file itself names, so that what follows it is read.
fn label(bytes: &[u8]) -> &[u8] {
    let head = MAGIC.len() + 4 * 8;
    let len = bytes.get(8..).and_then(|rest| rest.first_chunk()).map_or(0, |len| u64::from_le_bytes(*len));
    let end = usize::try_from(len).ok().and_then(|len| head.checked_add(len)).unwrap_or(head);
    bytes.get(head..end).unwrap_or_default()
}

/// The next inc has every other file, and the second half of every range: no byte comes or goes.
fn goes_on(files: Files, newest: IncName, next: IncName) {
    let kept: Vec<(u64, u64)> = files.rows.iter().step_by(2).map(|row| (row.inode, row.bytes)).collect();
    let (rows, _) = extend(files.rows, Some(newest), next, kept.iter().copied());
    assert_eq!(rows.iter().map(|row| (row.inode, row.bytes)).collect::<Vec<_>>(), kept);
    let halves = files.ranges.iter().map(|range| (range.start + (range.end - range.start) / 2, range.end));
    let halves: Vec<(u64, u64)> = halves.collect();
    let wanted: u128 = halves.iter().map(|(start, end)| u128::from(end - start)).sum();
    let (ranges, _) = extend_ranges(files.ranges, Some(newest), next, halves.into_iter());
    assert_eq!(ranges.iter().map(|range| u128::from(range.end - range.start)).sum::<u128>(), wanted);
    assert!(ranges.windows(2).all(|pair| pair[0].end <= pair[1].start));
}
