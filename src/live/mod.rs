//! Short-lived, shared state. Every operation is one whole step of the domain, never read-decide-write,
//! and is given the time instead of looking at a clock.

mod pairings;
mod rooms;
#[cfg(test)]
mod samples;
mod session;
mod sessions;
mod turns;

pub use pairings::{Invitation, Invited, Pairings};
pub use rooms::{Entered, Journal, Member, Relayed, RoomError, RoomLimits, Rooms};
pub use session::{Shown, Status};
pub use sessions::{
    Departure, Joined, Scanned, SessionError, SessionSummary, SessionTotals, Sessions,
};
pub use turns::Turns;
