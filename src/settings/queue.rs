//! Ticketing: waiting queues, seats, and how long users are remembered.

use super::{Env, SettingError};
use std::time::Duration;

/// Ticketing. Defaults are those of the wire contract.
#[derive(Debug, Clone)]
pub struct Queue {
    /// Users of an event who are let in, where no admin said otherwise.
    pub threshold: usize,
    /// How long a slot lasts that is not renewed.
    pub lease: Duration,
    /// How long somebody who waits may be gone.
    pub grace: Duration,
    /// How long a seat is held.
    pub seat_hold: Duration,
    /// Seats that one user may hold.
    pub seats_per_user: usize,
    /// How long a user is remembered who has no socket and does nothing.
    pub restore_window: Duration,
    /// Events with anybody in their queue, on this node.
    pub events_max: usize,
    /// People who wait, on this node.
    pub waiting_max: usize,
    /// Seats that are held, sold or on a map.
    pub seats_max: usize,
    /// Users who are remembered.
    pub users_max: usize,
}

impl Queue {
    pub(super) fn read(env: &Env) -> Result<Self, SettingError> {
        let minutes = Duration::from_mins;
        let count = |name, default: usize, least: usize, most: usize, example| {
            env.number(name, default, least..=most, example)
        };
        Ok(Self {
            threshold: count("QUEUE_THRESHOLD", 1000, 0, 10_000_000, "1000")?,
            lease: env.duration("QUEUE_LEASE", minutes(5), "5m")?,
            grace: env.duration("QUEUE_GRACE", minutes(1), "60s")?,
            seat_hold: env.duration("SEAT_HOLD", minutes(5), "5m")?,
            seats_per_user: count("SEATS_PER_USER", 10, 1, 1000, "10")?,
            restore_window: env.duration("RESTORE_WINDOW", minutes(60), "1h")?,
            events_max: count("QUEUE_EVENTS_MAX", 10_000, 1, 10_000_000, "10000")?,
            waiting_max: count("QUEUE_WAITING_MAX", 1_000_000, 1, 100_000_000, "1000000")?,
            seats_max: count("SEATS_MAX", 1_000_000, 1, 100_000_000, "1000000")?,
            users_max: count("RESTORE_USERS_MAX", 200_000, 1, 100_000_000, "200000")?,
        })
    }
}
