//! Tables in a terminal: columns and blanks, no lines, so that they can be read, grepped and cut.

use comfy_table::{CellAlignment, Table, presets};

/// A table with these columns.
pub(crate) fn table<const N: usize>(header: [&str; N]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(header);
    table
}

/// The table as text, columns of numbers to the right, no blanks at the end of lines.
pub(crate) fn finish(mut table: Table, numbers: &[usize]) -> String {
    let last = table.column_count().saturating_sub(1);
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, if index == last { 0 } else { 2 }));
        if numbers.contains(&index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let text = table.to_string();
    text.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}
