//! Text in columns.

use crate::privacy::one_line;

/// The alignment of a column.
#[derive(Clone, Copy, Debug)]
pub(in crate::cli) struct Column {
    right: bool,
    gap: usize,
    width: usize,
}

impl Column {
    /// A column of words, `gap` blanks after the previous one and at least `width` characters wide.
    pub(in crate::cli) fn left(gap: usize, width: usize) -> Self {
        Self { right: false, gap, width }
    }

    /// A column of numbers.
    pub(in crate::cli) fn right(gap: usize, width: usize) -> Self {
        Self { right: true, ..Self::left(gap, width) }
    }
}

/// Rows of cells, each column as wide as its widest cell. Lines end without blanks.
#[derive(Debug)]
pub(in crate::cli) struct Grid {
    columns: Vec<Column>,
    rows: Vec<Vec<String>>,
}

impl Grid {
    pub(in crate::cli) fn new(columns: Vec<Column>) -> Self {
        Self { columns, rows: Vec::new() }
    }

    /// Adds a row; cells beyond the columns are dropped.
    pub(in crate::cli) fn row(&mut self, cells: Vec<String>) {
        let cells: Vec<String> = cells.iter().map(|cell| one_line(cell).into_owned()).collect();
        for (column, cell) in self.columns.iter_mut().zip(&cells) {
            column.width = column.width.max(cell.chars().count());
        }
        self.rows.push(cells);
    }

    pub(in crate::cli) fn text(&self) -> String {
        let mut text = String::new();
        for row in &self.rows {
            let mut line = String::new();
            for (column, cell) in self.columns.iter().zip(row) {
                // A column without any text takes no space.
                if column.width == 0 {
                    continue;
                }
                let pad = " ".repeat(column.width - cell.chars().count());
                line.push_str(&" ".repeat(column.gap));
                let (before, after) = if column.right { (pad.as_str(), "") } else { ("", pad.as_str()) };
                line.push_str(before);
                line.push_str(cell);
                line.push_str(after);
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}
