//! Text in columns.

use super::width::{fitted, limit, shortened};
use crate::privacy::one_line;

/// Fewer characters than this of a shortened cell would say nothing.
const LEAST: usize = 8;

/// The alignment of a column.
#[derive(Clone, Copy, Debug)]
pub(in crate::cli) struct Column {
    right: bool,
    gap: usize,
    width: usize,
    is_optional: bool,
}

impl Column {
    /// A column of words, `gap` blanks after the previous one and at least `width` characters wide.
    pub(in crate::cli) fn left(gap: usize, width: usize) -> Self {
        Self { right: false, gap, width, is_optional: false }
    }

    /// A column of numbers.
    pub(in crate::cli) fn right(gap: usize, width: usize) -> Self {
        Self { right: true, ..Self::left(gap, width) }
    }

    /// The same if it may be left out where there is no room for it.
    pub(in crate::cli) fn optional(self) -> Self {
        Self { is_optional: true, ..self }
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

    /// The lines, as wide as a terminal allows.
    pub(in crate::cli) fn text(&self) -> String {
        self.within(limit())
    }

    /// The lines, each of at most `width` characters, as far as columns of words can be shortened.
    fn within(&self, width: Option<usize>) -> String {
        let mut columns = self.columns.clone();
        if let Some(width) = width {
            let needed = |columns: &[Column]| -> usize {
                columns.iter().filter(|column| column.width > 0).map(|column| column.gap + column.width).sum()
            };
            if needed(&columns) > width {
                // Without a width a column is not shown.
                columns.iter_mut().filter(|column| column.is_optional).for_each(|column| column.width = 0);
            }
            let shown = columns.iter().filter(|column| column.width > 0);
            let room = width.saturating_sub(shown.map(|column| column.gap).sum());
            let widths: Vec<usize> = columns.iter().map(|column| column.width).collect();
            let fitted = fitted(&widths, |at| if self.columns[at].right { widths[at] } else { LEAST }, room);
            columns.iter_mut().zip(fitted).for_each(|(column, width)| column.width = width);
        }
        let mut text = String::new();
        for row in &self.rows {
            let mut line = String::new();
            for (column, cell) in columns.iter().zip(row) {
                // A column without any text takes no space.
                if column.width == 0 {
                    continue;
                }
                let cell = shortened(cell, column.width);
                let pad = " ".repeat(column.width.saturating_sub(cell.chars().count()));
                line.push_str(&" ".repeat(column.gap));
                let (before, after) = if column.right { (pad.as_str(), "") } else { ("", pad.as_str()) };
                line.push_str(before);
                line.push_str(&cell);
                line.push_str(after);
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_shortened_and_numbers_are_not() {
        let mut grid = Grid::new(vec![Column::left(0, 0), Column::right(2, 0), Column::left(2, 0)]);
        grid.row(vec![
            "accelerometer_landing".into(),
            "1,234,567".into(),
            "incremental: 1 of 4 files rewritten".into(),
        ]);
        grid.row(vec!["a".into(), "1".into(), String::new()]);
        assert_eq!(
            grid.within(None),
            "accelerometer_landing  1,234,567  incremental: 1 of 4 files rewritten\na                              1\n"
        );
        assert_eq!(
            grid.within(Some(50)),
            "accelerometer_land…  1,234,567  incremental: 1 of…\na                            1\n"
        );
        assert_eq!(grid.within(Some(20)), "acceler…  1,234,567  increme…\na                 1\n");
    }
}
