//! Ticketing: events, waiting queues, seats, and bringing users back to where they were (contract, section 7).

mod clock;
mod handle;
mod map;
mod payload;
mod rest;
mod restore;
mod seats;

pub use handle::QueueServices;
pub use map::SeatMap;
pub use payload::{
    JoinEvent, JoinQueue, JoinSeatSelection, LeaveEvent, LeaveQueue, QueueHeartbeat, QueueStatus,
    ReleaseSeat, SeatSelectionChanged, SelectSeat,
};
