//! Which files the incs of a jail share, where incs are trees of hard links.
//!
//! A file is in the incs from its first to its last without a gap: an inc takes what is unchanged from the
//! inc before it. So it is enough to know of each file of the newest inc which was its first. What is in
//! older incs only cannot get into another any more; of that the sums are kept, by first and last.

use serde::{Deserialize, Serialize};

use crate::inc::IncName;

/// What so many incs share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Span {
    /// The first inc that has it.
    pub(super) first: IncName,
    /// The last one.
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

/// The sums of the rows of the newest inc.
pub(super) fn summed(rows: &[Row], newest: IncName) -> Vec<Span> {
    merged(rows.iter().map(|row| Span { first: row.first, last: newest, bytes: row.bytes }).collect())
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
            kept.bytes += next.bytes;
        }
        same
    });
    spans
}

const MAGIC: &[u8; 8] = b"bkcrow01";
const INC: usize = 13;
const ROW: usize = 8 + 8 + 2;

/// The rows as bytes; `of` says which inc's they are. None where there are more first incs than can be
/// numbered (the rows are then found anew each time).
pub(super) fn encode(rows: &[Row], of: &[u8]) -> Option<Vec<u8>> {
    let mut firsts: Vec<IncName> = rows.iter().map(|row| row.first).collect();
    firsts.sort_unstable();
    firsts.dedup();
    let mut bytes = Vec::with_capacity(64 + of.len() + firsts.len() * INC + rows.len() * ROW);
    bytes.extend_from_slice(MAGIC);
    for part in [of.len(), firsts.len(), rows.len()] {
        bytes.extend_from_slice(&(part as u64).to_le_bytes());
    }
    bytes.extend_from_slice(of);
    for first in &firsts {
        bytes.extend_from_slice(first.to_string().as_bytes());
    }
    for row in rows {
        let first = u16::try_from(firsts.partition_point(|name| *name < row.first)).ok()?;
        bytes.extend_from_slice(&row.inode.to_le_bytes());
        bytes.extend_from_slice(&row.bytes.to_le_bytes());
        bytes.extend_from_slice(&first.to_le_bytes());
    }
    Some(bytes)
}

/// The rows that these bytes are; none where they are another inc's, or not whole.
pub(super) fn decode(bytes: &[u8], of: &[u8]) -> Option<Vec<Row>> {
    let number = |at: usize| Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?));
    let length = |at: usize| usize::try_from(number(at)?).ok();
    let head = MAGIC.len() + 3 * 8;
    let (len, firsts, rows) = (length(8)?, length(16)?, length(24)?);
    let firsts_at = head.checked_add(len)?;
    let rows_at = firsts_at.checked_add(firsts.checked_mul(INC)?)?;
    let end = rows_at.checked_add(rows.checked_mul(ROW)?)?;
    if !bytes.starts_with(MAGIC) || bytes.len() != end || bytes.get(head..firsts_at)? != of {
        return None;
    }
    let names: Vec<IncName> = bytes
        .get(firsts_at..rows_at)?
        .chunks_exact(INC)
        .map(|name| std::str::from_utf8(name).ok()?.parse().ok())
        .collect::<Option<_>>()?;
    bytes
        .get(rows_at..end)?
        .chunks_exact(ROW)
        .map(|row| {
            let number = |at: usize| Some(u64::from_le_bytes(*row.get(at..)?.first_chunk()?));
            let first = u16::from_le_bytes(*row.get(16..)?.first_chunk()?);
            Some(Row { inode: number(0)?, bytes: number(8)?, first: *names.get(usize::from(first))? })
        })
        .collect()
}

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

    proptest! {
        #[test]
        fn what_is_left_of_the_incs_is_counted_once_whichever_are_deleted(
            incs in histories(), deleted in any::<u16>()
        ) {
            let (rows, mut spans) = run(&incs);
            let newest = name(incs.len() - 1);
            spans.extend(summed(&rows, newest));
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
        fn rows_are_read_back_whole_or_not_at_all(incs in histories(), cut in 0..200_usize) {
            let (rows, _) = run(&incs);
            let bytes = encode(&rows, b"inc").unwrap();
            prop_assert_eq!(decode(&bytes, b"inc"), Some(rows));
            prop_assert_eq!(decode(&bytes, b"other"), None);
            prop_assert_eq!(decode(&bytes[..bytes.len().saturating_sub(cut + 1)], b"inc"), None);
        }
    }
}
