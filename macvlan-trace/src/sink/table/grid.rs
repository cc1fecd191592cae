//! Rows of cells whose columns are known before the first row, so that rows printed one at a time line up.

use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, Row, Table, Width, presets};

/// Columns side by side.
#[derive(Debug)]
pub(super) struct Grid(Vec<Column>);

/// A column.
#[derive(Clone, Copy, Debug)]
pub(super) struct Column {
    title: &'static str,
    size: Size,
    align: CellAlignment,
    gap: u16,
}

/// How wide a column is, and what happens to a wider cell.
#[derive(Clone, Copy, Debug)]
pub(super) enum Size {
    /// This wide; a wider cell wraps within it.
    Wrap(u16),
    /// This wide; a wider cell pushes the rest of its row to the right, so that a row stays one line.
    Push(u16),
    /// As wide as its cell: a last column without a limit.
    Open,
}

impl Column {
    /// A column of text, with two blanks before the next one.
    pub(super) fn text(title: &'static str, size: Size) -> Self {
        Self { title, size, align: CellAlignment::Left, gap: 2 }
    }

    /// A column of numbers.
    pub(super) fn number(title: &'static str, size: Size) -> Self {
        Self { align: CellAlignment::Right, ..Self::text(title, size) }
    }

    /// The same with another distance to the next.
    pub(super) fn gap(self, gap: u16) -> Self {
        Self { gap, ..self }
    }

    /// How many columns of the terminal it takes with its gap; an open one does not say.
    pub(super) fn width(&self) -> u16 {
        match self.size {
            Size::Wrap(width) | Size::Push(width) => width + self.gap,
            Size::Open => 0,
        }
    }
}

impl Grid {
    /// A grid of these columns.
    pub(super) fn new(columns: Vec<Column>) -> Self {
        Self(columns)
    }

    /// The titles as a row.
    pub(super) fn header(&self) -> String {
        self.row(self.0.iter().map(|column| column.title.to_owned()).collect())
    }

    /// A row: one line, or more where a cell wraps; each ends with a newline and without blanks.
    pub(super) fn row(&self, cells: Vec<String>) -> String {
        let mut table = Table::new();
        table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
        table.add_row(Row::from(cells));
        for (shown, column) in table.column_iter_mut().zip(&self.0) {
            shown.set_padding((0, column.gap)).set_cell_alignment(column.align);
            match column.size {
                Size::Wrap(_) => {
                    shown.set_constraint(ColumnConstraint::Absolute(Width::Fixed(column.width())))
                }
                Size::Push(_) => {
                    shown.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(column.width())))
                }
                Size::Open => shown,
            };
        }
        table.trim_fmt() + "\n"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cells(cells: &[&str]) -> Vec<String> {
        cells.iter().map(|&cell| cell.to_owned()).collect()
    }

    #[test]
    fn a_wide_cell_wraps_within_its_column() {
        let grid = Grid::new(vec![Column::text("A", Size::Wrap(4)), Column::number("B", Size::Wrap(3))]);
        assert_eq!(grid.header(), "A       B\n");
        assert_eq!(grid.row(cells(&["abcdef", "12"])), "abcd   12\nef\n");
    }

    #[test]
    fn a_wide_cell_of_an_open_line_pushes_the_rest() {
        let grid = Grid::new(vec![Column::text("A", Size::Push(4)), Column::text("B", Size::Open)]);
        assert_eq!(grid.header(), "A     B\n");
        assert_eq!(grid.row(cells(&["abcdef", "some more words"])), "abcdef  some more words\n");
    }
}
