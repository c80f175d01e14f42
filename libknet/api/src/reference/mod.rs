//! The tables for people: every line of the configuration and every command, with all that is known of it.
//!
//! | as | by |
//! |---|---|
//! | entries, for `find` and `show commands` of the shell | [`entries`], [`find`] |
//! | `docs/cli.md` | [`markdown`] |
//! | parts of the manual pages | [`roff`] |

mod examples;
mod markdown;
pub mod roff;

use std::collections::BTreeSet;

use self::examples::example;
pub use self::markdown::markdown;
use crate::{
    grammar::{
        commands::{self, CommandDef, Scope},
        pattern_of,
        schema::{self, Impact, Kind, Mode, Row},
        syntax::Pattern,
        types::{ArgumentType, Form, text_of},
    },
    message::Privilege,
    value::Value,
};

/// One line of the configuration or one command.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Where it can be typed.
    pub place: Mode,
    /// Where a command can be typed in the configuration only.
    pub config_only: bool,
    /// Its syntax.
    pub syntax: String,
    /// How many bytes of the syntax name the line: what `no` needs. 0: it has no `no`.
    pub key: usize,
    /// What it means, in one sentence.
    pub meaning: &'static str,
    /// Its arguments, each once.
    pub arguments: Vec<&'static ArgumentType>,
    /// The values of a setting that is not configured.
    pub default: Option<String>,
    /// Who may give it.
    pub privilege: Privilege,
    /// What a change does to traffic. `None`: it is a command.
    pub impact: Option<Impact>,
    /// Whether there can be several in one object.
    pub multi: bool,
    /// Whether it names a secret.
    pub secret: bool,
    /// A line of this kind.
    pub example: String,
    /// Everything that help says about its words.
    help: &'static [(&'static str, &'static str)],
}

/// All of them: the configuration from the outside in, then the commands.
pub fn entries() -> Vec<Entry> {
    let rows = Mode::CONFIG
        .into_iter()
        .flat_map(|mode| schema::all().filter(move |row| row.mode == mode))
        .map(of_row);
    rows.chain(commands::all().map(of_command)).collect()
}

/// Entries that speak of `word`, in whatever case: in their syntax, their help or the help of their arguments.
pub fn find(word: &str) -> Vec<Entry> {
    let word = word.to_lowercase();
    let speaks = |text: &str| text.to_lowercase().contains(&word);
    let mut entries = entries();
    entries.retain(|entry| {
        let choices = |argument: &ArgumentType| {
            argument.forms.iter().any(|form| match form {
                Form::Choice(words) => words.iter().any(|(word, help)| speaks(word) || speaks(help)),
                _ => false,
            })
        };
        speaks(&entry.syntax)
            || entry.help.iter().any(|(_, help)| speaks(help))
            || entry
                .arguments
                .iter()
                .any(|argument| speaks(argument.help) || choices(argument))
    });
    entries
}

impl Entry {
    /// Whether it is a line of the configuration.
    pub const fn is_setting(&self) -> bool {
        self.impact.is_some()
    }

    /// Where it can be typed, in words.
    pub const fn where_typed(&self) -> &'static str {
        match (self.place, self.config_only) {
            (_, true) => "in the configuration",
            (Mode::Exec, false) => "outside the configuration",
            (Mode::Global, false) => "at the top of the configuration",
            (Mode::Interface, false) => "in an interface",
            (Mode::Peer, false) => "in a peer",
            (Mode::Link, false) => "in a link",
            (Mode::Mesh, false) => "in a mesh",
            (Mode::Member, false) => "in a member of a mesh",
            (Mode::Group, false) => "in a group of peers",
            (Mode::Host, false) => "among the lines of a host",
        }
    }

    /// Who may give it, in a word.
    pub const fn who(&self) -> &'static str {
        match self.privilege {
            Privilege::Operator => "operators",
            Privilege::Admin => "administrators",
        }
    }

    /// What a change of a setting does to traffic, in words.
    pub const fn effect(&self) -> &'static str {
        match self.impact {
            None => "",
            Some(Impact::Live) => "none on traffic",
            Some(Impact::Relink) => "its links start afresh",
            Some(Impact::Rehandshake) => "the session with the peer is made anew",
            Some(Impact::Restart) => "the interface starts afresh",
        }
    }

    /// What more there is to know of a setting.
    fn notes(&self) -> String {
        let mut notes = String::new();
        if self.multi {
            notes.push_str("; any number");
        }
        if self.secret {
            notes.push_str("; names a file with a secret");
        }
        notes
    }
}

/// The forms of an argument with ranges and units, in words; `code` marks what is typed literally.
fn forms(argument: &ArgumentType, code: impl Fn(&str) -> String) -> String {
    let forms: Vec<String> = argument
        .forms
        .iter()
        .map(|form| {
            let notation = match form {
                Form::Range { low, high, .. } => format!("{low} to {high}"),
                Form::Choice(words) => {
                    let words: Vec<String> = words.iter().map(|(word, _)| code(word)).collect();
                    words.join(", ")
                }
                form => code(&form.notation()),
            };
            match form.requirement() {
                Some(requirement) => format!("{notation} ({requirement})"),
                None => notation,
            }
        })
        .collect();
    forms.join(", ")
}

fn of_row(row: &'static Row) -> Entry {
    // The words of the key say the least alone, so the last of them tells the meaning.
    let word = row.key.split(' ').rfind(|word| !word.starts_with('<'));
    let pattern = pattern_of(row);
    Entry {
        place: row.mode,
        config_only: false,
        syntax: row.syntax(),
        key: row.key.len(),
        meaning: meaning(row.help, word),
        arguments: each_once(pattern.map(Pattern::arguments).unwrap_or_default()),
        default: default_of(row),
        privilege: Privilege::Admin,
        impact: Some(row.impact),
        multi: row.multi,
        secret: row.secret,
        example: pattern
            .map(|pattern| pattern.example(example))
            .unwrap_or_default(),
        help: row.help,
    }
}

fn of_command(command: &'static CommandDef) -> Entry {
    // The last keyword that must be there says the most.
    let must = command.syntax.split('[').next().unwrap_or_default();
    let word = must
        .split(|c: char| c.is_whitespace() || "(|)".contains(c))
        .rfind(|word| !word.is_empty() && !word.starts_with('<'));
    let pattern = command.pattern();
    Entry {
        place: Mode::Exec,
        config_only: command.scope == Scope::Config,
        syntax: command.syntax.to_owned(),
        key: 0,
        meaning: meaning(command.help, word),
        arguments: each_once(pattern.arguments()),
        default: None,
        privilege: command.privilege(),
        impact: None,
        multi: false,
        secret: false,
        example: pattern.example(example),
        help: command.help,
    }
}

fn meaning(help: &'static [(&'static str, &'static str)], word: Option<&str>) -> &'static str {
    help.iter()
        .find(|(w, _)| Some(*w) == word)
        .map_or("", |(_, help)| *help)
}

fn each_once(mut arguments: Vec<&'static ArgumentType>) -> Vec<&'static ArgumentType> {
    let mut seen = BTreeSet::new();
    arguments.retain(|argument| seen.insert(argument.name));
    arguments
}

fn default_of(row: &Row) -> Option<String> {
    let Kind::Leaf(_, access) = &row.kind else {
        return None;
    };
    let values = access.defaults().into_iter().next()?;
    let texts: Vec<String> = values
        .iter()
        .filter(|value| **value != Value::Absent)
        .map(text_of)
        .collect();
    (!texts.is_empty()).then(|| texts.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        edit::Context,
        grammar::{Line, parse, types::TYPES},
    };

    fn context(entry: &Entry) -> Option<Context> {
        let (interface, peer) = ("knet0".to_owned(), "ams1".to_owned());
        match entry.place {
            Mode::Exec if entry.config_only => Some(Context::Global),
            Mode::Exec => None,
            Mode::Global => Some(Context::Global),
            Mode::Interface => Some(Context::Interface { interface }),
            Mode::Peer => Some(Context::Peer { interface, peer }),
            Mode::Mesh => Some(Context::Mesh {
                interface,
                mesh: "rhine".to_owned(),
            }),
            Mode::Member => Some(Context::Member {
                interface,
                mesh: "rhine".to_owned(),
                member: "fra1".to_owned(),
            }),
            Mode::Group => Some(Context::Group {
                interface,
                group: "branches".to_owned(),
            }),
            Mode::Host => Context::on_host("fra1", Context::Global),
            Mode::Link => Some(Context::Link {
                interface,
                peer,
                link: 0,
            }),
        }
    }

    #[test]
    fn every_example_is_a_line_of_its_kind() {
        for entry in entries() {
            let line = parse(context(&entry).as_ref(), &entry.example);
            assert_eq!(
                matches!(line, Ok(Line::Edit(_))),
                entry.is_setting(),
                "{}: {line:?}",
                entry.example
            );
            assert!(line.is_ok(), "{}", entry.example);
            assert!(!entry.meaning.is_empty(), "{} has no meaning", entry.syntax);
        }
    }

    #[test]
    fn every_type_has_an_example() {
        for argument in TYPES {
            assert!(!example(argument.name).is_empty(), "<{}>", argument.name);
        }
    }

    #[test]
    fn examples_are_not_the_defaults() {
        for entry in entries().iter().filter(|entry| entry.default.is_some()) {
            let default = entry.default.as_deref().unwrap_or_default();
            let last = entry.syntax.split(' ').next().unwrap_or_default();
            assert_ne!(entry.example, format!("{last} {default}"));
        }
    }

    #[test]
    fn lines_are_found_by_syntax_help_and_values() {
        let found = |word: &str| {
            let entries = find(word);
            entries.into_iter().map(|entry| entry.syntax).collect::<Vec<_>>()
        };
        assert!(found("MTU").contains(&"mtu-policy <mtu-policy>".to_owned()));
        assert!(found("heartbeat").contains(&"timers <interval> <timeout>".to_owned()));
        assert!(found("round-robin").contains(&"policy <policy>".to_owned()));
        assert!(
            found("saved")
                .iter()
                .chain(&found("save"))
                .any(|syntax| syntax == "write [memory]")
        );
        assert_eq!(found("no such word"), Vec::<String>::new());
        assert_eq!(find("").len(), entries().len());
    }
}
