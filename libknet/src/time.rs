//! Now, in the core's types.

use knet_io::clock;
use knet_proto::time::{Time, WallClock};

/// The time since boot.
pub(crate) fn now() -> Time {
    Time::from_nanos(clock::boottime_nanos())
}

/// The time of day.
pub(crate) fn wall_clock() -> WallClock {
    let (secs, nanos) = clock::realtime();
    WallClock::from_unix(secs as i64, nanos)
}
