//! Short-lived, shared state. Every operation is one whole step of the domain, never read-decide-write,
//! and is given the time instead of looking at a clock.

mod asks;
mod breaker;
mod crowds;
mod line;
mod listeners;
mod pairings;
mod queues;
mod restores;
mod rooms;
#[cfg(test)]
mod samples;
mod seats;
mod session;
mod sessions;
mod turns;

pub use asks::{Ask, Asks, Reserved};
pub use breaker::{Breaker, Try};
pub use crowds::{Attendant, Crowds, Moved};
pub use listeners::Listeners;
pub use pairings::{Invitation, Invited, Pairings};
pub use queues::{
    Admission, Admitted, Arrived, MemoryQueues, Place, QueueError, QueueRules, QueueTotals, Queues,
    Standing,
};
pub use restores::{Deed, MemoryRestores, Opened, Record, Restored, Restores};
pub use rooms::{Entered, Journal, Member, MemoryRooms, Relayed, RoomError, RoomLimits, Rooms};
pub use seats::{Held, MemorySeats, Replaced, SeatError, SeatRules, Seats};
pub use session::{Shown, Status};
pub use sessions::{
    Departure, Joined, MemorySessions, Scanned, SessionError, SessionSummary, SessionTotals,
    Sessions,
};
pub use turns::Turns;
