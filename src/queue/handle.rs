//! Events and waiting queues: looking at one, waiting for it, being let in.

use super::payload::{
    EntryAllowed, JoinEvent, JoinQueue, JoinedEvent, LeaveEvent, LeaveQueue, Left, QueueHeartbeat,
    QueueStatus, Renewed, RoomInfo,
};
use crate::{
    event::{
        ClientEvent, Code, Context, Decision, Effect, EventId, EventName, Fact, Namespace,
        PushName, QueueExit, Refusal, Rejection, Reply, Room, Target, Text, UserId, Visits,
    },
    live::{Arrived, Crowds, Deed, Moved, Place, QueueError, Queues, Restores, Seats},
    settings::Language,
};
use async_trait::async_trait;
use std::{sync::Arc, time::Duration};

/// What the queue family needs to decide.
#[derive(Debug, Clone)]
pub struct QueueServices {
    /// Who waits for what, and who was let in.
    pub queues: Arc<dyn Queues>,
    /// Who holds which seat.
    pub seats: Arc<dyn Seats>,
    /// Where users were.
    pub restores: Arc<dyn Restores>,
    /// Which sockets of this node are where.
    pub crowds: Arc<Crowds>,
    /// In which texts are written.
    pub language: Language,
    /// Whoever is gone for less loses neither place nor slot.
    pub patience: Duration,
}

/// Where this family speaks, and brings users back to where they were.
pub(super) const EVERYWHERE: &[Namespace] = &[Namespace::Root, Namespace::Queue];
/// Payload limit of the queue family.
pub(super) const MAX_BYTES: usize = 4096;

impl From<QueueError> for Rejection {
    fn from(error: QueueError) -> Self {
        match error {
            QueueError::Full => Refusal::new(Code::Unavailable, Text::ServerBusy).into(),
        }
    }
}

/// What all events of this family have in common.
macro_rules! row {
    ($name:ident, $reply:expr) => {
        const NAME: EventName = EventName::$name;
        const NAMESPACES: &'static [Namespace] = super::handle::EVERYWHERE;
        const MAX_BYTES: usize = super::handle::MAX_BYTES;
        const REPLY: Reply = $reply;
    };
}
pub(super) use row;

impl ClientEvent<QueueServices> for JoinEvent {
    row!(JoinEvent, Reply::Ack);

    async fn handle(self, cx: &Context, queue: &QueueServices) -> Result<Decision, Rejection> {
        let event = &self.event_id;
        let room = Room::Event(event.clone());
        let moved = queue.enter(cx, &room, event)?;
        let deed = Deed::EnteredEvent(event.clone());
        queue.active(cx, event, deed).await;
        let reply = JoinedEvent {
            success: true,
            event_id: event,
            user_count: moved.users,
        };
        let news = joined_info(&room, event, &moved);
        Ok(Decision::reply(&reply)
            .then(Effect::Enter(room))
            .then(Effect::Enter(Room::User(cx.identity.user_id())))
            .then(news))
    }
}

impl ClientEvent<QueueServices> for LeaveEvent {
    row!(LeaveEvent, Reply::Ack);

    async fn handle(self, cx: &Context, queue: &QueueServices) -> Result<Decision, Rejection> {
        let event = &self.event_id;
        let room = Room::Event(event.clone());
        let moved = queue.crowds.leave(cx.peer, &room, cx.now);
        let deed = Deed::LeftEvent(event.clone());
        queue.active(cx, event, deed).await;
        let decision = Decision::reply(&left(event)).then(Effect::Exit(room.clone(), cx.peer));
        Ok(match moved.filter(|moved| moved.tell) {
            Some(moved) => decision.then(room_info(Target::Room(room), event, moved.users)),
            None => decision,
        })
    }
}

impl ClientEvent<QueueServices> for JoinQueue {
    row!(JoinQueue, Reply::Event(PushName::QueueStatus));

    async fn handle(self, cx: &Context, queue: &QueueServices) -> Result<Decision, Rejection> {
        let event = &self.event_id;
        let user = cx.identity.user_id();
        let room = Room::Queue(event.clone());
        queue.enter(cx, &room, event)?;
        let arrived = match queue.queues.join(event, &user, true, cx.now).await {
            Ok(arrived) => arrived,
            Err(error) => {
                queue.crowds.leave(cx.peer, &room, cx.now);
                return Err(error.into());
            }
        };
        let deed = Deed::EnteredQueue(event.clone());
        queue.restores.did(&cx.identity, deed, cx.now).await;
        let reply = Decision::reply(&QueueStatus::new(event, &arrived.standing));
        Ok(queue.arrive(reply, event, &user, &arrived))
    }
}

impl ClientEvent<QueueServices> for LeaveQueue {
    row!(LeaveQueue, Reply::Ack);

    async fn handle(self, cx: &Context, queue: &QueueServices) -> Result<Decision, Rejection> {
        let event = &self.event_id;
        let user = cx.identity.user_id();
        let room = Room::Queue(event.clone());
        queue.crowds.leave(cx.peer, &room, cx.now);
        let waited = queue.leave(event, &user).await;
        let deed = Deed::LeftQueue(event.clone());
        queue.restores.did(&cx.identity, deed, cx.now).await;
        let mut decision = Decision::reply(&left(event)).then(Effect::Exit(room, cx.peer));
        decision.facts.extend(waited);
        Ok(decision)
    }
}

impl ClientEvent<QueueServices> for QueueHeartbeat {
    row!(QueueHeartbeat, Reply::Ack);

    async fn handle(self, cx: &Context, queue: &QueueServices) -> Result<Decision, Rejection> {
        let event = &self.event_id;
        let until = queue.active(cx, event, Deed::Active).await;
        let until = until.ok_or_else(|| Refusal::new(Code::Forbidden, Text::NotAdmitted))?;
        Ok(Decision::reply(&Renewed {
            success: true,
            event_id: event,
            expires_at: until,
        }))
    }
}

impl QueueServices {
    /// Takes the caller into a crowd.
    pub(super) fn enter(
        &self,
        cx: &Context,
        room: &Room,
        event: &EventId,
    ) -> Result<Moved, Rejection> {
        let user = cx.identity.user_id();
        let moved = self.crowds.enter(cx.peer, &user, room, event, cx.now);
        moved.ok_or_else(|| Refusal::new(Code::RateLimit, Text::TooManyCrowds).into())
    }

    /// The caller did something with an event: that is kept, and its slot renewed. Until when it has one, in ms
    /// since 1970.
    pub(super) async fn active(&self, cx: &Context, event: &EventId, deed: Deed) -> Option<u64> {
        let user = cx.identity.user_id();
        let until = self.queues.renew(event, &user, cx.now).await;
        self.restores.did(&cx.identity, deed, cx.now).await;
        until
    }

    /// Gives up a user's place or slot; what to tell of it.
    pub async fn leave(&self, event: &EventId, user: &UserId) -> Option<Fact> {
        let left = self.queues.leave(event, user).await;
        left.then_some(Fact::QueueLeft {
            why: QueueExit::Left,
            people: 1,
        })
    }

    /// What follows when a socket of a user is in a queue, by joining it or by coming back.
    pub(super) fn arrive(
        &self,
        decision: Decision,
        event: &EventId,
        user: &UserId,
        arrived: &Arrived,
    ) -> Decision {
        let room = Room::Queue(event.clone());
        let mut decision = decision.then(Effect::Enter(Room::User(user.clone())));
        if let Place::Waiting { position } = arrived.standing.place {
            self.crowds.tell_user(&room, user, position);
            self.crowds.told_one(&room, arrived.standing.size as u64);
            decision = decision.then(Effect::Enter(room));
        }
        if arrived.admitted {
            decision = decision.noting(Fact::QueueAdmitted {
                waited: Duration::ZERO,
            });
        }
        if arrived.tell {
            decision = decision.then(self.entry_allowed(event, user));
        }
        decision
    }

    /// The news that a user is let in, for all its sockets.
    pub(super) fn entry_allowed(&self, event: &EventId, user: &UserId) -> Effect {
        let message = Text::EntryAllowed.render(self.language);
        let allowed = EntryAllowed {
            event_id: event,
            user_id: user,
            message: &message,
        };
        Effect::emit(
            Target::Room(Room::User(user.clone())),
            PushName::QueueEntryAllowed,
            &allowed,
        )
    }
}

#[async_trait]
impl Visits for QueueServices {
    async fn arrived(&self, cx: &Context) -> Result<Decision, Rejection> {
        self.restore(cx).await
    }

    /// Takes the peer out of its crowds; those who are left are told, and whoever waited with it begins to be
    /// missed.
    async fn departed(&self, cx: &Context) -> Decision {
        let mut decision = Decision::default();
        if EVERYWHERE.contains(&cx.peer.namespace)
            && let Some(user) = cx.identity.kept()
        {
            self.restores.closed(user, cx.now).await;
        }
        let Some((user, left)) = self.crowds.forget(cx.peer, cx.now) else {
            return decision;
        };
        decision = decision.then(Effect::Exit(Room::User(user.clone()), cx.peer));
        for (room, moved) in left {
            match &room {
                Room::Queue(event) if moved.changed => {
                    self.queues.gone(event, &user, cx.now).await;
                }
                Room::Event(event) if moved.tell => {
                    let to = Target::Room(room.clone());
                    decision = decision.then(room_info(to, event, moved.users));
                }
                _ => {}
            }
            decision = decision.then(Effect::Exit(room, cx.peer));
        }
        decision
    }
}

fn left(event: &EventId) -> Left<'_> {
    Left {
        success: true,
        event_id: event,
    }
}

/// How many look at an event, for whoever came in and, now and then, for the others there. To be sent when it
/// is in the room.
pub(super) fn joined_info(room: &Room, event: &EventId, moved: &Moved) -> Effect {
    let to = if moved.tell {
        Target::Room(room.clone())
    } else {
        Target::Caller
    };
    room_info(to, event, moved.users)
}

/// How many look at an event.
pub(super) fn room_info(to: Target, event: &EventId, users: usize) -> Effect {
    let info = RoomInfo {
        event_id: event,
        user_count: users,
    };
    Effect::emit(to, PushName::RoomInfo, &info)
}
