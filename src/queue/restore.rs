//! Bringing a user back to where it was: before anything else that its new socket does.

use super::{
    handle::{EVERYWHERE, QueueServices, joined_info},
    payload::{QueueStatus, SessionRestored},
};
use crate::{
    event::{
        Context, Decision, Effect, Fact, PushName, Rejection, RestoreResult, Room, SeatId, Target,
    },
    live::{Deed, Opened, Place, Restored},
};
use std::time::Duration;

impl QueueServices {
    /// A socket of a user is there: rooms and news for it, if something is kept of the user.
    ///
    /// # Errors
    ///
    /// Only ours: whoever cannot be brought back is connected all the same.
    pub(super) async fn restore(&self, cx: &Context) -> Result<Decision, Rejection> {
        let decision = Decision::default();
        let kept = cx.identity.kept();
        let Some(name) = kept.filter(|_| EVERYWHERE.contains(&cx.peer.namespace)) else {
            return Ok(decision);
        };
        let user = cx.identity.user_id();
        let opened = self.restores.opened(name, cx.now).await;
        let held = self.seats.of(&user, cx.now).await;
        let Restored {
            mut record,
            last_activity,
        } = match opened {
            Opened::Known(restored) => restored,
            Opened::New if !held.is_empty() => Restored {
                last_activity: cx.now.unix_ms,
                ..Restored::default()
            },
            Opened::New => return Ok(decision.noting(Fact::Restored(RestoreResult::Unknown))),
            Opened::Over => {
                let over = self.give_back(&user, cx.now).await;
                return Ok(over.noting(Fact::Restored(RestoreResult::Unknown)));
            }
        };
        // Seats outlive a restart, records do not.
        record.seats = record
            .seats
            .or_else(|| held.first().map(|(event, _)| event.clone()));
        // Not more than the token of today allows.
        if let Some(only) = &cx.identity.scope {
            record.session.take_if(|session| session != only);
            record.rooms.clear();
        }
        let mut result = RestoreResult::Ok;
        let mut back = None;
        if let Some(event) = record.queue.take() {
            let arrived = self.queues.back(&event, &user, cx.now).await;
            if arrived.standing.place == Place::Outside {
                let away = cx.now.unix_ms.saturating_sub(last_activity);
                result = if Duration::from_millis(away) < self.patience {
                    RestoreResult::Gap
                } else {
                    RestoreResult::Expired
                };
                self.restores
                    .note(name, Deed::QueueEnded(event), cx.now)
                    .await;
            } else {
                record.queue = Some(event.clone());
                back = Some((event, arrived));
            }
        }
        let places = [
            record.event.clone().map(|e| (Room::Event(e.clone()), e)),
            record.queue.clone().map(|e| (Room::Queue(e.clone()), e)),
            record.seats.clone().map(|e| (Room::Seats(e.clone()), e)),
        ];
        let mut decision = decision.then(Effect::Enter(Room::User(user.clone())));
        let mut looking = None;
        for (room, event) in places.into_iter().flatten() {
            let moved = self.enter(cx, &room, &event)?;
            if let Room::Event(_) = room {
                looking = Some(joined_info(&room, &event, &moved));
            }
            // Whoever was let in hears no more of the line.
            if !matches!(room, Room::Queue(_)) {
                decision = decision.then(Effect::Enter(room));
            }
        }
        let here = held.into_iter();
        let here = here.filter(|(event, _)| Some(event) == record.seats.as_ref());
        let seats: Vec<SeatId> = here.map(|(_, seat)| seat).collect();
        let news = SessionRestored {
            event_id: record.event.as_ref(),
            queue_event_id: record.queue.as_ref(),
            seat_event_id: record.seats.as_ref(),
            selected_seats: &seats,
            scan_session: record.session.as_ref(),
            rooms: &record.rooms,
            last_activity,
        };
        decision = decision.then(Effect::emit(
            Target::Caller,
            PushName::SessionRestored,
            &news,
        ));
        decision.effects.extend(looking);
        if let Some((event, arrived)) = back {
            decision = decision.then(Effect::emit(
                Target::Caller,
                PushName::QueueStatus,
                &QueueStatus::new(&event, &arrived.standing),
            ));
            decision = self.arrive(decision, &event, &user, &arrived);
        }
        Ok(decision.noting(Fact::Restored(result)))
    }
}
