//! The one place where the daemon asks for the time.

use std::time::Duration;

use contract::Tick;
use rustix::time::{ClockId, clock_gettime};

/// Monotonic time.
pub(crate) fn now() -> Tick {
    let now = clock_gettime(ClockId::Monotonic);
    Tick(u64::try_from(now.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(now.tv_nsec).unwrap_or(0))
}

/// Seconds since the Unix epoch: for numbers that must be greater at each start, whatever became of what earlier
/// starts wrote.
pub(crate) fn epoch_seconds() -> u32 {
    u32::try_from(clock_gettime(ClockId::Realtime).tv_sec).unwrap_or(u32::MAX)
}

/// How long this machine has been running.
pub(crate) fn since_boot() -> Duration {
    Duration::from_secs(u64::try_from(clock_gettime(ClockId::Boottime).tv_sec).unwrap_or(0))
}
