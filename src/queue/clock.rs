//! What happens each second: slots end, people are let in, those who wait are told, holds of seats end.

use super::{
    handle::{QueueServices, room_info},
    payload::{QueueCleared, QueueStatus, QueueUpdated},
    seats::{expired, released},
};
use crate::{
    event::{
        Decision, Effect, EventId, Fact, Moment, Payload, PushName, QueueExit, Room, Target, Text,
        UserId,
    },
    live::{Attendant, Deed, Place, Standing},
};
use std::hash::{DefaultHasher, Hash, Hasher};

/// So many are let in to an event at once; if there are more slots, the others follow a second later.
const AT_ONCE: usize = 5_000;

/// What a user of a queue was told, where it is no position.
const ADMITTED: u64 = u64::MAX;
const OUTSIDE: u64 = u64::MAX - 1;

/// How often somebody at a place hears of a new one, in seconds: who is far back has time. It bounds what a
/// crowd of any size costs.
fn pace(position: u64) -> u64 {
    match position {
        0..=1_000 => 1,
        1_001..=10_000 => 5,
        _ => 20,
    }
}

impl QueueServices {
    /// A turn of the clock. Call it each second.
    pub async fn turn(&self, now: Moment) -> Decision {
        let mut decision = Decision::default();
        let admission = self.queues.admit(AT_ONCE, now).await;
        for admitted in admission.admitted {
            let news = self.entry_allowed(&admitted.event, &admitted.user);
            decision = decision.then(news).noting(Fact::QueueAdmitted {
                waited: admitted.waited,
            });
        }
        for (event, user) in admission.ended {
            // A visit that is over is nothing to come back to.
            let deed = Deed::QueueEnded(event);
            self.restores.note(&user, deed, now).await;
        }
        if admission.vanished > 0 {
            decision = decision.noting(Fact::QueueLeft {
                why: QueueExit::Vanished,
                people: admission.vanished,
            });
        }
        for event in self.crowds.queues() {
            decision.effects.extend(self.tell_queue(&event, now).await);
        }
        for (event, users) in self.crowds.news(now) {
            decision = decision.then(room_info(
                Target::Room(Room::Event(event.clone())),
                &event,
                users,
            ));
        }
        for (event, seats) in self.seats.expire(now).await {
            decision = expired(decision, &event, &seats);
        }
        decision
    }

    /// Forgets users whose time is over; what they hold can be had again. Call it now and then.
    pub async fn forget(&self, now: Moment) -> Decision {
        let mut decision = Decision::default();
        for name in self.restores.forget(now).await {
            decision.join(self.give_back(&UserId::stored(&name), now).await);
        }
        decision
    }

    /// Gives back what a user holds.
    pub(super) async fn give_back(&self, user: &UserId, now: Moment) -> Decision {
        let mut decision = Decision::default();
        for (event, seat) in self.seats.of(user, now).await {
            if self.seats.release(&event, &seat, user, now).await.is_ok() {
                decision = decision.then(released(&event, &[seat]));
            }
        }
        decision
    }

    /// What is new for those who wait for an event.
    async fn tell_queue(&self, event: &EventId, now: Moment) -> Vec<Effect> {
        let room = Room::Queue(event.clone());
        let all = self.crowds.attendants(&room);
        let users: Vec<UserId> = all.iter().map(|(user, _)| user.clone()).collect();
        let places = self.queues.places(event, &users, now).await;
        let mut effects = Vec::new();
        for ((user, one), standing) in all.into_iter().zip(&places) {
            let told = match standing.place {
                Place::Waiting { position } => position,
                Place::Admitted { .. } => ADMITTED,
                Place::Outside => OUTSIDE,
            };
            if told == one.told || !is_turn(&user, told, now) {
                continue;
            }
            self.crowds.tell_user(&room, &user, told);
            if matches!(told, ADMITTED | OUTSIDE) {
                // It hears no more of the line.
                let peers = one.peers.iter();
                effects.extend(peers.map(|peer| Effect::Exit(room.clone(), *peer)));
            }
            if told != ADMITTED {
                effects.push(status(&one, standing));
            }
        }
        if let Some(standing) = places.first()
            && self.crowds.tell(&room, standing.size as u64, now)
        {
            effects.push(Effect::emit(
                Target::Room(room.clone()),
                PushName::QueueUpdated,
                &QueueUpdated {
                    event_id: event,
                    queue_size: standing.size,
                    timestamp: now.unix_ms,
                },
            ));
        }
        effects
    }

    /// Sends everybody home who waits for an event; what to do, and how many that were.
    pub async fn clear(&self, event: &EventId, now: Moment) -> (Decision, usize) {
        let cleared = self.queues.clear(event).await;
        let message = Text::QueueCleared.render(self.language);
        let news = Payload::of(&QueueCleared {
            event_id: event,
            message: &message,
        });
        let people = cleared.len();
        let mut decision = Decision::default();
        for user in cleared {
            let deed = Deed::QueueEnded(event.clone());
            self.restores.note(user.as_str(), deed, now).await;
            decision = decision.then(Effect::Emit {
                to: Target::Room(Room::User(user)),
                event: PushName::QueueCleared,
                payload: news.clone(),
            });
        }
        if people > 0 {
            decision = decision.noting(Fact::QueueLeft {
                why: QueueExit::Cleared,
                people,
            });
        }
        (decision, people)
    }
}

/// Whether somebody at this place hears of it in this second. The seconds are spread over users.
fn is_turn(user: &UserId, told: u64, now: Moment) -> bool {
    if matches!(told, ADMITTED | OUTSIDE) {
        return true;
    }
    let mut hasher = DefaultHasher::new();
    user.hash(&mut hasher);
    hasher
        .finish()
        .wrapping_add(now.unix_ms / 1000)
        .is_multiple_of(pace(told))
}

fn status(one: &Attendant, standing: &Standing) -> Effect {
    Effect::emit(
        Target::Peers(one.peers.iter().copied().collect()),
        PushName::QueueStatus,
        &QueueStatus::new(&one.event, standing),
    )
}
