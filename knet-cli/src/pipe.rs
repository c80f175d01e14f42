//! `show ... | include ...`: filters on what is shown.

use std::ops::Range;

use knet_api::grammar::{ErrorKind, SyntaxError};
use serde_json::json;

use crate::output::{Document, SCHEMA};

/// The filters and what they do.
pub(crate) const FILTERS: [(&str, &str); 6] = [
    ("begin", "From the first line with TEXT"),
    ("count", "How many lines there are"),
    ("exclude", "Lines without TEXT"),
    ("include", "Lines with TEXT"),
    ("json", "JSON for programs"),
    ("section", "Lines with TEXT and what is indented below them"),
];

/// One filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Filter {
    Begin(String),
    Count,
    Exclude(String),
    Include(String),
    Json,
    Section(String),
}

/// Divides a line at its first `|` that is not quoted: the command, and where the filters begin.
pub(crate) fn divide(line: &str) -> (&str, Option<usize>) {
    let mut open = false;
    for (at, c) in line.char_indices() {
        match c {
            '"' => open = !open,
            '|' if !open => return (&line[..at], Some(at + 1)),
            _ => {}
        }
    }
    (line, None)
}

/// The filters in `line` from byte `start` on, chained by `|`.
pub(crate) fn parse(line: &str, start: usize) -> Result<Vec<Filter>, SyntaxError> {
    let mut filters = Vec::new();
    let mut at = start;
    for part in line[start..].split('|') {
        filters.push(parse_one(line, at..at + part.len())?);
        at += part.len() + 1;
    }
    Ok(filters)
}

fn parse_one(line: &str, range: Range<usize>) -> Result<Filter, SyntaxError> {
    let part = &line[range.clone()];
    let begin = range.start + (part.len() - part.trim_start().len());
    let (word, text) = part
        .trim()
        .split_once(char::is_whitespace)
        .unwrap_or((part.trim(), ""));
    let mistake = |kind, span, expected: Vec<String>| SyntaxError {
        kind,
        span,
        depth: 0,
        reason: None,
        expected,
        suggestion: None,
    };
    let span = begin..begin + word.len();
    let names = || FILTERS.iter().map(|(name, _)| (*name).to_owned()).collect();
    if word.is_empty() {
        return Err(mistake(ErrorKind::Incomplete, range.end..range.end, names()));
    }
    let fitting: Vec<&str> = FILTERS
        .iter()
        .map(|(name, _)| *name)
        .filter(|name| name.starts_with(word))
        .collect();
    let [name] = fitting[..] else {
        return Err(mistake(ErrorKind::Invalid, span, names()));
    };
    let text = text.trim().to_owned();
    let takes_text = !matches!(name, "count" | "json");
    if takes_text && text.is_empty() {
        return Err(mistake(
            ErrorKind::Incomplete,
            range.end..range.end,
            vec!["TEXT".to_owned()],
        ));
    }
    if !takes_text && !text.is_empty() {
        let end = range.start + part.trim_end().len();
        return Err(mistake(
            ErrorKind::Invalid,
            end - text.len()..end,
            vec!["the end of the line".to_owned()],
        ));
    }
    Ok(match name {
        "begin" => Filter::Begin(text),
        "count" => Filter::Count,
        "exclude" => Filter::Exclude(text),
        "include" => Filter::Include(text),
        "section" => Filter::Section(text),
        _ => Filter::Json,
    })
}

/// What is left of `document`. `json` becomes true where JSON is asked for.
pub(crate) fn apply(mut document: Document, filters: &[Filter], json: &mut bool) -> Document {
    for filter in filters {
        let body = document
            .lines
            .split_off(document.header.min(document.lines.len()));
        let kept: Vec<String> = match filter {
            Filter::Begin(text) => body.into_iter().skip_while(|line| !line.contains(text)).collect(),
            Filter::Exclude(text) => body.into_iter().filter(|line| !line.contains(text)).collect(),
            Filter::Include(text) => body.into_iter().filter(|line| line.contains(text)).collect(),
            Filter::Section(text) => sections(body, text),
            Filter::Count => {
                let count = body.len();
                let json = json!({ "schema": SCHEMA, "count": count });
                document = Document {
                    header: 0,
                    lines: Vec::new(),
                    json,
                };
                vec![format!("{count} lines")]
            }
            Filter::Json => {
                *json = true;
                body
            }
        };
        document.lines.extend(kept);
    }
    document
}

/// The lines that contain `text`, each with the lines below that are indented more.
fn sections(lines: Vec<String>, text: &str) -> Vec<String> {
    let mut within: Option<usize> = None;
    let mut kept = Vec::new();
    for line in lines {
        let indent = line.len() - line.trim_start().len();
        if within.is_some_and(|outer| indent <= outer) {
            within = None;
        }
        if within.is_none() && line.contains(text) {
            within = Some(indent);
        }
        if within.is_some() {
            kept.push(line);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filtered(line: &str) -> Vec<String> {
        let lines = ["Name State", "ams1 up", " link 0", "  up", "fra1 down"]
            .map(str::to_owned)
            .to_vec();
        let document = Document {
            header: 1,
            lines,
            json: json!({}),
        };
        let (_, start) = divide(line);
        let filters = parse(line, start.expect("a filter")).expect("filters");
        apply(document, &filters, &mut false).lines
    }

    #[test]
    fn filters_keep_the_header() {
        assert_eq!(filtered("x | include down"), ["Name State", "fra1 down"]);
        assert_eq!(filtered("x | exclude up | exc link"), ["Name State", "fra1 down"]);
        assert_eq!(filtered("x | begin fra"), ["Name State", "fra1 down"]);
        assert_eq!(
            filtered("x|section ams"),
            ["Name State", "ams1 up", " link 0", "  up"]
        );
        assert_eq!(filtered("x | include up | count"), ["2 lines"]);
    }

    #[test]
    fn mistakes_are_placed() {
        for (line, span) in [
            ("show | grep x", 7..11),
            ("show | count 3", 13..14),
            ("show |", 6..6),
            ("x | include ", 12..12),
        ] {
            assert_eq!(
                parse(line, divide(line).1.expect("a filter"))
                    .expect_err(line)
                    .span,
                span,
                "{line}"
            );
        }
        assert_eq!(divide("description \"a | b\"").1, None);
    }
}
