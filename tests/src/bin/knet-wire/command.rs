//! The language of commands.

/// Which wires, and what.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Command<'a> {
    /// `None`: all.
    pub(crate) wire: Option<usize>,
    pub(crate) action: Action<'a>,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Action<'a> {
    /// Properties for the directions from end a, from end b.
    Set {
        from: [bool; 2],
        properties: &'a str,
    },
    /// Carrier of an end.
    Carrier {
        end: usize,
        on: bool,
    },
    Clear,
    Zero,
    Show {
        json: bool,
    },
    Quit,
}

impl<'a> Command<'a> {
    /// Reads a line; `None`: there is nothing in it.
    pub(crate) fn parse(line: &'a str, wires: usize) -> Result<Option<Self>, String> {
        let line = line.trim();
        let (first, rest) = next_word(line);
        if first.is_empty() || first.starts_with('#') {
            return Ok(None);
        }
        let (wire, line) = match first.parse::<usize>() {
            Ok(number) if number < wires => (Some(number), rest),
            Ok(number) => return Err(format!("there is no wire {number}: the last is {}", wires - 1)),
            Err(_) => (None, line),
        };
        Action::parse(line).map(|action| Some(Self { wire, action }))
    }
}

impl<'a> Action<'a> {
    fn parse(line: &'a str) -> Result<Self, String> {
        let (verb, rest) = next_word(line);
        let set = |from| {
            Ok(Self::Set {
                from,
                properties: rest,
            })
        };
        match (verb, rest) {
            ("a>b", _) => set([true, false]),
            ("b>a", _) => set([false, true]),
            ("both", _) => set([true, true]),
            ("a" | "b", _) => {
                let end = usize::from(verb == "b");
                match rest.split_whitespace().collect::<Vec<_>>()[..] {
                    ["carrier", "off"] => Ok(Self::Carrier { end, on: false }),
                    ["carrier", "on"] => Ok(Self::Carrier { end, on: true }),
                    _ => Err(format!("write `{verb} carrier off` or `{verb} carrier on`")),
                }
            }
            ("clear", "") => Ok(Self::Clear),
            ("zero", "") => Ok(Self::Zero),
            ("show", "") => Ok(Self::Show { json: false }),
            ("show", "json") => Ok(Self::Show { json: true }),
            ("quit", "") => Ok(Self::Quit),
            _ => Err(format!(
                "'{line}' is no command: they begin with a>b, b>a, both, a, b, clear, zero, show or quit, or with \
                 the number of a wire before it"
            )),
        }
    }
}

fn next_word(line: &str) -> (&str, &str) {
    let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    (word, rest.trim_start())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command() {
        let read = |line| Command::parse(line, 2).map(|c| c.map(|c| (c.wire, c.action)));
        let set = |from, properties| Action::Set { from, properties };
        let some = |wire, action| Ok(Some((wire, action)));
        assert_eq!(read("a>b loss 5"), some(None, set([true, false], "loss 5")));
        assert_eq!(read(" 1  b>a  cut "), some(Some(1), set([false, true], "cut")));
        assert_eq!(
            read("both delay 20ms jitter 5ms"),
            some(None, set([true, true], "delay 20ms jitter 5ms"))
        );
        assert_eq!(
            read("0 b carrier off"),
            some(Some(0), Action::Carrier { end: 1, on: false })
        );
        assert_eq!(
            read("a carrier on"),
            some(None, Action::Carrier { end: 0, on: true })
        );
        assert_eq!(read("clear"), some(None, Action::Clear));
        assert_eq!(read("1 zero"), some(Some(1), Action::Zero));
        assert_eq!(read("show"), some(None, Action::Show { json: false }));
        assert_eq!(read("0 show json"), some(Some(0), Action::Show { json: true }));
        assert_eq!(read("quit"), some(None, Action::Quit));
        assert_eq!(read(""), Ok(None));
        assert_eq!(read("  # a remark"), Ok(None));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (line, word) in [
            ("2 show", "no wire 2"),
            ("c>a cut", "'c>a cut'"),
            ("a carrier", "carrier off"),
            ("b carrier maybe", "carrier on"),
            ("show xml", "'show xml'"),
            ("1", "no command"),
        ] {
            let error = Command::parse(line, 2).expect_err(line);
            assert!(error.contains(word), "{line}: {error}");
        }
    }
}
