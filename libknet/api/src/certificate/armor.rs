//! How certificates and revocation lists are written into files: as base64 between two lines that say what it is (RFC
//! 7468). What is outside of these lines is for people.

use crate::value::{base64_decode_all, base64_encode};

/// Characters of base64 in a line.
const WIDTH: usize = 64;

/// What a block holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Label {
    /// `KNET CERTIFICATE`
    Certificate,
    /// `KNET REVOCATION LIST`
    RevocationList,
}

impl Label {
    const fn text(self) -> &'static str {
        match self {
            Self::Certificate => "KNET CERTIFICATE",
            Self::RevocationList => "KNET REVOCATION LIST",
        }
    }

    fn begin(self) -> String {
        format!("-----BEGIN {}-----", self.text())
    }

    fn end(self) -> String {
        format!("-----END {}-----", self.text())
    }
}

/// Why a file cannot be read: the text says what is wrong, and what would be right.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {text}")]
pub struct ArmorError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub text: String,
}

/// A block of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// The line in which it begins, from 1.
    pub line: usize,
    /// What it holds.
    pub bytes: Vec<u8>,
}

/// Writes a block, with a line end behind it.
pub fn write(label: Label, bytes: &[u8]) -> String {
    let base64 = base64_encode(bytes);
    let mut text = label.begin();
    let mut rest = base64.as_str();
    while !rest.is_empty() {
        let (line, more) = rest.split_at(rest.len().min(WIDTH));
        text.push('\n');
        text.push_str(line);
        rest = more;
    }
    text.push('\n');
    text.push_str(&label.end());
    text.push('\n');
    text
}

/// All blocks of a file of this kind.
///
/// # Errors
/// A block of another kind, one that does not end, or one that is not base64.
pub fn read(label: Label, file: &[u8]) -> Result<Vec<Block>, ArmorError> {
    let (mut blocks, mut open) = (Vec::new(), None::<(usize, String)>);
    for (index, line) in file.split(|byte| *byte == b'\n').enumerate() {
        let wrong = |text: String| ArmorError {
            line: index + 1,
            text,
        };
        let line = line.trim_ascii();
        let is_mark = line.starts_with(b"-----");
        match &mut open {
            None if !is_mark => {}
            None if line == label.begin().as_bytes() => open = Some((index + 1, String::new())),
            None => {
                return Err(wrong(format!(
                    "{}; expected: {}",
                    String::from_utf8_lossy(line.get(..80).unwrap_or(line)),
                    label.begin()
                )));
            }
            Some((begun, base64)) if is_mark => {
                if line != label.end().as_bytes() {
                    return Err(wrong(format!(
                        "the block of line {begun} does not end here; expected: {}",
                        label.end()
                    )));
                }
                let bytes = base64_decode_all(base64).ok_or_else(|| {
                    wrong(format!(
                        "the block that began in line {begun} is not base64, or not all of it"
                    ))
                })?;
                blocks.push(Block { line: *begun, bytes });
                open = None;
            }
            Some((_, base64)) => {
                let text = std::str::from_utf8(line).map_err(|_| wrong("not base64".to_owned()))?;
                base64.push_str(text);
            }
        }
    }
    match open {
        Some((line, _)) => Err(ArmorError {
            line,
            text: format!(
                "the block that begins here does not end; expected: {}",
                label.end()
            ),
        }),
        None => Ok(blocks),
    }
}
