//! Seats: taking, giving back, hearing who has which.

use super::{
    handle::{QueueServices, row},
    payload::{
        JoinSeatSelection, ReleaseSeat, Released, SeatSelected, SeatSelectionChanged, SeatsAtHand,
        SeatsReleased, SelectSeat, Selected, SelectionChanged,
    },
};
use crate::{
    event::{
        ClientEvent, Code, Context, Decision, Effect, EventId, EventName, Fact, Namespace,
        PushName, Refusal, Rejection, Reply, Room, SeatId, SeatResult, SeatState, Target, Text,
    },
    live::{Deed, SeatError},
};

impl From<SeatError> for Refusal {
    fn from(error: SeatError) -> Self {
        match error {
            SeatError::Taken => Self::new(Code::Conflict, Text::SeatTaken),
            SeatError::NoSuchSeat => Self::new(Code::NotFound, Text::NoSuchSeat),
            SeatError::TooMany => Self::new(Code::RateLimit, Text::TooManySeats),
            SeatError::Full => Self::new(Code::Unavailable, Text::ServerBusy),
            SeatError::NotYours => Self::new(Code::Forbidden, Text::NotYourSeat),
            SeatError::NotLoaded => Self::new(Code::Unavailable, Text::StoreAway),
            SeatError::NotHeld => Self::new(Code::NotFound, Text::SeatNotHeld),
        }
    }
}

impl From<SeatError> for Rejection {
    fn from(error: SeatError) -> Self {
        Self::Refused(error.into())
    }
}

impl ClientEvent<QueueServices> for JoinSeatSelection {
    row!(JoinSeatSelection, Reply::Ack);

    async fn handle(self, cx: &Context, queue: &QueueServices) -> Result<Decision, Rejection> {
        let event = &self.event_id;
        let room = Room::Seats(event.clone());
        queue.enter(cx, &room, event)?;
        queue.choosing(cx, event).await;
        let user = cx.identity.user_id();
        let mut hand = SeatsAtHand {
            success: true,
            event_id: event,
            selected: Vec::new(),
            held: Vec::new(),
            sold: Vec::new(),
        };
        for (seat, state) in queue.seats.map(event, cx.now).await {
            match state {
                SeatState::Free => {}
                SeatState::Sold => hand.sold.push(seat),
                SeatState::Held { user: by, .. } if by == user => hand.selected.push(seat),
                SeatState::Held { .. } => hand.held.push(seat),
            }
        }
        Ok(Decision::reply(&hand)
            .then(Effect::Enter(room))
            .then(Effect::Enter(Room::User(user))))
    }
}

impl ClientEvent<QueueServices> for SelectSeat {
    row!(SelectSeat, Reply::Ack);

    async fn handle(self, cx: &Context, queue: &QueueServices) -> Result<Decision, Rejection> {
        let Self { event_id, seat_id } = &self;
        queue.in_turn(cx, event_id).await?;
        let user = cx.identity.user_id();
        let held = queue.seats.select(event_id, seat_id, &user, cx.now).await?;
        queue.choosing(cx, event_id).await;
        let decision = Decision::reply(&Selected {
            success: true,
            event_id,
            seat_id,
            held_until: held.until,
        });
        if held.again {
            return Ok(decision);
        }
        let ended = std::slice::from_ref(seat_id);
        let ended = if held.ended { ended } else { &[] };
        Ok(expired(decision, event_id, ended)
            .then(selected(cx, event_id, seat_id))
            .noting(Fact::SeatsSelected {
                result: SeatResult::Held,
                seats: 1,
            }))
    }
}

impl ClientEvent<QueueServices> for ReleaseSeat {
    row!(ReleaseSeat, Reply::Ack);

    async fn handle(self, cx: &Context, queue: &QueueServices) -> Result<Decision, Rejection> {
        let Self { event_id, seat_id } = &self;
        let user = cx.identity.user_id();
        queue
            .seats
            .release(event_id, seat_id, &user, cx.now)
            .await?;
        queue.choosing(cx, event_id).await;
        let reply = Released {
            success: true,
            event_id,
            seat_id,
        };
        Ok(Decision::reply(&reply).then(released(event_id, std::slice::from_ref(seat_id))))
    }
}

impl ClientEvent<QueueServices> for SeatSelectionChanged {
    row!(SeatSelectionChanged, Reply::Ack);

    async fn handle(self, cx: &Context, queue: &QueueServices) -> Result<Decision, Rejection> {
        let Self { event_id, seats } = &self;
        queue.in_turn(cx, event_id).await?;
        let user = cx.identity.user_id();
        let replaced = queue.seats.replace(event_id, seats, &user, cx.now).await?;
        queue.choosing(cx, event_id).await;
        let mut decision = Decision::reply(&SelectionChanged {
            success: true,
            event_id,
            selected: &replaced.selected,
            refused: &replaced.refused,
        });
        if !replaced.released.is_empty() {
            decision = decision.then(released(event_id, &replaced.released));
        }
        decision = expired(decision, event_id, &replaced.ended);
        for seat in &replaced.added {
            decision = decision.then(selected(cx, event_id, seat));
        }
        let results = [
            (SeatResult::Held, replaced.added.len()),
            (SeatResult::Conflict, replaced.refused.len()),
        ];
        for (result, seats) in results {
            if seats > 0 {
                decision = decision.noting(Fact::SeatsSelected { result, seats });
            }
        }
        Ok(decision)
    }
}

impl QueueServices {
    /// The caller chooses from the seats of an event: that is kept, and keeps its slot.
    async fn choosing(&self, cx: &Context, event: &EventId) {
        let deed = Deed::EnteredSeats(event.clone());
        self.active(cx, event, deed).await;
    }

    /// While others wait, only those who were let in choose.
    async fn in_turn(&self, cx: &Context, event: &EventId) -> Result<(), Refusal> {
        let user = cx.identity.user_id();
        if self.queues.may_pass(event, &user, cx.now).await {
            return Ok(());
        }
        Err(Refusal::new(Code::Forbidden, Text::WaitYourTurn))
    }
}

/// Also tells of holds that had ended before the clock found out.
pub(super) fn expired(decision: Decision, event: &EventId, seats: &[SeatId]) -> Decision {
    if seats.is_empty() {
        return decision;
    }
    let fact = Fact::SeatsExpired { seats: seats.len() };
    decision.then(released(event, seats)).noting(fact)
}

/// The news that the caller has a seat.
fn selected(cx: &Context, event: &EventId, seat: &SeatId) -> Effect {
    Effect::emit(
        Target::Room(Room::Seats(event.clone())),
        PushName::SeatSelected,
        &SeatSelected {
            event_id: event,
            seat_id: seat,
            user_id: &cx.identity.user_id(),
            timestamp: cx.now.unix_ms,
        },
    )
}

/// The news that seats can be had again.
pub(super) fn released(event: &EventId, seats: &[SeatId]) -> Effect {
    Effect::emit(
        Target::Room(Room::Seats(event.clone())),
        PushName::SeatsReleased,
        &SeatsReleased {
            event_id: event,
            seat_ids: seats,
        },
    )
}
