//! Waiting queues and seats over HTTP (contract, section 7).

use super::{
    ApiError, Http,
    error::{AdminErrors, ErrorBody, PageErrors},
    extract::{Admin, Bearer, Body, EventOf},
    schema::Id,
};
use crate::{
    clock,
    event::{EventId, Rejection, SeatState, whole},
    live::{Seats, Standing},
    queue,
};
use axum::{Json, extract::State};
use serde::{Deserialize, Deserializer, Serialize};
use std::sync::Arc;
use utoipa::ToSchema;

/// Seats of each kind in one request at most: they fit the largest body.
const SEATS: usize = 100;
/// Highest threshold.
const THRESHOLD_MOST: u64 = 10_000_000;

/// Where a user stands.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "describes what the family's status writes")]
pub(super) struct QueueStatus {
    #[schema(value_type = Id)]
    event_id: EventId,
    /// The user waits. Otherwise it is let in, unless it never joined.
    queued: bool,
    /// From 1; null for whoever does not wait.
    position: Option<u64>,
    queue_size: usize,
    /// In seconds, by the pace of the last minutes.
    estimated_wait: u64,
    /// So many are let in.
    current_users: usize,
    /// So many may be.
    threshold: usize,
}

/// Done.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct LeftQueue {
    success: bool,
    #[schema(value_type = Id)]
    event_id: EventId,
}

/// A queue, for admins.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct QueueOverview {
    #[schema(value_type = Id)]
    event_id: EventId,
    queue_size: usize,
    current_users: usize,
    threshold: usize,
    /// Free slots.
    available: usize,
}

impl QueueOverview {
    fn new(event_id: EventId, standing: &Standing) -> Self {
        Self {
            event_id,
            queue_size: standing.size,
            current_users: standing.active,
            threshold: standing.threshold,
            available: standing.threshold.saturating_sub(standing.active),
        }
    }
}

/// How many are let in.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Threshold {
    /// null is the usual number again, `QUEUE_THRESHOLD`.
    #[schema(required = true, minimum = 0, maximum = 10_000_000)]
    #[serde(deserialize_with = "threshold")]
    threshold: Option<usize>,
}

fn threshold<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<usize>, D::Error> {
    let Some(number) = Option::<serde_json::Number>::deserialize(deserializer)? else {
        return Ok(None);
    };
    let threshold = whole(&number, THRESHOLD_MOST).and_then(|n| usize::try_from(n).ok());
    let why = format!("threshold must be 0 to {THRESHOLD_MOST}, or null");
    threshold
        .map(Some)
        .ok_or_else(|| serde::de::Error::custom(why))
}

/// Everybody who waited was sent home.
#[derive(Serialize, ToSchema)]
pub(super) struct Cleared {
    success: bool,
    /// So many.
    cleared: usize,
}

/// What a seat is.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum SeatStatus {
    Free,
    Held,
    Sold,
}

/// One seat.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Seat {
    #[schema(value_type = Id)]
    seat_id: crate::event::SeatId,
    status: SeatStatus,
    /// Who holds it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Id>, nullable = false)]
    user_id: Option<crate::event::UserId>,
    /// Until then, in ms since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    held_until: Option<u64>,
}

/// The seats of an event that are held, sold or on its map.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Map {
    #[schema(value_type = Id)]
    event_id: EventId,
    seats: Vec<Seat>,
}

/// Seats to put on the map of an event. Where there are any, others do not exist there.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Marks {
    /// To be had.
    #[serde(default)]
    #[schema(value_type = Vec<Id>, max_items = 100)]
    free: Vec<crate::event::SeatId>,
    /// Sold; a hold ends.
    #[serde(default)]
    #[schema(value_type = Vec<Id>, max_items = 100)]
    sold: Vec<crate::event::SeatId>,
}

/// Done.
#[derive(Serialize, ToSchema)]
pub(super) struct Marked {
    success: bool,
    /// So many seats.
    changed: usize,
}

/// Joins the queue of an event, or enters where a slot is free. Ask again, or have a socket, within
/// `QUEUE_GRACE`, or the place is lost.
#[utoipa::path(post, path = "/api/queue/check/{event}", tag = "queue", params(EventOf), security(("bearer" = [])),
    responses((status = 200, body = QueueStatus, description = "Where the user stands"), PageErrors))]
pub(super) async fn check(
    State(http): State<Arc<Http>>,
    Bearer(who): Bearer,
    EventOf { event }: EventOf,
) -> Result<Json<queue::QueueStatus>, ApiError> {
    let checked = http.families.queue.check(&event, &who, clock::now()).await;
    let (status, decision) = checked.map_err(|e| ApiError::rejection(&http, &e))?;
    (http.sources.carry_out)(decision);
    Ok(Json(status))
}

/// Where the user stands. Asking keeps the place.
#[utoipa::path(get, path = "/api/queue/status/{event}", tag = "queue", params(EventOf), security(("bearer" = [])),
    responses((status = 200, body = QueueStatus, description = "Where the user stands"), PageErrors))]
pub(super) async fn status(
    State(http): State<Arc<Http>>,
    Bearer(who): Bearer,
    EventOf { event }: EventOf,
) -> Json<queue::QueueStatus> {
    Json(http.families.queue.status(&event, &who, clock::now()).await)
}

/// Gives up place or slot.
#[utoipa::path(post, path = "/api/queue/leave/{event}", tag = "queue", params(EventOf), security(("bearer" = [])),
    responses((status = 200, body = LeftQueue, description = "The user is neither waiting nor let in"), PageErrors))]
pub(super) async fn leave(
    State(http): State<Arc<Http>>,
    Bearer(who): Bearer,
    EventOf { event }: EventOf,
) -> Json<LeftQueue> {
    let decision = http.families.queue.go(&event, &who, clock::now()).await;
    (http.sources.carry_out)(decision);
    Json(LeftQueue {
        success: true,
        event_id: event,
    })
}

/// How a queue is.
#[utoipa::path(get, path = "/api/queue/admin/{event}", tag = "queue", params(EventOf), security(("bearer" = [])),
    responses((status = 200, body = QueueOverview, description = "The queue"), AdminErrors))]
pub(super) async fn overview(
    State(http): State<Arc<Http>>,
    Admin: Admin,
    EventOf { event }: EventOf,
) -> Json<QueueOverview> {
    let standing = http.families.queue.queues.overview(&event).await;
    Json(QueueOverview::new(event, &standing))
}

/// Changes how many are let in to an event.
#[utoipa::path(put, path = "/api/queue/admin/{event}", tag = "queue", params(EventOf), security(("bearer" = [])), request_body = Threshold,
    responses((status = 200, body = QueueOverview, description = "The queue"), AdminErrors,
        (status = 413, body = ErrorBody, description = "PAYLOAD_TOO_LARGE: the body has more than 16 KiB")))]
pub(super) async fn change(
    State(http): State<Arc<Http>>,
    Admin: Admin,
    EventOf { event }: EventOf,
    Body(change): Body<Threshold>,
) -> Result<Json<QueueOverview>, ApiError> {
    let queues = &http.families.queue.queues;
    let changed = queues
        .set_threshold(&event, change.threshold, clock::now())
        .await;
    changed.map_err(|e| ApiError::rejection(&http, &Rejection::from(e)))?;
    let standing = queues.overview(&event).await;
    Ok(Json(QueueOverview::new(event, &standing)))
}

/// Sends everybody home who waits.
#[utoipa::path(post, path = "/api/queue/admin/clear/{event}", tag = "queue", params(EventOf), security(("bearer" = [])),
    responses((status = 200, body = Cleared, description = "Nobody waits"), AdminErrors))]
pub(super) async fn clear(
    State(http): State<Arc<Http>>,
    Admin: Admin,
    EventOf { event }: EventOf,
) -> Json<Cleared> {
    let (decision, cleared) = http.families.queue.clear(&event, clock::now()).await;
    (http.sources.carry_out)(decision);
    Json(Cleared {
        success: true,
        cleared,
    })
}

/// The seats of an event.
#[utoipa::path(get, path = "/api/seats/admin/{event}", tag = "queue", params(EventOf), security(("bearer" = [])),
    responses((status = 200, body = Map, description = "Those that are held, sold or on the map"), AdminErrors))]
pub(super) async fn seats(
    State(http): State<Arc<Http>>,
    Admin: Admin,
    EventOf { event }: EventOf,
) -> Json<Map> {
    let seats = http.families.seat_map.seats.map(&event, clock::now()).await;
    let seats = seats.into_iter().map(|(seat_id, state)| {
        let (status, user_id, held_until) = match state {
            SeatState::Free => (SeatStatus::Free, None, None),
            SeatState::Sold => (SeatStatus::Sold, None, None),
            SeatState::Held { user, until } => (SeatStatus::Held, Some(user), Some(until)),
        };
        Seat {
            seat_id,
            status,
            user_id,
            held_until,
        }
    });
    Json(Map {
        seats: seats.collect(),
        event_id: event,
    })
}

/// Puts seats on the map of an event, to be had or sold. It is written down before it is answered.
#[utoipa::path(put, path = "/api/seats/admin/{event}", tag = "queue", params(EventOf), security(("bearer" = [])), request_body = Marks,
    responses((status = 200, body = Marked, description = "Done"), AdminErrors,
        (status = 413, body = ErrorBody, description = "PAYLOAD_TOO_LARGE: the body has more than 16 KiB")))]
pub(super) async fn mark(
    State(http): State<Arc<Http>>,
    Admin: Admin,
    EventOf { event }: EventOf,
    Body(marks): Body<Marks>,
) -> Result<Json<Marked>, ApiError> {
    let Marks { free, sold } = marks;
    let changed = free.len() + sold.len();
    if free.len().max(sold.len()) > SEATS {
        let why = format!("at most {SEATS} seats of each kind at once");
        return Err(super::extract::invalid(&http, why));
    }
    let marked = http.families.seat_map.mark(&event, &free, &sold).await;
    let decision = marked.map_err(|e| ApiError::rejection(&http, &e))?;
    (http.sources.carry_out)(decision);
    Ok(Json(Marked {
        success: true,
        changed,
    }))
}
