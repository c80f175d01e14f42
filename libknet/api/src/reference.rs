//! The tables as a page for people: every line of the configuration and every command.

use std::fmt::Write as _;

use crate::{
    grammar::{
        commands::{COMMANDS, Scope},
        schema::{Impact, Kind, Mode, Row, rows_in},
        types::{self, ArgumentType, Form, text_of},
    },
    message::Privilege,
    value::Value,
};

/// The reference in Markdown.
pub fn markdown() -> String {
    let mut page = String::from(
        "# Configuration and commands\n\n\
         Made from the grammar tables by a test of `knet-api`; not to be edited by hand.\n\n\
         `<name>` stands for a value (see the end), `[...]` can be left out, `(a | b)` is one or the other. Every\n\
         word can be abbreviated. `no LINE` undoes a line and needs only what stands in front of `::`.\n",
    );
    for mode in Mode::CONFIG {
        let _ = write!(
            page,
            "\n## {}\n\n| line | meaning | default | effect of a change |\n|---|---|---|---|\n",
            title(mode)
        );
        rows_in(mode).for_each(|row| config_line(&mut page, row));
    }
    page.push_str("\n## Commands\n\n| command | meaning | who |\n|---|---|---|\n");
    for command in COMMANDS {
        // The last keyword that must be there says the most.
        let must = command.syntax.split('[').next().unwrap_or_default();
        let word = must
            .split(|c: char| c.is_whitespace() || "(|)".contains(c))
            .rfind(|word| !word.is_empty() && !word.starts_with('<'));
        let meaning = command
            .help
            .iter()
            .find(|(w, _)| Some(*w) == word)
            .map_or("", |(_, help)| *help);
        let who = match (command.scope, command.privilege()) {
            (Scope::Config, _) => "in the configuration",
            (Scope::Exec, Privilege::Operator) => "everybody",
            (Scope::Exec, Privilege::Admin) => "administrators",
        };
        let _ = writeln!(page, "| `{}` | {} | {who} |", escape(command.syntax), meaning);
    }
    page.push_str("\n## Values\n\n| name | form | meaning |\n|---|---|---|\n");
    for argument in types::TYPES {
        value_line(&mut page, argument);
    }
    page
}

const fn title(mode: Mode) -> &'static str {
    match mode {
        Mode::Exec => "Commands",
        Mode::Global => "At the top",
        Mode::Interface => "In an interface",
        Mode::Peer => "In a peer",
        Mode::Link => "In a link",
    }
}

fn config_line(page: &mut String, row: &Row) {
    let syntax = if row.tail.is_empty() {
        row.key.to_owned()
    } else {
        format!("{} :: {}", row.key, row.tail)
    };
    // The words of the key say the least alone, so the last of them tells the meaning.
    let word = row
        .key
        .split(' ')
        .rfind(|word| !word.starts_with('<'))
        .unwrap_or_default();
    let meaning = row
        .help
        .iter()
        .find(|(w, _)| *w == word)
        .map_or("", |(_, help)| *help);
    let mut notes = String::new();
    if row.multi {
        notes.push_str("; any number");
    }
    if row.secret {
        notes.push_str("; names a secret");
    }
    let impact = match row.impact {
        Impact::Live => "none on traffic",
        Impact::Relink => "its links start afresh",
        Impact::Rehandshake => "the session with the peer is made anew",
        Impact::Restart => "the interface starts afresh",
    };
    let default = default_of(row);
    let _ = writeln!(
        page,
        "| `{}` | {meaning}{notes} | {default} | {impact} |",
        escape(&syntax)
    );
}

fn default_of(row: &Row) -> String {
    let Kind::Leaf(_, access) = &row.kind else {
        return String::new();
    };
    let values = access.defaults().into_iter().next().unwrap_or_default();
    let texts: Vec<String> = values
        .iter()
        .filter(|value| **value != Value::Absent)
        .map(text_of)
        .collect();
    if texts.is_empty() {
        String::new()
    } else {
        format!("`{}`", texts.join(" "))
    }
}

fn value_line(page: &mut String, argument: &ArgumentType) {
    let forms: Vec<String> = argument
        .forms
        .iter()
        .map(|form| {
            let notation = match form {
                Form::Range { low, high, .. } => format!("{low} to {high}"),
                form => format!("`{}`", escape(&form.notation())),
            };
            form.requirement().map_or(notation.clone(), |requirement| {
                format!("{notation} {requirement}")
            })
        })
        .collect();
    let _ = writeln!(
        page,
        "| `<{}>` | {} | {} |",
        argument.name,
        forms.join(", "),
        argument.help
    );
}

/// A `|` would end the cell of a table.
fn escape(text: &str) -> String {
    text.replace('|', "\\|")
}
