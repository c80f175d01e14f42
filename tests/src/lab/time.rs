//! Points in time, and waiting for something with a deadline.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::{LabError, Result};

/// Microseconds since 1970: what captures, events and cuts have in common.
pub type UnixMicros = i64;

/// Now.
pub fn now() -> UnixMicros {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |d| d.as_micros() as i64)
}

/// Asks `probe` every 20 ms until it has an answer; after `patience` the error says what did not happen, and
/// what `probe` said last.
pub fn wait_until<T>(
    what: &str,
    patience: Duration,
    mut probe: impl FnMut() -> std::result::Result<T, String>,
) -> Result<T> {
    let deadline = Instant::now() + patience;
    loop {
        match probe() {
            Ok(answer) => return Ok(answer),
            Err(reason) if Instant::now() >= deadline => {
                return Err(LabError::new(format!(
                    "{what}: not within {patience:?}: {reason}"
                )));
            }
            Err(_) => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}
