//! What is known of a seat, as it is written down.

use super::{EventId, SeatId, UserId};

/// What a seat is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SeatState {
    /// On the event's map, and to be had.
    Free,
    /// Held by a user, until then in milliseconds since 1970.
    Held {
        /// By whom.
        user: UserId,
        /// Until when.
        until: u64,
    },
    /// Sold.
    Sold,
}

/// One seat as it is written down; without a state it is forgotten.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeatRecord {
    /// Its event.
    pub event: EventId,
    /// Its id.
    pub seat: SeatId,
    /// What it is.
    pub state: Option<SeatState>,
    /// It is on the event's map.
    pub listed: bool,
}
