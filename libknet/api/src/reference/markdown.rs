//! The reference as a page in Markdown.

use std::fmt::Write as _;

use super::{Entry, entries, forms};
use crate::grammar::{
    schema::Mode,
    types::{self, Form},
};

/// The page.
pub fn markdown() -> String {
    let mut page = String::from(
        "# Configuration and commands\n\n\
         Made from the grammar tables by `scripts/generate`; not to be edited by hand. Operation, with a configuration\n\
         explained line by line, is in [operations.md](operations.md).\n\n\
         `<name>` stands for a value (see [values](#values)), `[...]` can be left out, `{...}` as well, and\n\
         be there up to eight times, `(a | b)` is one or the other.\n\
         Every word can be abbreviated. `no LINE` undoes a line and needs only what stands in front of `::`;\n\
         `default LINE` puts a setting back to its default. Lines of the configuration are for administrators (root\n\
         and group `knet`), commands for whom the last column says; operators are in group `knetop`. Whoever is\n\
         neither may do nothing.\n",
    );
    let entries = entries();
    for mode in Mode::CONFIG.into_iter().filter(|mode| mode.rows() == *mode) {
        let title = match mode {
            Mode::Exec | Mode::Global | Mode::Host => "At the top",
            Mode::Interface => "In an interface",
            Mode::Peer => "In a peer",
            Mode::Link => "In a link",
            Mode::Mesh => "In a mesh",
            Mode::Member => "In a member of a mesh",
            Mode::Group => "In a group of peers",
        };
        let _ = write!(
            page,
            "\n## {title}\n\n| line | meaning | values | default | effect of a change | example |\n|---|---|---|---|---|---|\n"
        );
        let lines = entries
            .iter()
            .filter(|entry| entry.is_setting() && entry.place == mode);
        lines.for_each(|entry| setting(&mut page, entry));
    }
    page.push_str("\n## Commands\n\n| command | meaning | example | who |\n|---|---|---|---|\n");
    for entry in entries.iter().filter(|entry| !entry.is_setting()) {
        let who = if entry.config_only {
            "in the configuration"
        } else {
            entry.who()
        };
        let _ = writeln!(
            page,
            "| {} | {} | {} | {who} |",
            code(&entry.syntax),
            entry.meaning,
            code(&entry.example)
        );
    }
    page.push_str("\n## Values\n\n| name | form | meaning |\n|---|---|---|\n");
    for argument in types::TYPES {
        let _ = writeln!(
            page,
            "| {} | {} | {} |",
            code(&format!("<{}>", argument.name)),
            forms(argument, code),
            argument.help
        );
        for (word, help) in argument.forms.iter().flat_map(|form| match form {
            Form::Choice(words) => *words,
            _ => &[],
        }) {
            let _ = writeln!(page, "| | {} | {help} |", code(word));
        }
    }
    page
}

fn setting(page: &mut String, entry: &Entry) {
    let (key, tail) = entry.syntax.split_at(entry.key);
    let syntax = if tail.is_empty() {
        key.to_owned()
    } else {
        format!("{key} ::{tail}")
    };
    let values: Vec<String> = entry
        .arguments
        .iter()
        .map(|argument| forms(argument, code))
        .collect();
    let default = entry.default.as_deref().map(code).unwrap_or_default();
    let _ = writeln!(
        page,
        "| {} | {}{} | {} | {default} | {} | {} |",
        code(&syntax),
        entry.meaning,
        entry.notes(),
        values.join("; "),
        entry.effect(),
        code(&entry.example)
    );
}

/// Typed literally. A `|` would end the cell of a table.
fn code(text: &str) -> String {
    format!("`{}`", text.replace('|', "\\|"))
}
