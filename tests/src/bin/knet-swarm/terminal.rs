//! A shell on a terminal, as a person has it (`script` of the base system makes the terminal).

use std::{
    io::{Read, Write},
    path::Path,
    process::{ChildStdin, Command, Stdio},
    sync::mpsc::{self, Receiver},
    time::{Duration, Instant},
};

use knet_tests::lab::{LabError, Result, process::Process, program};

/// How long any answer may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// Takes back what stands in the line (Ctrl-U).
const CLEAR: &str = "\x15";

/// A shell that waits for keys.
pub(crate) struct Terminal {
    keys: ChildStdin,
    output: Receiver<Vec<u8>>,
    /// What the prompt begins with.
    host: String,
    /// What the last line was made with, so far.
    raw: Vec<u8>,
    // Killed when the terminal is dropped: the shell ends with it.
    _script: Process,
}

impl Terminal {
    /// Begins a shell with the daemon at `socket`, whose name is `host`.
    pub(crate) fn open(socket: &Path, host: &str) -> Result<Self> {
        let shell = program("knet-cli")?;
        let run = format!(
            "stty cols 200 rows 50; exec {} --socket {}",
            shell.display(),
            socket.display()
        );
        let mut script = Process::spawn(
            Command::new("script")
                .args(["--quiet", "--return", "--flush", "--command", &run, "/dev/null"])
                .env("TERM", "xterm")
                .env("NO_COLOR", "1")
                .env("LC_ALL", "C.UTF-8")
                .stdin(Stdio::piped())
                .stdout(Stdio::piped()),
        )?;
        let no_pipe = || LabError::new("`script` has no pipes");
        let keys = script.pipes().stdin.take().ok_or_else(no_pipe)?;
        let mut shown = script.pipes().stdout.take().ok_or_else(no_pipe)?;
        let (sender, output) = mpsc::channel();
        std::thread::spawn(move || {
            let mut buffer = vec![0; 64 * 1024];
            while let Ok(count @ 1..) = shown.read(&mut buffer) {
                if sender.send(buffer[..count].to_vec()).is_err() {
                    return;
                }
            }
        });
        let mut terminal = Self {
            keys,
            output,
            host: host.to_owned(),
            raw: Vec::new(),
            _script: script,
        };
        terminal.press("", |terminal, shown| terminal.prompts(shown, ""))?;
        Ok(terminal)
    }

    /// Types a line and Enter. Tells how long it takes until the next prompt, and what is shown up to it.
    pub(crate) fn enter(&mut self, line: &str) -> Result<(Duration, String)> {
        self.press(&format!("{line}\r"), |terminal, shown| {
            shown.contains('\n') && terminal.prompts(shown, "")
        })
    }

    /// Types the beginning of a line, then `key`, and takes it back. Tells how long it takes from the key until the line
    /// is there again and is `after`, and what is shown up to it.
    pub(crate) fn ask(&mut self, line: &str, key: &str, after: &str) -> Result<(Duration, String)> {
        self.press(line, |terminal, shown| terminal.prompts(shown, line))?;
        // An answer above the line leaves it as it was.
        let is_below = |shown: &str| line != after || shown.contains('\n');
        let answer = self.press(key, |terminal, shown| {
            is_below(shown) && terminal.prompts(shown, after)
        })?;
        self.press(CLEAR, |terminal, shown| terminal.prompts(shown, ""))?;
        Ok(answer)
    }

    /// Whether the last line that is shown is a prompt with `line` behind it.
    fn prompts(&self, shown: &str, line: &str) -> bool {
        let last = shown.rsplit('\n').next().unwrap_or_default();
        last.strip_prefix(&self.host)
            .and_then(|rest| rest.split_once("# "))
            .is_some_and(|(_, typed)| typed == line)
    }

    fn press(&mut self, keys: &str, there: impl Fn(&Self, &str) -> bool) -> Result<(Duration, String)> {
        let began = Instant::now();
        self.keys.write_all(keys.as_bytes())?;
        self.keys.flush()?;
        loop {
            let left = PATIENCE.saturating_sub(began.elapsed());
            let more = self.output.recv_timeout(left);
            self.raw.extend(more.as_deref().unwrap_or_default());
            let text = visible(&String::from_utf8_lossy(&self.raw));
            if more.is_err() {
                return Err(LabError::new(format!("{keys:?}: the shell shows only {text:?}")));
            }
            if there(self, &text) {
                let took = began.elapsed();
                let last = self.raw.iter().rposition(|byte| *byte == b'\n');
                self.raw.drain(..last.map_or(0, |at| at + 1));
                return Ok((took, text));
            }
        }
    }
}

/// What is to be seen of a text for a terminal (ECMA-48), as far as a line editor goes: it writes in one line.
fn visible(text: &str) -> String {
    let (mut lines, mut line, mut column) = (String::new(), Vec::new(), 0_usize);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\u{1b}' if chars.next_if_eq(&'[').is_some() => {
                let mut parameter = String::new();
                while let Some(c) = chars.next_if(|c| !('\u{40}'..='\u{7e}').contains(c)) {
                    parameter.push(c);
                }
                match chars.next() {
                    Some('C') => column += parameter.parse().unwrap_or(1),
                    Some('D') => column = column.saturating_sub(parameter.parse().unwrap_or(1)),
                    Some('J' | 'K') => line.truncate(column),
                    _ => {}
                }
            }
            '\u{1b}' => drop(chars.next()),
            '\r' => column = 0,
            '\n' => {
                lines.extend(line.drain(..));
                lines.push('\n');
            }
            '\u{8}' => column = column.saturating_sub(1),
            c if c.is_control() => {}
            c => {
                if line.len() <= column {
                    line.resize(column + 1, ' ');
                }
                line[column] = c;
                column += 1;
            }
        }
    }
    lines.extend(line);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_what_is_left_of_all_that_was_written_in_it() {
        let text = "one\r\n\u{1b}[?2004h\r\u{1b}[Khub# \r\u{1b}[5Cshow\u{8}\u{1b}[1D\u{1b}[Kx\u{7}";
        assert_eq!(visible(text), "one\nhub# shx");
    }
}
