//! Tables: a header, columns wide enough for what is in them.

use unicode_width::UnicodeWidthStr as _;

/// How a column is aligned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Align {
    Left,
    Right,
}

/// The lines of a table: a header, then the rows.
pub(crate) fn table(columns: &[(&str, Align)], rows: &[Vec<String>]) -> Vec<String> {
    let width = |index: usize| {
        let cells = rows
            .iter()
            .filter_map(|row| row.get(index))
            .map(|cell| cell.width());
        cells.chain([columns[index].0.width()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns.len()).map(width).collect();
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let mut line = String::new();
        for (index, cell) in cells.enumerate() {
            let Some((_, align)) = columns.get(index) else {
                break;
            };
            let padding = " ".repeat(widths[index] - cell.width());
            if index > 0 {
                line.push_str("  ");
            }
            match align {
                Align::Left => line.extend([cell, &padding]),
                Align::Right => line.extend([&padding, cell]),
            }
        }
        line.truncate(line.trim_end().len());
        line
    };
    let mut lines = vec![line(&mut columns.iter().map(|(name, _)| *name))];
    lines.extend(rows.iter().map(|row| line(&mut row.iter().map(String::as_str))));
    lines
}

/// Words and what they mean, one pair on each line.
pub(crate) fn pairs<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)> + Clone) -> Vec<String> {
    let width = pairs.clone().map(|(word, _)| word.width()).max().unwrap_or(0);
    pairs
        .map(|(word, text)| {
            let padding = " ".repeat(width - word.width());
            format!("  {word}{padding}  {text}").trim_end().to_owned()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let rows = [
            vec!["ä".to_owned(), "1".to_owned()],
            vec!["long".to_owned(), "20".to_owned()],
        ];
        let lines = table(&[("Name", Align::Left), ("N", Align::Right)], &rows);
        assert_eq!(lines, ["Name   N", "ä      1", "long  20"]);
        assert_eq!(table(&[("Name", Align::Left)], &[]), ["Name"]);
    }
}
