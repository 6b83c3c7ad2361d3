//! Columns padded with blanks, as scripts cut them apart.

use bkctld_core::text;

/// One line of cells padded to the widths; the last cell is as long as it is. A cell that is too
/// long pushes the rest to the right, with one blank between.
pub fn row(widths: &[usize], cells: &[&str]) -> String {
    let mut line = String::new();
    for (at, cell) in cells.iter().enumerate() {
        let cell = text::printable(cell.as_bytes());
        line.push_str(&cell);
        if at + 1 < cells.len() {
            let width = widths.get(at).copied().unwrap_or(0);
            let blanks = width.saturating_sub(cell.chars().count()).max(1);
            line.extend(std::iter::repeat_n(' ', blanks));
        }
    }
    line.truncate(line.trim_end().len());
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_padded_and_never_run_together() {
        assert_eq!(row(&[5, 3], &["ab", "c", "d"]), "ab   c  d");
        assert_eq!(row(&[2, 3], &["abc", "d", ""]), "abc d");
        assert_eq!(row(&[4], &["a\n", "b"]), "a\\n b");
    }
}
