//! What is to be seen on a terminal after it got some bytes (ECMA-48, as far as the shell and its line editor use it).

/// A screen of characters.
pub(crate) struct Screen {
    columns: usize,
    lines: Vec<Vec<char>>,
    row: usize,
    column: usize,
}

impl Screen {
    /// The screen after `text`.
    pub(crate) fn after(columns: usize, rows: usize, text: &str) -> Self {
        let mut screen = Self {
            columns,
            lines: vec![Vec::new(); rows],
            row: 0,
            column: 0,
        };
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            match c {
                '\u{1b}' if chars.next_if_eq(&'[').is_some() => {
                    let mut parameters = String::new();
                    while let Some(c) = chars.next_if(|c| !c.is_ascii_alphabetic() && *c != '~') {
                        parameters.push(c);
                    }
                    screen.control(chars.next().unwrap_or('m'), &parameters);
                }
                '\u{1b}' => drop(chars.next()),
                '\r' => screen.column = 0,
                '\n' => screen.line_feed(),
                '\u{7}' => {}
                '\u{8}' => screen.column = screen.column.saturating_sub(1),
                c => screen.put(c),
            }
        }
        screen
    }

    /// Its lines without what is empty at their ends, and without empty ones at the end.
    pub(crate) fn lines(&self) -> Vec<String> {
        let text = |line: &Vec<char>| line.iter().collect::<String>().trim_end().to_owned();
        let mut lines: Vec<String> = self.lines.iter().map(text).collect();
        while lines.last().is_some_and(String::is_empty) {
            lines.pop();
        }
        lines
    }

    fn line_feed(&mut self) {
        if self.row + 1 == self.lines.len() {
            self.lines.remove(0);
            self.lines.push(Vec::new());
        } else {
            self.row += 1;
        }
    }

    fn put(&mut self, c: char) {
        if self.column == self.columns {
            self.column = 0;
            self.line_feed();
        }
        let line = &mut self.lines[self.row];
        if line.len() <= self.column {
            line.resize(self.column + 1, ' ');
        }
        line[self.column] = c;
        self.column += 1;
    }

    fn control(&mut self, order: char, parameters: &str) {
        let number = |least: usize| parameters.parse().unwrap_or(least).max(least);
        match order {
            'A' => self.row = self.row.saturating_sub(number(1)),
            'B' => self.row = (self.row + number(1)).min(self.lines.len() - 1),
            'C' => self.column = (self.column + number(1)).min(self.columns - 1),
            'D' => self.column = self.column.saturating_sub(number(1)),
            'H' => (self.row, self.column) = (0, 0),
            'K' => self.lines[self.row].truncate(self.column),
            'J' if number(0) == 2 => self.lines.iter_mut().for_each(Vec::clear),
            'J' => {
                self.lines[self.row].truncate(self.column);
                self.lines[self.row + 1..].iter_mut().for_each(Vec::clear);
            }
            // Colours, modes, bracketed paste.
            _ => {}
        }
    }
}
