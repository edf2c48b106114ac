//! The only place that looks at the clock. Rules are given a [`Moment`].

use crate::event::Moment;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Now, on both clocks.
pub fn now() -> Moment {
    moment(Instant::now())
}

/// `instant`, which was just now, with the time that people and tokens use.
pub fn moment(instant: Instant) -> Moment {
    Moment {
        instant,
        unix_ms: u64::try_from(since_1970().as_millis()).unwrap_or_default(),
    }
}

/// Seconds since 1970, as tokens count.
pub fn unix_seconds() -> u64 {
    since_1970().as_secs()
}

fn since_1970() -> Duration {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}
