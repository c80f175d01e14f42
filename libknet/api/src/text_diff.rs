//! How two configurations differ, for people: lines with `-` and `+` in front, each below the lines of the objects
//! that it is in.
//!
//! It is the unified form without line numbers: a configuration is a tree of named objects, so a line's place is told
//! by the objects around it.

use std::fmt::Write as _;

use crate::{
    edit::Context,
    grammar::schema::{Kind, Mode, rows_in},
    model::Config,
    render::{Contents, object_lines},
};

/// The lines that differ, under a head that names both; nothing where there is no difference.
pub fn text_diff((from_name, from): (&str, &Config), (to_name, to): (&str, &Config)) -> String {
    let mut differ = Differ {
        from,
        to,
        around: Vec::new(),
        shown: 0,
        text: String::new(),
    };
    differ.object(&Context::Global);
    if differ.text.is_empty() {
        return String::new();
    }
    format!("--- {from_name}\n+++ {to_name}\n{}", differ.text)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    From,
    To,
}

struct Differ<'a> {
    from: &'a Config,
    to: &'a Config,
    /// The lines of the objects around the one at hand, outermost first.
    around: Vec<String>,
    /// How many of them are in the text.
    shown: usize,
    text: String,
}

impl Differ<'_> {
    /// An object that is in both.
    fn object(&mut self, context: &Context) {
        let of = |config| Contents::of(config, context);
        let (Some(old), Some(new)) = (of(self.from), of(self.to)) else {
            return;
        };
        if old == new {
            return;
        }
        for row in rows_in(Mode::of(context).rows()) {
            let Kind::Object(opens, _) = row.kind else {
                let (before, after) = (old.lines(context, row, false), new.lines(context, row, false));
                self.lines(&before, &after);
                continue;
            };
            let (before, after) = (old.children(context, opens), new.children(context, opens));
            let mut all: Vec<&Context> = before.iter().chain(&after).collect();
            all.sort_unstable();
            all.dedup();
            for child in all {
                let line = |config| Contents::of(config, child).and_then(|c| c.first_line(row, child));
                match (line(self.from), line(self.to)) {
                    (Some(old), Some(new)) if old == new => {
                        self.around.push(new);
                        self.object(child);
                        self.around.pop();
                        self.shown = self.shown.min(self.around.len());
                    }
                    // The line that begins it differs (a link's addresses); the lines in it follow the new one.
                    (Some(old), Some(new)) => {
                        self.line('-', &old);
                        self.line('+', &new);
                        self.around.push(new);
                        self.shown = self.around.len();
                        self.object(child);
                        self.around.pop();
                        self.shown = self.around.len();
                    }
                    (Some(_), None) => self.whole(Side::From, child),
                    (None, _) => self.whole(Side::To, child),
                }
            }
        }
    }

    /// An object that is in one of them only.
    fn whole(&mut self, side: Side, context: &Context) {
        let (config, mark) = match side {
            Side::From => (self.from, '-'),
            Side::To => (self.to, '+'),
        };
        let depth = self.around.len();
        self.show_around();
        object_lines(config, context, depth, &mut |depth, line| {
            if line != "!" {
                let _ = writeln!(self.text, "{mark}{}{line}", " ".repeat(depth));
            }
        });
    }

    fn lines(&mut self, before: &[String], after: &[String]) {
        if before == after {
            return;
        }
        let stays = |line: &String| before.contains(line) && after.contains(line);
        let in_order = before
            .iter()
            .filter(|line| stays(line))
            .eq(after.iter().filter(|line| stays(line)));
        for line in before.iter().filter(|line| !(in_order && stays(line))) {
            self.line('-', line);
        }
        for line in after.iter().filter(|line| !(in_order && stays(line))) {
            self.line('+', line);
        }
    }

    fn line(&mut self, mark: char, line: &str) {
        self.show_around();
        let _ = writeln!(self.text, "{mark}{}{line}", " ".repeat(self.around.len()));
    }

    fn show_around(&mut self) {
        for (depth, line) in self.around.iter().enumerate().skip(self.shown) {
            let _ = writeln!(self.text, " {}{line}", " ".repeat(depth));
        }
        self.shown = self.around.len();
    }
}
