//! The data that the incs of a jail share, if incs are trees of hard links and clones.
//!
//! A file is in the incs from its first to its last without a gap: an inc takes what is unchanged from the
//! inc before it, or clones it from the live data, where it has been since. So it is enough to know of each
//! inode, or range on disk, of the newest inc which was its first. What is in older incs only cannot get
//! into another any more; of that the sums are kept, by first and last.

use serde::{Deserialize, Serialize};

use crate::inc::IncName;

/// What so many incs share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Span {
    /// The first inc that has it.
    pub(super) first: IncName,
    /// The last inc that has it.
    pub(super) last: IncName,
    pub(super) bytes: u64,
}

/// One file of the newest inc.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) inode: u64,
    pub(super) bytes: u64,
    /// The first inc that has it.
    pub(super) first: IncName,
}

/// One range on disk that files of the newest inc have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct DiskRange {
    pub(super) start: u64,
    pub(super) end: u64,
    /// The first inc that has it.
    pub(super) first: IncName,
}

/// The files of the newest inc.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Files {
    /// In the order of their inodes, each once.
    pub(super) rows: Vec<Row>,
    /// In order; no two of them overlap.
    pub(super) ranges: Vec<DiskRange>,
}

/// Goes on from the files of the newest inc so far (`rows`, by inode) to those of the next: gives back
/// its rows, and what ends with the one before.
pub(super) fn extend(
    rows: Vec<Row>,
    newest: Option<IncName>,
    next: IncName,
    files: impl Iterator<Item = (u64, u64)>,
) -> (Vec<Row>, Vec<Span>) {
    let mut new = Vec::new();
    let mut ended = Vec::new();
    let mut old = rows.into_iter().peekable();
    let mut end = |row: Row| {
        if let Some(last) = newest {
            ended.push(Span { first: row.first, last, bytes: row.bytes });
        }
    };
    for (inode, bytes) in files {
        while let Some(row) = old.next_if(|row| row.inode < inode) {
            end(row);
        }
        let first = old.next_if(|row| row.inode == inode).map_or(next, |row| row.first);
        new.push(Row { inode, bytes, first });
    }
    old.for_each(end);
    (new, merged(ended))
}

/// The same for ranges on disk; those of the next inc are given in order, and no two of them overlap.
pub(super) fn extend_ranges(
    ranges: Vec<DiskRange>,
    newest: Option<IncName>,
    next: IncName,
    new: impl Iterator<Item = (u64, u64)>,
) -> (Vec<DiskRange>, Vec<Span>) {
    let mut taken: Vec<DiskRange> = Vec::new();
    let mut ended = Vec::new();
    let mut end = |first, bytes| ended.extend(newest.map(|last| Span { first, last, bytes }));
    let mut old = ranges.into_iter();
    let mut current = old.next();
    for (mut at, until) in new {
        while at < until {
            // What lies before is nobody's any more.
            while let Some(range) = current.filter(|range| range.start < at) {
                let stop = range.end.min(at);
                end(range.first, stop - range.start);
                current =
                    if stop < range.end { Some(DiskRange { start: stop, ..range }) } else { old.next() };
            }
            let piece = match current {
                Some(range) if range.start == at => {
                    DiskRange { start: at, end: range.end.min(until), first: range.first }
                }
                Some(range) => DiskRange { start: at, end: range.start.min(until), first: next },
                None => DiskRange { start: at, end: until, first: next },
            };
            if let Some(range) = current.filter(|range| range.start == at) {
                current = if piece.end < range.end {
                    Some(DiskRange { start: piece.end, ..range })
                } else {
                    old.next()
                };
            }
            at = piece.end;
            match taken.last_mut() {
                Some(last) if last.end == piece.start && last.first == piece.first => last.end = piece.end,
                _ => taken.push(piece),
            }
        }
    }
    current.into_iter().chain(old).for_each(|range| end(range.first, range.end - range.start));
    (taken, merged(ended))
}

impl Files {
    /// What everything else relies on.
    fn are_in_order(&self) -> bool {
        self.rows.is_sorted_by(|row, next| row.inode < next.inode)
            && self.ranges.iter().all(|range| range.start < range.end)
            && self.ranges.is_sorted_by(|range, next| range.end <= next.start)
    }

    /// What each inc was the first to have.
    pub(super) fn summed(&self, newest: IncName) -> Vec<Span> {
        let span = |first, bytes| Span { first, last: newest, bytes };
        let rows = self.rows.iter().map(|row| span(row.first, row.bytes));
        let ranges = self.ranges.iter().map(|range| span(range.first, range.end - range.start));
        merged(rows.chain(ranges).collect())
    }
}

/// The spans as they are among the incs that are left (`present`, in order): those of which none is left
/// are gone.
pub(super) fn among(spans: &[Span], present: &[IncName]) -> Vec<Span> {
    let left = spans.iter().filter_map(|span| {
        let from = present.partition_point(|name| *name < span.first);
        let to = present.partition_point(|name| *name <= span.last);
        let within = present.get(from..to)?;
        Some(Span { first: *within.first()?, last: *within.last()?, bytes: span.bytes })
    });
    merged(left.collect())
}

/// One span for each pair of first and last.
fn merged(mut spans: Vec<Span>) -> Vec<Span> {
    spans.sort_unstable_by_key(|span| (span.first, span.last));
    spans.dedup_by(|next, kept| {
        let same = (next.first, next.last) == (kept.first, kept.last);
        if same {
            // What was read may be damaged.
            kept.bytes = kept.bytes.saturating_add(next.bytes);
        }
        same
    });
    spans
}

const MAGIC: &[u8; 8] = b"bkcfil01";
const INC: usize = 13;
/// Two numbers, and which of the first incs.
const ENTRY: usize = 8 + 8 + 2;

/// The files as bytes; `of` says which inc's they are. None where there are more first incs than can be
/// numbered (the files are then found anew each time).
pub(super) fn encode(files: &Files, of: &[u8]) -> Option<Vec<u8>> {
    let rows = files.rows.iter().map(|row| (row.inode, row.bytes, row.first));
    let ranges = files.ranges.iter().map(|range| (range.start, range.end, range.first));
    let mut firsts: Vec<IncName> = rows.clone().chain(ranges.clone()).map(|(_, _, first)| first).collect();
    firsts.sort_unstable();
    firsts.dedup();
    let entries = files.rows.len() + files.ranges.len();
    let mut bytes = Vec::with_capacity(64 + of.len() + firsts.len() * INC + entries * ENTRY);
    bytes.extend_from_slice(MAGIC);
    for part in [of.len(), firsts.len(), files.rows.len(), files.ranges.len()] {
        bytes.extend_from_slice(&(part as u64).to_le_bytes());
    }
    bytes.extend_from_slice(of);
    for first in &firsts {
        bytes.extend_from_slice(first.to_string().as_bytes());
    }
    for (one, other, first) in rows.chain(ranges) {
        let first = u16::try_from(firsts.partition_point(|name| *name < first)).ok()?;
        bytes.extend_from_slice(&one.to_le_bytes());
        bytes.extend_from_slice(&other.to_le_bytes());
        bytes.extend_from_slice(&first.to_le_bytes());
    }
    Some(bytes)
}

/// The files that these bytes are; none where they are another inc's, or not whole.
pub(super) fn decode(bytes: &[u8], of: &[u8]) -> Option<Files> {
    let number = |bytes: &[u8], at: usize| Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?));
    let length = |at: usize| usize::try_from(number(bytes, at)?).ok();
    let head = MAGIC.len() + 4 * 8;
    let (len, firsts, rows, ranges) = (length(8)?, length(16)?, length(24)?, length(32)?);
    let firsts_at = head.checked_add(len)?;
    let rows_at = firsts_at.checked_add(firsts.checked_mul(INC)?)?;
    let ranges_at = rows_at.checked_add(rows.checked_mul(ENTRY)?)?;
    let end = ranges_at.checked_add(ranges.checked_mul(ENTRY)?)?;
    if !bytes.starts_with(MAGIC) || bytes.len() != end || bytes.get(head..firsts_at)? != of {
        return None;
    }
    let firsts: Vec<IncName> = bytes
        .get(firsts_at..rows_at)?
        .chunks_exact(INC)
        .map(|name| std::str::from_utf8(name).ok()?.parse().ok())
        .collect::<Option<_>>()?;
    let entry = |entry: &[u8]| {
        let first = u16::from_le_bytes(*entry.get(16..)?.first_chunk()?);
        Some((number(entry, 0)?, number(entry, 8)?, *firsts.get(usize::from(first))?))
    };
    let entries = |from, to| Some(bytes.get(from..to)?.chunks_exact(ENTRY).map(entry));
    let rows = entries(rows_at, ranges_at)?
        .map(|row| row.map(|(inode, bytes, first)| Row { inode, bytes, first }))
        .collect::<Option<_>>()?;
    let ranges = entries(ranges_at, end)?
        .map(|range| range.map(|(start, end, first)| DiskRange { start, end, first }))
        .collect::<Option<_>>()?;
    Some(Files { rows, ranges }).filter(Files::are_in_order)
}

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod properties;

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::*;

    fn name(number: usize) -> IncName {
        format!("2026-01-{:02}-00", number + 1).parse().unwrap()
    }

    fn run(incs: &[BTreeSet<u64>]) -> (Vec<Row>, Vec<Span>) {
        let (mut rows, mut ended, mut newest) = (Vec::new(), Vec::new(), None);
        for (number, files) in incs.iter().enumerate() {
            let next = name(number);
            let (new, more) = extend(rows, newest, next, files.iter().map(|inode| (*inode, inode + 1)));
            (rows, newest) = (new, Some(next));
            ended.extend(more);
        }
        (rows, ended)
    }

    /// Incs as they are made: each keeps some files of the one before, and gets new ones.
    fn histories() -> impl Strategy<Value = Vec<BTreeSet<u64>>> {
        prop::collection::vec((any::<u16>(), 0..6_u64), 1..9).prop_map(|steps| {
            let (mut next, mut incs) = (0, Vec::<BTreeSet<u64>>::new());
            for (kept, new) in steps {
                let before = incs.last().cloned().unwrap_or_default();
                let mut files: BTreeSet<u64> =
                    before.into_iter().filter(|inode| kept >> (inode % 16) & 1 == 1).collect();
                files.extend(next..next + new);
                next += new;
                incs.push(files);
            }
            incs
        })
    }

    /// What a disk can make of the file: nothing in it has a checksum.
    #[test]
    fn files_that_are_in_no_order_or_no_places_are_none() {
        let row = |inode| Row { inode, bytes: 1, first: name(0) };
        let range = |start, end| DiskRange { start, end, first: name(0) };
        for (rows, ranges, good) in [
            (vec![row(1), row(2)], vec![range(0, 5), range(5, 9)], true),
            (vec![row(2), row(1)], vec![], false),
            (vec![row(1), row(1)], vec![], false),
            (vec![], vec![range(5, 3)], false),
            (vec![], vec![range(5, 5)], false),
            (vec![], vec![range(0, 5), range(4, 9)], false),
            (vec![], vec![range(5, 9), range(0, 5)], false),
        ] {
            let files = Files { rows, ranges };
            let read = decode(&encode(&files, b"inc").unwrap(), b"inc");
            assert_eq!(read.is_some(), good, "{files:?}");
        }
    }

    #[test]
    fn sums_that_a_damaged_file_makes_too_large_stay_at_the_largest() {
        let row = |inode| Row { inode, bytes: u64::MAX, first: name(0) };
        let files = Files { rows: vec![row(1), row(2)], ranges: Vec::new() };
        assert_eq!(files.summed(name(1))[0].bytes, u64::MAX);
    }

    proptest! {
        #[test]
        fn what_is_left_of_the_incs_is_counted_once_whichever_are_deleted(
            incs in histories(), deleted in any::<u16>()
        ) {
            let (rows, mut spans) = run(&incs);
            let newest = name(incs.len() - 1);
            spans.extend(Files { rows, ranges: Vec::new() }.summed(newest));
            let left: Vec<usize> =
                (0..incs.len()).filter(|number| deleted >> number & 1 == 0 || *number == incs.len() - 1).collect();
            let present: Vec<IncName> = left.iter().map(|number| name(*number)).collect();
            let among = among(&spans, &present);
            // By hand: every inode belongs to the first inc left that has it.
            let mut expected = BTreeMap::new();
            let mut seen = BTreeSet::new();
            for number in left {
                for inode in &incs[number] {
                    if seen.insert(*inode) {
                        *expected.entry(name(number)).or_insert(0) += inode + 1;
                    }
                }
            }
            let mut found = BTreeMap::new();
            for span in among {
                *found.entry(span.first).or_insert(0) += span.bytes;
            }
            prop_assert_eq!(found, expected);
        }

        #[test]
        fn places_are_counted_as_if_each_byte_were_a_file(incs in histories(), scale in 1..4_u64) {
            // Neighbours become one range, as they do on disk.
            let (mut ranges, mut ended, mut newest) = (Vec::new(), Vec::new(), None);
            let (mut rows, mut rows_ended) = (Vec::new(), Vec::new());
            for (number, files) in incs.iter().enumerate() {
                let next = name(number);
                let mut runs: Vec<(u64, u64)> = Vec::new();
                for inode in files {
                    match runs.last_mut() {
                        Some(last) if last.1 == inode * scale => last.1 += scale,
                        _ => runs.push((inode * scale, (inode + 1) * scale)),
                    }
                }
                let (new, more) = extend_ranges(ranges, newest, next, runs.into_iter());
                prop_assert!(new.windows(2).all(|pair| pair[0].end <= pair[1].start));
                (ranges, ended) = (new, [ended, more].concat());
                let (new, more) = extend(rows, newest, next, files.iter().map(|inode| (*inode, scale)));
                (rows, rows_ended) = (new, [rows_ended, more].concat());
                newest = Some(next);
            }
            prop_assert_eq!(merged(ended), merged(rows_ended));
            let newest = name(incs.len() - 1);
            let ranges = Files { rows: Vec::new(), ranges };
            prop_assert_eq!(ranges.summed(newest), Files { rows, ranges: Vec::new() }.summed(newest));
        }

        #[test]
        fn files_are_read_back_whole_or_not_at_all(incs in histories(), cut in 0..200_usize) {
            let (rows, _) = run(&incs);
            let ranges = rows.iter().map(|row| DiskRange { start: row.inode, end: row.inode + 1, first: row.first });
            let files = Files { ranges: ranges.collect(), rows };
            let bytes = encode(&files, b"inc").unwrap();
            prop_assert_eq!(decode(&bytes, b"inc"), Some(files));
            prop_assert_eq!(decode(&bytes, b"other"), None);
            prop_assert_eq!(decode(&bytes[..bytes.len().saturating_sub(cut + 1)], b"inc"), None);
        }
    }
}
