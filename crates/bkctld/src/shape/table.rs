//! Columns padded with blanks, which scripts can split.

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

/// Rows with each column as wide as its widest cell and two blanks between; an empty cell is `-`, so
/// that a reader who splits at blanks finds every column.
pub fn aligned(rows: &[Vec<String>]) -> Vec<String> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| wide(cell)).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0) + 2).collect();
    rows.iter()
        .map(|cells| {
            let cells: Vec<&str> =
                cells.iter().map(|cell| if cell.is_empty() { "-" } else { cell.as_str() }).collect();
            row(&widths, &cells)
        })
        .collect()
}

/// The displayed width of the cell.
fn wide(cell: &str) -> usize {
    text::printable(cell.as_bytes()).chars().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [["<name>", "<port>"], ["a-long-name", ""], ["b", "22"]];
        let rows: Vec<Vec<String>> = rows.iter().map(|row| row.map(str::to_owned).to_vec()).collect();
        assert_eq!(aligned(&rows), ["<name>       <port>", "a-long-name  -", "b            22"]);
        assert!(aligned(&[]).is_empty());
    }

    #[test]
    fn cells_are_padded_and_never_run_together() {
        assert_eq!(row(&[5, 3], &["ab", "c", "d"]), "ab   c  d");
        assert_eq!(row(&[2, 3], &["abc", "d", ""]), "abc d");
        assert_eq!(row(&[4], &["a\n", "b"]), "a\\n b");
    }
}
