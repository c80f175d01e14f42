//! Ends a shell at which nobody has pressed a key for long.

use std::{
    io, process,
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};

use crate::output::{note, print};

/// How often it looks.
const LOOK: Duration = Duration::from_millis(250);

/// Watches over the time since a key was pressed. It counts only while the shell waits for a line.
#[derive(Clone, Debug, Default)]
pub(crate) struct Watch(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    patience: Option<Duration>,
    /// Since when nothing was pressed. `None`: a command is being done.
    idle_since: Option<Instant>,
    /// What is said when the shell ends.
    farewell: Option<&'static str>,
    runs: bool,
}

impl Watch {
    /// From now on a line is waited for, and for so long; then the shell ends with these words.
    pub(crate) fn begin(&self, patience: Option<Duration>, farewell: Option<&'static str>) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.patience = patience;
        state.farewell = farewell;
        state.idle_since = Some(Instant::now());
        if patience.is_some() && !state.runs {
            state.runs = true;
            let watch = self.clone();
            // As it is now, before the line editor changes it.
            let terminal = tcgetattr(io::stdin()).ok();
            thread::spawn(move || watch.run(terminal.as_ref()));
        }
    }

    /// A key was pressed.
    pub(crate) fn touch(&self) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.idle_since.is_some() {
            state.idle_since = Some(Instant::now());
        }
    }

    /// The line is there.
    pub(crate) fn end(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).idle_since = None;
    }

    fn run(&self, terminal: Option<&Termios>) {
        loop {
            thread::sleep(LOOK);
            let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let (Some(patience), Some(since)) = (state.patience, state.idle_since) else {
                continue;
            };
            if since.elapsed() < patience {
                continue;
            }
            // The line editor waits in a call that nothing ends: what it has set is put back here. The history is in
            // its file already.
            if let Some(terminal) = terminal {
                let _ = tcsetattr(io::stdin(), OptionalActions::Now, terminal);
            }
            let _ = print("\x1b[?2004l\n");
            note(&format!(
                "% No key for {} s (exec-timeout): the shell ends",
                patience.as_secs()
            ));
            if let Some(farewell) = state.farewell {
                note(farewell);
            }
            process::exit(0);
        }
    }
}
