//! Keys one by one, as they are pressed.

use std::{
    collections::VecDeque,
    io::{self, Stdin},
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr},
};

use super::keys::{Key, take};

/// How soon the rest of a key follows its first byte.
const REST: Duration = Duration::from_millis(50);

/// The keys of the terminal on standard input: without echo, without waiting for the end of a line, and with Ctrl-C as a
/// key. As before when it is dropped.
pub(crate) struct Keyboard {
    terminal: Stdin,
    before: Termios,
    bytes: VecDeque<u8>,
}

impl Keyboard {
    pub(crate) fn open() -> io::Result<Self> {
        let terminal = io::stdin();
        let before = tcgetattr(&terminal)?;
        let mut modes = before.clone();
        modes.local_modes.remove(
            LocalModes::ICANON
                | LocalModes::ECHO
                | LocalModes::ECHONL
                | LocalModes::ISIG
                | LocalModes::IEXTEN,
        );
        tcsetattr(&terminal, OptionalActions::Now, &modes)?;
        Ok(Self {
            terminal,
            before,
            bytes: VecDeque::new(),
        })
    }

    /// The next key; `None` if none is pressed for so long.
    pub(crate) fn key(&mut self, wait: Duration) -> io::Result<Option<Key>> {
        let deadline = Instant::now() + wait;
        loop {
            if let Some(key) = take(&mut self.bytes, false) {
                return Ok(Some(key));
            }
            let left = if self.bytes.is_empty() {
                deadline.saturating_duration_since(Instant::now())
            } else {
                REST
            };
            if !self.readable(left)? {
                // What is half a key by now stays one.
                return Ok(take(&mut self.bytes, true));
            }
            let mut buffer = [0; 64];
            match rustix::io::read(&self.terminal, &mut buffer) {
                Ok(0) => return Ok(Some(Key::Interrupt)),
                Ok(count) => self.bytes.extend(buffer.iter().take(count)),
                Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn readable(&self, wait: Duration) -> io::Result<bool> {
        let wait = Timespec {
            tv_sec: wait.as_secs().min(3600) as _,
            tv_nsec: wait.subsec_nanos().into(),
        };
        let mut fds = [PollFd::new(&self.terminal, PollFlags::IN)];
        match poll(&mut fds, Some(&wait)) {
            Ok(count) => Ok(count > 0),
            Err(rustix::io::Errno::INTR) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

impl Drop for Keyboard {
    fn drop(&mut self) {
        // Where the terminal is gone there is nothing to be put back.
        let _ = tcsetattr(&self.terminal, OptionalActions::Now, &self.before);
    }
}
