//! From the bytes that a terminal sends to keys.

use std::collections::VecDeque;

/// A key that was pressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    Char(char),
    Enter,
    Backspace,
    Escape,
    Up,
    Down,
    PageUp,
    PageDown,
    Home,
    End,
    /// Ctrl-C, or the terminal is gone.
    Interrupt,
    /// One that means nothing here.
    Other,
}

/// Longest sequence of one key in bytes.
const LONGEST: usize = 16;

/// Takes the first key from `bytes`. `None`: more bytes are needed to tell. `last`: no more will come for now.
pub(crate) fn take(bytes: &mut VecDeque<u8>, last: bool) -> Option<Key> {
    let first = *bytes.front()?;
    let (key, length) = match first {
        0x03 => (Key::Interrupt, 1),
        b'\r' | b'\n' => (Key::Enter, 1),
        0x08 | 0x7f => (Key::Backspace, 1),
        0x1b => escape(bytes, last)?,
        0..0x20 => (Key::Other, 1),
        0x20..0x7f => (Key::Char(char::from(first)), 1),
        _ => character(bytes, last)?,
    };
    bytes.drain(..length);
    Some(key)
}

/// What begins with ESC: a key that is no character (ECMA-48, section 5.4), or the key itself.
fn escape(bytes: &VecDeque<u8>, last: bool) -> Option<(Key, usize)> {
    match bytes.get(1) {
        None => last.then_some((Key::Escape, 1)),
        Some(b'[' | b'O') => {
            let end = (2..bytes.len().min(LONGEST)).find(|at| matches!(bytes.get(*at), Some(0x40..=0x7e)));
            let Some(end) = end else {
                return (last || bytes.len() >= LONGEST).then_some((Key::Other, bytes.len().min(LONGEST)));
            };
            let parameters: Vec<u8> = bytes.range(2..end).copied().collect();
            let key = match (bytes.get(end), &parameters[..]) {
                (Some(b'A'), _) => Key::Up,
                (Some(b'B'), _) => Key::Down,
                (Some(b'H'), _) | (Some(b'~'), b"1" | b"7") => Key::Home,
                (Some(b'F'), _) | (Some(b'~'), b"4" | b"8") => Key::End,
                (Some(b'~'), b"5") => Key::PageUp,
                (Some(b'~'), b"6") => Key::PageDown,
                _ => Key::Other,
            };
            Some((key, end + 1))
        }
        Some(_) => Some((Key::Other, 2)),
    }
}

/// A character of several bytes.
fn character(bytes: &VecDeque<u8>, last: bool) -> Option<(Key, usize)> {
    let length = match bytes.front()? {
        0xc2..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf4 => 4,
        _ => return Some((Key::Other, 1)),
    };
    if bytes.len() < length {
        return last.then_some((Key::Other, 1));
    }
    let encoded: Vec<u8> = bytes.range(..length).copied().collect();
    let character = std::str::from_utf8(&encoded)
        .ok()
        .and_then(|text| text.chars().next());
    Some(character.map_or((Key::Other, 1), |c| (Key::Char(c), length)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(bytes: &[u8]) -> Vec<Key> {
        let mut bytes: VecDeque<u8> = bytes.iter().copied().collect();
        std::iter::from_fn(|| take(&mut bytes, true)).collect()
    }

    #[test]
    fn keys_are_told_from_each_other() {
        assert_eq!(
            keys("q\u{e4}\r\u{7f}\u{3}".as_bytes()),
            [
                Key::Char('q'),
                Key::Char('\u{e4}'),
                Key::Enter,
                Key::Backspace,
                Key::Interrupt
            ]
        );
        assert_eq!(
            keys(b"\x1b[A\x1bOB\x1b[5~\x1b[6~\x1b[1;5H\x1b[8~\x1b[200~\x1bx\x1b"),
            [
                Key::Up,
                Key::Down,
                Key::PageUp,
                Key::PageDown,
                Key::Home,
                Key::End,
                Key::Other,
                Key::Other,
                Key::Escape
            ]
        );
    }

    #[test]
    fn any_bytes_come_to_an_end() {
        for first in 0..=255 {
            for second in 0..=255 {
                assert!(!keys(&[first, second, b'[', 0x1b, b'[', b'1', first]).is_empty());
            }
        }
        // What is not complete is waited for.
        let mut bytes: VecDeque<u8> = [0x1b, b'['].into();
        assert_eq!(take(&mut bytes, false), None);
        bytes.push_back(b'A');
        assert_eq!(take(&mut bytes, false), Some(Key::Up));
    }
}
