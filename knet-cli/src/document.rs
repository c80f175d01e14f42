//! What a command answers: lines for people, and the same as JSON for programs.

use serde_json::{Value, json};

use crate::output::{SCHEMA, clean_json, clean_lines};

/// How an answer is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// Lines for people.
    Text,
    /// One JSON object.
    Json,
    /// A graph in the language of Graphviz.
    Dot,
    /// A picture.
    Svg,
}

/// How lines and JSON belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    /// Each line is an element of an array: what filters leave of the one they leave of the other.
    Rows,
    /// The JSON is the lines as one string.
    Text,
    /// The JSON is an object that has no lines.
    Object,
}

/// An answer.
#[derive(Clone, Debug)]
pub(crate) struct Document {
    name: &'static str,
    value: Value,
    shape: Shape,
    /// Lines above the others, which filters leave alone.
    header: Vec<String>,
    lines: Vec<String>,
    /// Lines below the others that are no rows: they can be filtered, and are not counted.
    notes: Vec<String>,
    graph: Option<Graph>,
    /// What the JSON has besides.
    beside: Vec<(&'static str, Value)>,
}

/// The same as a graph.
#[derive(Clone, Debug)]
pub(crate) struct Graph {
    pub(crate) dot: String,
    pub(crate) svg: String,
}

impl Document {
    /// An object with the lines that describe it.
    pub(crate) fn object(name: &'static str, value: Value, lines: Vec<String>) -> Self {
        Self {
            name,
            value,
            shape: Shape::Object,
            header: Vec::new(),
            lines,
            notes: Vec::new(),
            graph: None,
            beside: Vec::new(),
        }
    }

    /// Rows of a list, one line for each element of the array `value`.
    pub(crate) fn rows(name: &'static str, value: Value, lines: Vec<String>) -> Self {
        debug_assert_eq!(value.as_array().map(Vec::len), Some(lines.len()), "{name}");
        Self {
            shape: Shape::Rows,
            ..Self::object(name, value, lines)
        }
    }

    /// Rows of a table, whose first line is its header.
    pub(crate) fn table(name: &'static str, value: Value, mut lines: Vec<String>) -> Self {
        let rows = lines.split_off(1.min(lines.len()));
        Self {
            header: lines,
            ..Self::rows(name, value, rows)
        }
    }

    /// A text as it is.
    pub(crate) fn text(name: &'static str, text: &str) -> Self {
        Self {
            shape: Shape::Text,
            ..Self::object(name, json!(text), clean_lines(text))
        }
    }

    /// The same with lines below that are no rows.
    #[must_use]
    pub(crate) fn with_notes(self, notes: Vec<String>) -> Self {
        Self { notes, ..self }
    }

    /// The same with something more in its JSON.
    #[must_use]
    pub(crate) fn beside(mut self, name: &'static str, value: Value) -> Self {
        self.beside.push((name, value));
        self
    }

    /// The same as a graph, too.
    #[must_use]
    pub(crate) fn with_graph(self, graph: Graph) -> Self {
        Self {
            graph: Some(graph),
            ..self
        }
    }

    /// The lines that filters work on.
    pub(crate) fn lines(&self) -> &[String] {
        &self.lines
    }

    /// Keeps the lines for which `keep` has `true` at the same place, and the notes for which `note` is true.
    pub(crate) fn retain(&mut self, keep: &[bool], note: impl Fn(&str) -> bool) {
        let kept = |index: usize| keep.get(index).copied().unwrap_or(false);
        let mut index = 0..;
        self.lines.retain(|_| index.next().is_some_and(kept));
        self.notes.retain(|line| note(line));
        match (self.shape, &mut self.value) {
            (Shape::Rows, Value::Array(rows)) => {
                let mut index = 0..;
                rows.retain(|_| index.next().is_some_and(kept));
            }
            (Shape::Text, value) => *value = json!(joined(&self.lines)),
            // What is left of its lines is all that can be said of it.
            (_, value) => {
                *value = json!(self.lines);
                self.name = "lines";
                self.shape = Shape::Rows;
            }
        }
    }

    /// How many rows, or lines, there are.
    pub(crate) fn count(&self) -> Self {
        let count = self.lines.len();
        let of = match (self.shape, count) {
            (Shape::Rows, 1) => "row",
            (Shape::Rows, _) => "rows",
            (_, 1) => "line",
            _ => "lines",
        };
        Self::object("count", json!(count), vec![format!("{count} {of}")])
    }

    /// The text of it; `None` where it is no graph and ought to be one.
    pub(crate) fn write(&self, format: Format) -> Option<String> {
        Some(match format {
            Format::Text => [&self.header, &self.lines, &self.notes]
                .map(|lines| joined(lines))
                .concat(),
            Format::Json => {
                let mut object = json!({ "schema": SCHEMA });
                object[self.name] = clean_json(self.value.clone());
                for (name, value) in &self.beside {
                    object[name] = clean_json(value.clone());
                }
                format!("{object}\n")
            }
            Format::Dot => self.graph.as_ref()?.dot.clone(),
            Format::Svg => self.graph.as_ref()?.svg.clone(),
        })
    }
}

/// The lines with a line end behind each.
fn joined(lines: &[String]) -> String {
    lines.iter().flat_map(|line| [line.as_str(), "\n"]).collect()
}
