//! sshd's log, line by line.

/// Splits data from a pipe into lines, keeping at most one of bounded length.
#[derive(Debug, Default)]
pub(crate) struct LogLines {
    line: Vec<u8>,
}

/// The longest line that is held, in bytes; what is longer is cut.
pub(crate) const LINE_LIMIT: usize = 1024;

impl LogLines {
    /// Adds bytes, and returns each line that they complete, without its end.
    pub(crate) fn take(&mut self, bytes: &[u8], mut each: impl FnMut(&[u8])) {
        for &byte in bytes {
            if byte == b'\n' {
                each(self.line.strip_suffix(b"\r").unwrap_or(&self.line));
                self.line.clear();
            } else if self.line.len() < LINE_LIMIT {
                self.line.push(byte);
            }
        }
    }

    /// The unfinished line at the end.
    pub(crate) fn rest(&mut self, each: impl FnOnce(&[u8])) {
        if !self.line.is_empty() {
            each(&self.line);
            self.line.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_whole_bounded_and_without_their_end() {
        let mut lines = LogLines::default();
        let mut seen = Vec::new();
        let mut each = |line: &[u8]| seen.push(line.to_vec());
        lines.take(b"one\r\ntw", &mut each);
        lines.take(b"o\n", &mut each);
        lines.take(&[b'x'; 5000], &mut each);
        lines.rest(&mut each);
        lines.rest(&mut each);
        assert_eq!(seen, [b"one".to_vec(), b"two".to_vec(), vec![b'x'; LINE_LIMIT]]);
    }
}
