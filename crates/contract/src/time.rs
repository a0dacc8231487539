//! Time as a parameter: nothing but the composition roots and `port` asks for the time.

use std::ops::Add;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Monotonic time in nanoseconds since an arbitrary start (`CLOCK_MONOTONIC` in the daemon, zero in a simulation).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
pub struct Tick(pub u64);

impl Tick {
    /// The time since `earlier`; zero if `earlier` is later.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Tick {
    type Output = Self;
    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)))
    }
}

/// How long a node goes on with what a neighbour or its own control had told it, after that one went without a word: the
/// Reconnect Timeout that LDP announces (RFC 3478 §2.1), and how long a forwarder forwards without a control.
pub const FORWARDING_HOLD: Duration = Duration::from_secs(60);

/// Time of day in nanoseconds since the Unix epoch, for records only; never for deciding anything.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct WallTime(pub u64);
