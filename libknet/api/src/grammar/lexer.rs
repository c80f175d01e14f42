//! A line cut into words that remember where they stood.

use std::ops::Range;

/// Longest line of a configuration file or a shell, in bytes (limits: row 42).
pub const MAX_LINE: usize = 1024;

/// One word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    /// What it says, without quotes.
    pub text: String,
    /// Where it stands in the line, in bytes, quotes included.
    pub span: Range<usize>,
    /// Whether it was quoted: then it is never a keyword.
    pub quoted: bool,
}

/// Why a line is not made of words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LexError {
    /// Where, in bytes.
    pub span: Range<usize>,
    /// What is wrong.
    pub reason: &'static str,
    /// What would be right.
    pub expected: &'static str,
}

/// Whether the line says nothing: empty, or a comment (`!` or `#` in front).
pub fn is_comment(line: &str) -> bool {
    let line = line.trim_start();
    line.is_empty() || line.starts_with(['!', '#'])
}

/// Cuts `line` at white space. `"a b"` is one word, in which `\"` and `\\` stand for `"` and `\`.
///
/// A quotation mark that is not closed is told along with the words, of which the last begins there: it may
/// be part of free text.
pub fn words(line: &str) -> Result<(Vec<Word>, Option<LexError>), LexError> {
    if line.len() > MAX_LINE {
        let (reason, expected) = ("the line is too long", "at most 1024 bytes");
        return Err(LexError {
            span: 0..0,
            reason,
            expected,
        });
    }
    if let Some((at, c)) = line.char_indices().find(|(_, c)| c.is_control() && *c != '\t') {
        let (reason, expected) = ("a control character", "printable text");
        return Err(LexError {
            span: at..at + c.len_utf8(),
            reason,
            expected,
        });
    }
    let mut words = Vec::new();
    let mut rest = line.char_indices().peekable();
    while let Some(&(start, first)) = rest.peek() {
        if first.is_whitespace() {
            rest.next();
            continue;
        }
        let (mut text, mut quoted, mut open) = (String::new(), false, false);
        let mut end = start;
        while let Some(&(at, c)) = rest.peek() {
            if c.is_whitespace() && !open {
                break;
            }
            rest.next();
            end = at + c.len_utf8();
            match c {
                '"' => (quoted, open) = (true, !open),
                '\\' if open => match rest.next_if(|(_, c)| matches!(c, '"' | '\\')) {
                    Some((at, escaped)) => {
                        end = at + escaped.len_utf8();
                        text.push(escaped);
                    }
                    None => text.push('\\'),
                },
                _ => text.push(c),
            }
        }
        words.push(Word {
            text,
            span: start..end,
            quoted,
        });
        if open {
            let (reason, expected) = ("the quotation mark is not closed", "a closing \"");
            return Ok((
                words,
                Some(LexError {
                    span: start..end,
                    reason,
                    expected,
                }),
            ));
        }
    }
    Ok((words, None))
}

/// `text` as one word that [`words`] reads back.
pub fn quote(text: &str) -> String {
    if !text.is_empty() && !text.contains(|c: char| c.is_whitespace() || c == '"') {
        return text.to_owned();
    }
    let mut quoted = String::from("\"");
    for c in text.chars() {
        if matches!(c, '"' | '\\') {
            quoted.push('\\');
        }
        quoted.push(c);
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(line: &str) -> Vec<String> {
        words(line)
            .expect("words")
            .0
            .into_iter()
            .map(|w| w.text)
            .collect()
    }

    #[test]
    fn words_keep_their_place() {
        let (found, _) = words("  mtu\t1400 ").expect("words");
        assert_eq!(found[0].span, 2..5);
        assert_eq!(found[1].span, 6..10);
        assert_eq!(texts("  mtu\t1400 "), ["mtu", "1400"]);
    }

    #[test]
    fn quotes_join_and_escape() {
        assert_eq!(texts(r#"file "a b\"c\\d" x"#), ["file", r#"a b"c\d"#, "x"]);
        let (_, broken) = words("file \"a b").expect("words");
        assert_eq!(broken.expect("open").span, 5..9);
        assert_eq!(texts(r"C:\dir"), [r"C:\dir"]);
    }

    #[test]
    fn control_characters_are_refused_where_they_stand() {
        assert_eq!(words("mtu \u{1b}[2J").expect_err("escape").span, 4..5);
    }

    proptest::proptest! {
        #[test]
        fn quote_is_undone_by_words(text in "[ -~äö€]{0,40}") {
            let (found, _) = words(&quote(&text)).expect("words");
            proptest::prop_assert_eq!(found.len(), 1);
            proptest::prop_assert_eq!(&found[0].text, &text);
        }

        #[test]
        fn no_line_panics(line in "\\PC{0,60}") {
            let _ = words(&line);
        }
    }
}
