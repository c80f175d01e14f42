//! `show ... | include ...`: what is done with an answer before it is printed.
//!
//! Filters choose among the lines of an answer, and where each line is an element of its JSON, among these as well:
//! `show peers | include up | json` has the peers that `show peers | include up` shows. Formats and destinations stand
//! for the whole chain, wherever in it they are.

mod parse;

use regex::Regex;

use knet_api::{
    edit::Context,
    grammar::{Command, Line, Show, parse as parse_line},
};

pub(crate) use self::parse::{divide, last_bar, parse, reason};
use crate::{
    document::{Document, Format},
    file::Existing,
    output::Output,
};

/// The filters and what they do.
const FILTERS: [(&str, &str); 12] = [
    ("begin", "From the first line that fits a regular expression"),
    ("count", "How many rows there are"),
    ("dot", "The graph for Graphviz"),
    ("exclude", "Lines that do not fit a regular expression"),
    ("include", "Lines that fit a regular expression"),
    ("json", "JSON for programs"),
    ("last", "The last lines"),
    ("no-more", "All at once, without stopping at each screen"),
    ("redirect", "Into a file"),
    (
        "section",
        "Lines that fit a regular expression, with what is indented below them",
    ),
    ("svg", "The graph as a picture"),
    ("table", "Lines for people, where JSON is the rule"),
];

/// A line with a `|`: the command, and what can stand behind it.
#[derive(Debug)]
pub(crate) struct Behind {
    pub(crate) command: Command,
    pub(crate) pipes: Pipes,
    /// The byte of the line where it begins.
    pub(crate) start: usize,
}

/// What stands behind a `|` in `line`; `None` where there is none, or where it is a character like others.
pub(crate) fn behind(context: Option<&Context>, line: &str) -> Option<Behind> {
    let (head, Some(start)) = divide(line) else {
        return None;
    };
    let Ok(Line::Command(command)) = parse_line(context, head) else {
        return None;
    };
    let pipes = match &command {
        Command::Show(Show::Topology { .. }) => Pipes::Graph,
        Command::Show(_) | Command::ReloadConfig => Pipes::All,
        Command::Ping { .. }
        | Command::TechSupport { .. }
        | Command::Watch { .. }
        | Command::TestLink { .. } => Pipes::Format,
        _ => return None,
    };
    Some(Behind {
        command,
        pipes,
        start,
    })
}

impl Behind {
    /// What may follow at the end of `line`, and what it means.
    pub(crate) fn help(&self, line: &str) -> Vec<(&'static str, &'static str)> {
        let part = line[self.last_bar(line)..].trim_start();
        let Some((word, _)) = part.split_once(char::is_whitespace) else {
            return self
                .pipes
                .filters()
                .filter(|(name, _)| name.starts_with(part))
                .collect();
        };
        let mut fitting = self.pipes.filters().filter(|(name, _)| name.starts_with(word));
        match (fitting.next(), fitting.next()) {
            (Some(("begin" | "exclude" | "include" | "section", _)), None) => {
                vec![(
                    "REGEX",
                    "A regular expression; with a | in it, between quotation marks",
                )]
            }
            (Some(("last", _)), None) => vec![("<1-1000000>", "How many (lines)")],
            (Some(("redirect", _)), None) => vec![
                ("FILE", "A new file, for this user alone"),
                ("overwrite", "Behind it: in place of a file that is there"),
            ],
            (Some(_), None) => vec![("|", "Another filter"), ("<cr>", "")],
            _ => Vec::new(),
        }
    }

    /// The byte of the line behind its last `|`.
    pub(crate) fn last_bar(&self, line: &str) -> usize {
        last_bar(line, self.start)
    }
}

/// What can be done with the answer of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pipes {
    /// All but graphs.
    All,
    /// All.
    Graph,
    /// It never ends, or asks: only how it is written.
    Format,
}

impl Pipes {
    /// The filters and what they do.
    pub(crate) fn filters(self) -> impl Iterator<Item = (&'static str, &'static str)> + Clone {
        FILTERS.into_iter().filter(move |(name, _)| match *name {
            "dot" | "svg" => self == Self::Graph,
            "json" | "table" => true,
            _ => self != Self::Format,
        })
    }
}

/// One filter.
#[derive(Clone, Debug)]
pub(crate) enum Filter {
    Begin(Regex),
    Count,
    Exclude(Regex),
    Include(Regex),
    Last(usize),
    Section(Regex),
}

/// What stands behind a command.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pipe {
    filters: Vec<Filter>,
    /// How the answer is to be written; `None`: as is the rule.
    pub(crate) format: Option<Format>,
    /// Whether it is not to stop at each screen.
    pub(crate) no_more: bool,
    /// The file that it goes into.
    pub(crate) redirect: Option<(String, Existing)>,
}

impl Pipe {
    /// How a command that prints by itself does so.
    pub(crate) fn output(&self, rule: Output) -> Output {
        self.format
            .map_or(rule, |format| Output::new(format == Format::Json))
    }

    /// What the filters leave of `document`.
    pub(crate) fn apply(&self, mut document: Document) -> Document {
        for filter in &self.filters {
            let lines = document.lines();
            let fit = |regex: &Regex| lines.iter().map(|line| regex.is_match(line)).collect();
            let keep: Vec<bool> = match filter {
                Filter::Include(regex) => fit(regex),
                Filter::Exclude(regex) => lines.iter().map(|line| !regex.is_match(line)).collect(),
                Filter::Begin(regex) => {
                    let first = lines.iter().position(|line| regex.is_match(line));
                    (0..lines.len())
                        .map(|at| first.is_some_and(|first| at >= first))
                        .collect()
                }
                Filter::Last(count) => (0..lines.len()).map(|at| at + count >= lines.len()).collect(),
                Filter::Section(regex) => sections(lines, regex),
                Filter::Count => {
                    document = document.count();
                    continue;
                }
            };
            document.retain(&keep, |note| match filter {
                Filter::Include(regex) | Filter::Section(regex) => regex.is_match(note),
                Filter::Exclude(regex) => !regex.is_match(note),
                Filter::Begin(_) | Filter::Last(_) | Filter::Count => true,
            });
        }
        document
    }
}

/// Whether each line fits, or is indented below one that does.
fn sections(lines: &[String], regex: &Regex) -> Vec<bool> {
    let mut within: Option<usize> = None;
    let inside = |line: &String| {
        let indent = line.len() - line.trim_start().len();
        if within.is_some_and(|outer| indent <= outer) {
            within = None;
        }
        if within.is_none() && regex.is_match(line) {
            within = Some(indent);
        }
        within.is_some()
    };
    lines.iter().map(inside).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn filtered(line: &str) -> (String, String) {
        let lines = ["Name State", "ams1 up", " link 0", "  up", "fra1 down"]
            .map(str::to_owned)
            .to_vec();
        let rows = json!(["ams1", "link", "up", "fra1"]);
        let document = Document::table("things", rows, lines).with_notes(vec!["ams1 is narrow".into()]);
        let (_, start) = divide(line);
        let pipe = parse(line, start.expect("a filter"), Pipes::All).expect("filters");
        let left = pipe.apply(document);
        let written = |format| left.write(format).expect("no graph");
        (written(Format::Text), written(Format::Json))
    }

    #[test]
    fn filters_keep_the_header_and_the_rows_of_json() {
        for (line, text, json) in [
            ("x | include down", "Name State\nfra1 down\n", r#"["fra1"]"#),
            (
                "x | exclude up | exc link|exc narrow",
                "Name State\nfra1 down\n",
                r#"["fra1"]"#,
            ),
            (
                "x | begin ^fra",
                "Name State\nfra1 down\nams1 is narrow\n",
                r#"["fra1"]"#,
            ),
            (
                "x|section ams",
                "Name State\nams1 up\n link 0\n  up\nams1 is narrow\n",
                r#"["ams1","link","up"]"#,
            ),
            (
                "x | last 2 | include .",
                "Name State\n  up\nfra1 down\nams1 is narrow\n",
                r#"["up","fra1"]"#,
            ),
            (
                "x | include \"^ams|^fra\"",
                "Name State\nams1 up\nfra1 down\nams1 is narrow\n",
                r#"["ams1","fra1"]"#,
            ),
        ] {
            let (written, object) = filtered(line);
            assert_eq!(written, text, "{line}");
            assert_eq!(object, format!("{{\"schema\":1,\"things\":{json}}}\n"), "{line}");
        }
        let (text, json) = filtered("x | include up | count");
        assert_eq!(
            (text.as_str(), json.as_str()),
            ("2 rows\n", "{\"count\":2,\"schema\":1}\n")
        );
    }

    #[test]
    fn texts_and_objects_become_what_is_left_of_their_lines() {
        let pipe = parse("x | include b", 3, Pipes::All).expect("filters");
        let text = pipe.apply(Document::text("config", "ab\nc\n"));
        assert_eq!(
            text.write(Format::Json).expect("JSON"),
            "{\"config\":\"ab\\n\",\"schema\":1}\n"
        );
        let object = pipe.apply(Document::object(
            "peer",
            json!({ "a": 1 }),
            vec!["ab".into(), "c".into()],
        ));
        assert_eq!(
            object.write(Format::Json).expect("JSON"),
            "{\"lines\":[\"ab\"],\"schema\":1}\n"
        );
        assert_eq!(object.write(Format::Dot), None);
    }
}
