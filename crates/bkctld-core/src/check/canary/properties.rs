//! Properties of every canary.

use super::*;

pub(crate) fn hold(bytes: &[u8]) {
    let words: [&[u8]; 2] = [b"2026-03-02", b"2026-03-01"];
    let has = |word: &[u8]| bytes.windows(word.len()).any(|part| part == word);
    let found = search(bytes, words);
    assert!(found.is_ok());
    let Ok([today, yesterday]) = found else { return };
    assert_eq!(today, has(words[0]));
    // The search stops once today's date is found.
    assert!(today || yesterday == has(words[1]));
}
