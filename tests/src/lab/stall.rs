//! Whether this machine itself stood still: milliseconds measured on a shared machine are void where even a
//! sleeping thread was not woken in time.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{JoinHandle, available_parallelism},
    time::{Duration, Instant},
};

use super::time::{UnixMicros, now};

const NAP: Duration = Duration::from_millis(1);
const WORTH_KEEPING: Duration = Duration::from_millis(1);

type Stalls = Arc<Mutex<Vec<(UnixMicros, Duration)>>>;

/// Threads, one for each processor, that sleep for a millisecond again and again and note when it took longer.
#[derive(Debug)]
pub struct StallMeter {
    stop: Arc<AtomicBool>,
    stalls: Stalls,
    threads: Vec<JoinHandle<()>>,
}

impl StallMeter {
    /// Starts.
    pub fn start() -> Self {
        let (stop, stalls) = (Arc::new(AtomicBool::new(false)), Stalls::default());
        let processors = available_parallelism().map_or(1, usize::from);
        let threads = (0..processors)
            .map(|_| {
                let (stop, stalls) = (Arc::clone(&stop), Arc::clone(&stalls));
                std::thread::spawn(move || nap(&stop, &stalls))
            })
            .collect();
        Self {
            stop,
            stalls,
            threads,
        }
    }

    /// The longest stall that touched the time from `from` to `to`.
    pub fn worst(&self, from: UnixMicros, to: UnixMicros) -> Duration {
        let stalls = self.stalls.lock().unwrap_or_else(PoisonError::into_inner);
        let touches =
            |end: UnixMicros, length: Duration| end >= from && end - length.as_micros() as i64 <= to;
        let lengths = stalls
            .iter()
            .filter(|(end, length)| touches(*end, *length))
            .map(|(_, length)| *length);
        lengths.max().unwrap_or_default()
    }
}

fn nap(stop: &AtomicBool, stalls: &Stalls) {
    while !stop.load(Ordering::Relaxed) {
        let before = Instant::now();
        std::thread::sleep(NAP);
        let late = before.elapsed().saturating_sub(NAP);
        if late >= WORTH_KEEPING {
            stalls
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push((now(), late));
        }
    }
}

impl Drop for StallMeter {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}
