//! Properties of everything that may come out of sshd's log pipe.

use super::*;
use crate::sandbox::log_lines::{LINE_LIMIT, LogLines};

pub(crate) fn hold(bytes: &[u8]) {
    let whole = lines(bytes, bytes.len());
    // However the pipe cuts it.
    for piece in [1, 7, 4096] {
        assert_eq!(lines(bytes, piece), whole);
    }
    for line in &whole {
        assert!(line.len() <= LINE_LIMIT);
        if let Some(Login { key: Some(key) }) = login(line) {
            assert_eq!(key.len(), "SHA256:".len() + 43);
            assert_eq!(bkctld_core::text::printable(key.as_bytes()), key);
        }
    }
}

fn lines(bytes: &[u8], piece: usize) -> Vec<Vec<u8>> {
    let (mut lines, mut seen) = (LogLines::default(), Vec::new());
    for piece in bytes.chunks(piece.max(1)) {
        lines.take(piece, |line| seen.push(line.to_vec()));
    }
    lines.rest(|line| seen.push(line.to_vec()));
    seen
}
