//! Wire types of the queue family. A value that exists is valid: they are parsed, not validated.

use crate::{
    event::{EventId, SeatId, SessionId, UserId},
    live::{Place, Standing},
};
use serde::{Deserialize, Serialize};

/// Declares events whose payload is `{ eventId }`.
macro_rules! about_an_event {
    ($($(#[$doc:meta])* $name:ident,)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Deserialize)]
        #[serde(rename_all = "camelCase")]
        pub struct $name {
            pub(super) event_id: EventId,
        }
    )*};
}

about_an_event! {
    /// `join-event { eventId }`.
    JoinEvent,
    /// `leave-event { eventId }`.
    LeaveEvent,
    /// `join-queue { eventId }`.
    JoinQueue,
    /// `leave-queue { eventId }`.
    LeaveQueue,
    /// `queue:heartbeat { eventId }`.
    QueueHeartbeat,
    /// `join-seat-selection { eventId }`.
    JoinSeatSelection,
}

/// `select-seat { eventId, seatId }`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SelectSeat {
    pub(super) event_id: EventId,
    pub(super) seat_id: SeatId,
}

/// `release-seat { eventId, seatId }`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReleaseSeat {
    pub(super) event_id: EventId,
    pub(super) seat_id: SeatId,
}

/// `seat-selection-changed { eventId, seats }`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SeatSelectionChanged {
    pub(super) event_id: EventId,
    pub(super) seats: Vec<SeatId>,
}

/// `queue-status`, on the socket and over HTTP.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct QueueStatus {
    /// The event.
    pub event_id: EventId,
    /// The user waits.
    pub queued: bool,
    /// At this place, from 1.
    pub position: Option<u64>,
    /// So many wait.
    pub queue_size: usize,
    /// For so many seconds more; 0 for whoever does not wait.
    pub estimated_wait: u64,
    /// So many are let in.
    pub current_users: usize,
    /// So many may be.
    pub threshold: usize,
}

impl QueueStatus {
    /// Where a user stands.
    pub fn new(event: &EventId, standing: &Standing) -> Self {
        let position = match standing.place {
            Place::Waiting { position } => Some(position),
            Place::Admitted { .. } | Place::Outside => None,
        };
        Self {
            event_id: event.clone(),
            queued: position.is_some(),
            position,
            queue_size: standing.size,
            estimated_wait: standing.wait,
            current_users: standing.active,
            threshold: standing.threshold,
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RoomInfo<'a> {
    pub(super) event_id: &'a EventId,
    pub(super) user_count: usize,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct JoinedEvent<'a> {
    pub(super) success: bool,
    pub(super) event_id: &'a EventId,
    pub(super) user_count: usize,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Left<'a> {
    pub(super) success: bool,
    pub(super) event_id: &'a EventId,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Renewed<'a> {
    pub(super) success: bool,
    pub(super) event_id: &'a EventId,
    pub(super) expires_at: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct EntryAllowed<'a> {
    pub(super) event_id: &'a EventId,
    pub(super) user_id: &'a UserId,
    pub(super) message: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct QueueUpdated<'a> {
    pub(super) event_id: &'a EventId,
    pub(super) queue_size: usize,
    pub(super) timestamp: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct QueueCleared<'a> {
    pub(super) event_id: &'a EventId,
    pub(super) message: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SeatsAtHand<'a> {
    pub(super) success: bool,
    pub(super) event_id: &'a EventId,
    pub(super) selected: Vec<SeatId>,
    pub(super) held: Vec<SeatId>,
    pub(super) sold: Vec<SeatId>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Selected<'a> {
    pub(super) success: bool,
    pub(super) event_id: &'a EventId,
    pub(super) seat_id: &'a SeatId,
    pub(super) held_until: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Released<'a> {
    pub(super) success: bool,
    pub(super) event_id: &'a EventId,
    pub(super) seat_id: &'a SeatId,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SelectionChanged<'a> {
    pub(super) success: bool,
    pub(super) event_id: &'a EventId,
    pub(super) selected: &'a [SeatId],
    pub(super) refused: &'a [SeatId],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SeatSelected<'a> {
    pub(super) event_id: &'a EventId,
    pub(super) seat_id: &'a SeatId,
    pub(super) user_id: &'a UserId,
    pub(super) timestamp: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SeatsReleased<'a> {
    pub(super) event_id: &'a EventId,
    pub(super) seat_ids: &'a [SeatId],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SessionRestored<'a> {
    pub(super) event_id: Option<&'a EventId>,
    pub(super) queue_event_id: Option<&'a EventId>,
    pub(super) seat_event_id: Option<&'a EventId>,
    pub(super) selected_seats: &'a [SeatId],
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) scan_session: Option<&'a SessionId>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub(super) rooms: &'a [crate::event::RoomId],
    pub(super) last_activity: u64,
}
