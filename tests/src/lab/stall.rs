//! Whether this machine itself stood still: a measurement of milliseconds on a shared machine is void where
//! even a sleeping thread was not woken in time.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use super::time::{UnixMicros, now};

const NAP: Duration = Duration::from_millis(1);
const WORTH_KEEPING: Duration = Duration::from_millis(3);

/// A thread that sleeps for a millisecond again and again and notes when it took longer.
#[derive(Debug)]
pub struct StallMeter {
    stop: Arc<AtomicBool>,
    stalls: Arc<Mutex<Vec<(UnixMicros, Duration)>>>,
    thread: Option<JoinHandle<()>>,
}

impl StallMeter {
    /// Starts.
    pub fn start() -> Self {
        let (stop, stalls) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
        let (flag, list) = (Arc::clone(&stop), Arc::clone(&stalls));
        let thread = std::thread::spawn(move || {
            while !flag.load(Ordering::Relaxed) {
                let before = Instant::now();
                std::thread::sleep(NAP);
                let late = before.elapsed().saturating_sub(NAP);
                if late >= WORTH_KEEPING {
                    list.lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .push((now(), late));
                }
            }
        });
        Self {
            stop,
            stalls,
            thread: Some(thread),
        }
    }

    /// The longest stall that touched the time from `from` to `to`.
    pub fn worst(&self, from: UnixMicros, to: UnixMicros) -> Duration {
        let stalls = self.stalls.lock().unwrap_or_else(PoisonError::into_inner);
        let touches =
            |end: UnixMicros, length: Duration| end >= from && end - length.as_micros() as i64 <= to;
        stalls
            .iter()
            .filter(|(end, length)| touches(*end, *length))
            .map(|(_, l)| *l)
            .max()
            .unwrap_or_default()
    }
}

impl Drop for StallMeter {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
