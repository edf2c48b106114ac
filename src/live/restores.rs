//! What is kept of each user, so that whoever loses the network comes back to where it was (contract, section 7).

use crate::event::{EventId, Identity, Moment, RoomId, SessionId, milliseconds};
use async_trait::async_trait;
use dashmap::DashMap;
use smallvec::SmallVec;
use std::{
    fmt,
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

/// Where a user was.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Record {
    /// The event that it looked at.
    pub event: Option<EventId>,
    /// The event that it waits for.
    pub queue: Option<EventId>,
    /// The event whose seats it chose from.
    pub seats: Option<EventId>,
    /// The scan session that it was in.
    pub session: Option<SessionId>,
    /// The signaling rooms that it was in.
    pub rooms: SmallVec<[RoomId; 1]>,
}

impl Record {
    fn is_blank(&self) -> bool {
        *self == Self::default()
    }
}

/// What a user did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deed {
    /// Looks at an event.
    EnteredEvent(EventId),
    /// No longer.
    LeftEvent(EventId),
    /// Waits for an event, or was let in.
    EnteredQueue(EventId),
    /// No longer.
    LeftQueue(EventId),
    /// Place or slot there are gone, by no deed of the user: it does not count as activity.
    QueueEnded(EventId),
    /// Chooses from the seats of an event.
    EnteredSeats(EventId),
    /// Entered a scan session.
    EnteredSession(SessionId),
    /// Left it.
    LeftSession(SessionId),
    /// Entered a signaling room.
    EnteredRoom(RoomId),
    /// Left it.
    LeftRoom(RoomId),
    /// Did something else.
    Active,
}

/// A record that was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Restored {
    /// What it says.
    pub record: Record,
    /// When the user last did something, in milliseconds since 1970.
    pub last_activity: u64,
}

/// What is known of a user whose socket is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Opened {
    /// Nothing: a first visit, or one after everything was left.
    New,
    /// It was known, and its time is over.
    Over,
    /// Where it was.
    Known(Restored),
}

/// Records of users, wherever they are kept. Each operation is one whole step; the time comes with it.
#[async_trait]
pub trait Restores: fmt::Debug + Send + Sync {
    /// A socket of a user is there: what is kept of the user.
    async fn opened(&self, user: &str, now: Moment) -> Opened;

    /// A socket of a user is gone.
    async fn closed(&self, user: &str, now: Moment);

    /// Keeps what a user did.
    async fn note(&self, user: &str, deed: Deed, now: Moment);

    /// Keeps what somebody did, unless nothing is kept of it.
    async fn did(&self, who: &Identity, deed: Deed, now: Moment) {
        if let Some(user) = who.kept() {
            self.note(user, deed, now).await;
        }
    }

    /// Forgets users who have no socket and did nothing for the window. Tells which.
    async fn forget(&self, now: Moment) -> Vec<Box<str>>;
}

/// Records in memory.
#[derive(Debug)]
pub struct MemoryRestores {
    users: DashMap<Box<str>, User>,
    window: Duration,
    count: AtomicUsize,
    most: usize,
}

#[derive(Debug)]
struct User {
    record: Record,
    sockets: u32,
    active: Instant,
}

impl MemoryRestores {
    /// Signaling rooms that are kept of a user; the oldest go.
    const ROOMS: usize = 32;

    /// Nothing is kept of anybody; `most` users at the most, what the others do is not kept.
    pub fn new(window: Duration, most: usize) -> Self {
        Self {
            users: DashMap::new(),
            window,
            count: AtomicUsize::new(0),
            most,
        }
    }

    fn is_over(&self, user: &User, now: Moment) -> bool {
        user.sockets == 0 && user.idle(now) >= self.window
    }

    /// Does something with a user of whom something is kept, and whose time may be over; with a new one if `begin`.
    fn with<T>(
        &self,
        name: &str,
        begin: bool,
        now: Moment,
        step: impl FnOnce(&mut User, bool) -> T,
    ) -> Option<T> {
        if let Some(mut user) = self.users.get_mut(name) {
            let over = self.is_over(&user, now);
            if over {
                user.record = Record::default();
            }
            return Some(step(user.value_mut(), over));
        }
        if !begin {
            return None;
        }
        let more = |n| (n < self.most).then_some(n + 1);
        let count = &self.count;
        count
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, more)
            .ok()?;
        let mut new = false;
        let mut user = self.users.entry(name.into()).or_insert_with(|| {
            new = true;
            User {
                record: Record::default(),
                sockets: 0,
                active: now.instant,
            }
        });
        if !new {
            count.fetch_sub(1, Ordering::Relaxed);
        }
        Some(step(user.value_mut(), false))
    }
}

impl User {
    fn touch(&mut self, now: Moment) {
        self.active = now.instant;
    }

    fn idle(&self, now: Moment) -> Duration {
        now.instant.saturating_duration_since(self.active)
    }
}

impl Record {
    fn apply(&mut self, deed: Deed) {
        let leave = |place: &mut Option<EventId>, event: &EventId| {
            place.take_if(|at| at == event);
        };
        match deed {
            Deed::EnteredEvent(event) => self.event = Some(event),
            Deed::LeftEvent(event) => leave(&mut self.event, &event),
            Deed::EnteredQueue(event) => self.queue = Some(event),
            Deed::LeftQueue(event) | Deed::QueueEnded(event) => leave(&mut self.queue, &event),
            Deed::EnteredSeats(event) => self.seats = Some(event),
            Deed::EnteredSession(session) => self.session = Some(session),
            Deed::LeftSession(session) => {
                self.session.take_if(|at| *at == session);
            }
            Deed::EnteredRoom(room) => {
                self.rooms.retain(|at| *at != room);
                if self.rooms.len() == MemoryRestores::ROOMS {
                    self.rooms.remove(0);
                }
                self.rooms.push(room);
            }
            Deed::LeftRoom(room) => self.rooms.retain(|at| *at != room),
            Deed::Active => {}
        }
    }
}

#[async_trait]
impl Restores for MemoryRestores {
    async fn opened(&self, user: &str, now: Moment) -> Opened {
        let found = self.with(user, true, now, |user, over| {
            let known = if over {
                Opened::Over
            } else if user.record.is_blank() {
                Opened::New
            } else {
                Opened::Known(Restored {
                    record: user.record.clone(),
                    last_activity: now.unix_ms.saturating_sub(milliseconds(user.idle(now))),
                })
            };
            user.sockets += 1;
            user.touch(now);
            known
        });
        found.unwrap_or(Opened::New)
    }

    async fn closed(&self, user: &str, now: Moment) {
        self.with(user, false, now, |user, _| {
            user.sockets = user.sockets.saturating_sub(1);
            user.touch(now);
        });
        let gone = self
            .users
            .remove_if(user, |_, user| user.sockets == 0 && user.record.is_blank());
        if gone.is_some() {
            self.count.fetch_sub(1, Ordering::Relaxed);
        }
    }

    async fn note(&self, user: &str, deed: Deed, now: Moment) {
        let active = !matches!(deed, Deed::QueueEnded(_));
        self.with(user, active, now, |user, _| {
            user.record.apply(deed);
            if active {
                user.touch(now);
            }
        });
    }

    async fn forget(&self, now: Moment) -> Vec<Box<str>> {
        let mut forgotten = Vec::new();
        self.users.retain(|name, user| {
            let over = self.is_over(user, now);
            if over {
                forgotten.push(name.clone());
            }
            !over
        });
        self.count.fetch_sub(forgotten.len(), Ordering::Relaxed);
        forgotten
    }
}
