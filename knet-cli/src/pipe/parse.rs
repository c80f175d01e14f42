//! From what stands behind the `|` to what is to be done.

use std::ops::Range;

use knet_api::grammar::{ErrorKind, SyntaxError};
use regex::{Regex, RegexBuilder};

use super::{Filter, Format, Pipe, Pipes};
use crate::file::Existing;

/// Memory of one compiled regular expression in bytes: ten times what the longest line makes.
const REGEX_BYTES: usize = 1 << 20;
/// Most lines that `last` takes.
const LAST: usize = 1_000_000;

/// Divides a line at its first `|` that is not quoted: the command, and where the filters begin.
pub(crate) fn divide(line: &str) -> (&str, Option<usize>) {
    match bars(line).next() {
        Some(at) => (&line[..at], Some(at + 1)),
        None => (line, None),
    }
}

/// The byte of `line` behind its last `|` from byte `start` on; `start` if there is none.
pub(crate) fn last_bar(line: &str, start: usize) -> usize {
    bars(&line[start..]).last().map_or(start, |at| start + at + 1)
}

/// Where the `|` are that are neither quoted nor behind a `\`.
fn bars(text: &str) -> impl Iterator<Item = usize> {
    let (mut open, mut escaped) = (false, false);
    text.char_indices().filter_map(move |(at, c)| {
        let after_escape = escaped;
        escaped = c == '\\' && !after_escape;
        match c {
            '"' if !after_escape => open = !open,
            '|' if !after_escape && !open => return Some(at),
            _ => {}
        }
        None
    })
}

/// What `line` has from byte `start` on, chained by `|`.
pub(crate) fn parse(line: &str, start: usize, pipes: Pipes) -> Result<Pipe, SyntaxError> {
    let mut pipe = Pipe::default();
    let mut begin = start;
    let ends: Vec<usize> = bars(&line[start..])
        .map(|at| start + at)
        .chain([line.len()])
        .collect();
    for end in ends {
        let part = Part::of(line, begin..end);
        if pipe.redirect.is_some() {
            return Err(part.invalid(None, vec!["the end of the line".to_owned()]));
        }
        part.read(pipes, &mut pipe)?;
        begin = end + 1;
    }
    Ok(pipe)
}

/// One filter as it was typed.
struct Part<'a> {
    /// Its first word.
    word: &'a str,
    /// Where that is.
    span: Range<usize>,
    /// The rest of it.
    text: &'a str,
    /// Where that is; where it would begin if there is none.
    text_span: Range<usize>,
}

impl<'a> Part<'a> {
    fn of(line: &'a str, range: Range<usize>) -> Self {
        let part = &line[range.clone()];
        let begin = range.start + (part.len() - part.trim_start().len());
        let (word, text) = part
            .trim()
            .split_once(char::is_whitespace)
            .unwrap_or((part.trim(), ""));
        let text = text.trim();
        let text_span = if text.is_empty() {
            range.end..range.end
        } else {
            let end = range.start + part.trim_end().len();
            end - text.len()..end
        };
        let span = if word.is_empty() {
            range.end..range.end
        } else {
            begin..begin + word.len()
        };
        Self {
            word,
            span,
            text,
            text_span,
        }
    }

    fn read(&self, pipes: Pipes, pipe: &mut Pipe) -> Result<(), SyntaxError> {
        let after_regex = !matches!(pipe.filters.last(), None | Some(Filter::Count | Filter::Last(_)));
        match self.name(pipes, after_regex)? {
            "count" => pipe.filters.push(self.nothing(Filter::Count)?),
            "json" => pipe.format = Some(self.nothing(Format::Json)?),
            "table" => pipe.format = Some(self.nothing(Format::Text)?),
            "dot" => pipe.format = Some(self.nothing(Format::Dot)?),
            "svg" => pipe.format = Some(self.nothing(Format::Svg)?),
            "no-more" => pipe.no_more = self.nothing(true)?,
            "begin" => pipe.filters.push(Filter::Begin(self.regex()?)),
            "exclude" => pipe.filters.push(Filter::Exclude(self.regex()?)),
            "include" => pipe.filters.push(Filter::Include(self.regex()?)),
            "section" => pipe.filters.push(Filter::Section(self.regex()?)),
            "last" => pipe.filters.push(Filter::Last(self.number()?)),
            _ => pipe.redirect = Some(self.file()?),
        }
        Ok(())
    }

    /// The filter that the first word names; it can be abbreviated.
    fn name(&self, pipes: Pipes, after_regex: bool) -> Result<&'static str, SyntaxError> {
        let names = || pipes.filters().map(|(name, _)| name.to_owned()).collect();
        if self.word.is_empty() {
            return Err(mistake(ErrorKind::Incomplete, self.span.clone(), None, names()));
        }
        let fitting: Vec<&str> = pipes
            .filters()
            .map(|(name, _)| name)
            .filter(|name| name.starts_with(self.word))
            .collect();
        if let [name] = fitting[..] {
            return Ok(name);
        }
        // `include a|b` is meant to be one.
        let reason = after_regex.then(|| {
            "a | that belongs to a regular expression stands between quotation marks: \"a|b\"".to_owned()
        });
        Err(mistake(ErrorKind::Invalid, self.span.clone(), reason, names()))
    }

    fn nothing<T>(&self, value: T) -> Result<T, SyntaxError> {
        if self.text.is_empty() {
            return Ok(value);
        }
        Err(self.invalid_text(None, vec!["the end of the line".to_owned()]))
    }

    fn regex(&self) -> Result<Regex, SyntaxError> {
        let expected = || vec!["REGEX".to_owned()];
        if self.text.is_empty() {
            return Err(mistake(
                ErrorKind::Incomplete,
                self.text_span.clone(),
                None,
                expected(),
            ));
        }
        let (text, rest) = self.unquoted()?;
        // Without quotation marks everything belongs to it.
        let text = if self.text.starts_with('"') && rest.is_empty() {
            text
        } else {
            self.text.to_owned()
        };
        RegexBuilder::new(&text)
            .size_limit(REGEX_BYTES)
            .build()
            .map_err(|error| self.invalid_text(Some(reason(&error)), vec!["a regular expression".to_owned()]))
    }

    fn number(&self) -> Result<usize, SyntaxError> {
        let expected = || vec![format!("<1-{LAST}> (lines)")];
        match self.text.parse() {
            _ if self.text.is_empty() => Err(mistake(
                ErrorKind::Incomplete,
                self.text_span.clone(),
                None,
                expected(),
            )),
            Ok(count @ 1..=LAST) => Ok(count),
            _ => Err(self.invalid_text(None, expected())),
        }
    }

    fn file(&self) -> Result<(String, Existing), SyntaxError> {
        if self.text.is_empty() {
            let expected = vec!["FILE [overwrite]".to_owned()];
            return Err(mistake(
                ErrorKind::Incomplete,
                self.text_span.clone(),
                None,
                expected,
            ));
        }
        match self.unquoted()? {
            (file, "") => Ok((file, Existing::Refuse)),
            (file, word) if "overwrite".starts_with(word) => Ok((file, Existing::Replace)),
            (_, rest) => {
                let span = self.text_span.end - rest.len()..self.text_span.end;
                let expected = vec!["overwrite".to_owned(), "the end of the line".to_owned()];
                Err(mistake(ErrorKind::Invalid, span, None, expected))
            }
        }
    }

    /// The first word of the text, which may be quoted, and what is behind it.
    fn unquoted(&self) -> Result<(String, &'a str), SyntaxError> {
        let Some(inner) = self.text.strip_prefix('"') else {
            let (word, rest) = self
                .text
                .split_once(char::is_whitespace)
                .unwrap_or((self.text, ""));
            return Ok((word.to_owned(), rest.trim_start()));
        };
        let (mut text, mut chars) = (String::new(), inner.char_indices());
        while let Some((at, c)) = chars.next() {
            match c {
                '"' => return Ok((text, inner[at + 1..].trim_start())),
                // Of the escapes only that of the quotation mark is ours; the others are the regular expression's.
                '\\' => match chars.next() {
                    Some((_, '"')) => text.push('"'),
                    Some((_, other)) => text.extend(['\\', other]),
                    None => text.push('\\'),
                },
                _ => text.push(c),
            }
        }
        let reason = Some("the quotation mark is not closed".to_owned());
        Err(self.invalid_text(reason, vec!["a closing \"".to_owned()]))
    }

    fn invalid(&self, reason: Option<String>, expected: Vec<String>) -> SyntaxError {
        mistake(ErrorKind::Invalid, self.span.clone(), reason, expected)
    }

    fn invalid_text(&self, reason: Option<String>, expected: Vec<String>) -> SyntaxError {
        mistake(ErrorKind::Invalid, self.text_span.clone(), reason, expected)
    }
}

fn mistake(
    kind: ErrorKind,
    span: Range<usize>,
    reason: Option<String>,
    expected: Vec<String>,
) -> SyntaxError {
    SyntaxError {
        kind,
        span,
        depth: 0,
        reason,
        expected,
        suggestion: None,
    }
}

/// What is wrong with a regular expression, in one line: the last of those that the library gives.
pub(crate) fn reason(error: &regex::Error) -> String {
    let text = error.to_string();
    let last = text.lines().last().unwrap_or_default();
    last.trim_start_matches("error: ").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Pipe, SyntaxError> {
        parse(line, divide(line).1.expect("a filter"), Pipes::All)
    }

    #[test]
    fn mistakes_are_placed_and_explained() {
        for (line, span, reason) in [
            ("show | grep x", 7..11, None),
            ("show | count 3", 13..14, None),
            ("show |", 6..6, None),
            ("x | include ", 12..12, None),
            ("x | include a(", 12..14, Some("unclosed group")),
            (
                "x | include \"a",
                12..14,
                Some("the quotation mark is not closed"),
            ),
            ("x | last", 8..8, None),
            ("x | last 0", 9..10, None),
            ("x | last many", 9..13, None),
            ("x | redirect f over it", 15..22, None),
            ("x | redirect f | count", 17..22, None),
            ("x | dot", 4..7, None),
            (
                "x | include up|down",
                15..19,
                Some("a | that belongs to a regular expression stands between quotation marks: \"a|b\""),
            ),
        ] {
            let error = parsed(line).expect_err(line);
            assert_eq!((error.span, error.reason.as_deref()), (span, reason), "{line}");
        }
        assert_eq!(divide("description \"a | b\"").1, None);
    }

    #[test]
    fn words_are_abbreviated_and_files_quoted() {
        let pipe = parsed("x | inc a\\|b | l 3 | j | no | red \"my file\" over").expect("filters");
        let [Filter::Include(regex), Filter::Last(3)] = &pipe.filters[..] else {
            panic!("{pipe:?}")
        };
        assert!(regex.is_match("a|b") && !regex.is_match("a"));
        assert_eq!(pipe.format, Some(Format::Json));
        assert!(pipe.no_more);
        assert_eq!(pipe.redirect, Some(("my file".to_owned(), Existing::Replace)));
        // The last format counts.
        assert_eq!(
            parsed("x | json | table").expect("filters").format,
            Some(Format::Text)
        );
    }

    #[test]
    fn a_regular_expression_cannot_grow_without_bound() {
        let error = parsed("x | include (a{1000}){1000}").expect_err("too large");
        assert!(error.reason.expect("a reason").contains("size limit"));
    }
}
