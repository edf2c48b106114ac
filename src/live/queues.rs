//! Waiting queues: for each event one line, strictly first come, first served, and slots for those who were let in.

use super::line::Line;
use crate::event::{EventId, Moment, UserId, milliseconds};
use async_trait::async_trait;
use dashmap::{DashMap, mapref::entry::Entry};
use std::{
    collections::{BTreeSet, HashMap},
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

/// The rules of all queues.
#[derive(Debug, Clone, Copy)]
pub struct QueueRules {
    /// So many users of an event are let in, where nothing else was said.
    pub threshold: usize,
    /// A slot lasts so long, unless it is renewed.
    pub lease: Duration,
    /// Whoever waits and is gone for so long loses the place.
    pub grace: Duration,
    /// Events with anybody in them.
    pub events: usize,
    /// People who wait, in all.
    pub waiting: usize,
}

/// Why a step was not taken. Nothing was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueueError {
    /// As many events or people as there may be.
    Full,
}

/// Where a user is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Neither waiting nor let in.
    Outside,
    /// Waiting.
    Waiting {
        /// From 1.
        position: u64,
    },
    /// Let in.
    Admitted {
        /// Milliseconds since 1970.
        until: u64,
    },
}

/// A user's place, and how the queue is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Where the user is.
    pub place: Place,
    /// How many wait.
    pub size: usize,
    /// How many are let in.
    pub active: usize,
    /// How many may be.
    pub threshold: usize,
    /// Seconds until the user's turn, by the pace of the last minutes; 0 for whoever does not wait.
    pub wait: u64,
}

/// A user who has joined, or is back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrived {
    /// Where that is.
    pub standing: Standing,
    /// The user was let in and, for all we know, has not heard of it.
    pub tell: bool,
    /// Let in just now.
    pub admitted: bool,
}

/// A user who was let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admitted {
    /// To which event, as the user wrote it.
    pub event: EventId,
    /// Who.
    pub user: UserId,
    /// After so long.
    pub waited: Duration,
}

/// What a turn of the clock brought.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Admission {
    /// Who was let in, of each event in the order of its line.
    pub admitted: Vec<Admitted>,
    /// How many lost their place, gone for too long.
    pub vanished: usize,
    /// Whose slot ended.
    pub ended: Vec<(EventId, Arc<str>)>,
}

/// All queues together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct QueueTotals {
    /// People waiting.
    pub waiting: usize,
    /// People let in.
    pub active: usize,
    /// Free slots of events where people wait.
    pub free: usize,
}

/// Waiting queues, wherever they are kept. Each operation is one whole step; the time comes with it.
#[async_trait]
pub trait Queues: fmt::Debug + Send + Sync {
    /// Joins the line of an event, or is let in where nobody waits and a slot is free. Joining again keeps the place,
    /// and renews a slot.
    /// `here` means by a socket, which [`Queues::gone`] ends; otherwise it counts as seen now.
    ///
    /// # Errors
    ///
    /// [`QueueError::Full`].
    async fn join(
        &self,
        event: &EventId,
        user: &UserId,
        here: bool,
        now: Moment,
    ) -> Result<Arrived, QueueError>;

    /// Where a user is. Asking counts as being seen.
    async fn standing(&self, event: &EventId, user: &UserId, now: Moment) -> Standing;

    /// A user is back, by a socket: where, and whether it is to be told that it was let in meanwhile.
    async fn back(&self, event: &EventId, user: &UserId, now: Moment) -> Arrived;

    /// The last socket of a user is gone.
    async fn gone(&self, event: &EventId, user: &UserId, now: Moment);

    /// Gives up place or slot; whether there was one.
    async fn leave(&self, event: &EventId, user: &UserId) -> bool;

    /// Renews the slot of a user who was let in: until when it lasts, in milliseconds since 1970.
    async fn renew(&self, event: &EventId, user: &UserId, now: Moment) -> Option<u64>;

    /// Whether a user may go past the line: it was let in, or nobody waits.
    async fn may_pass(&self, event: &EventId, user: &UserId, now: Moment) -> bool;

    /// A turn of the clock: slots end, those who were gone too long lose their place, and as many as there are
    /// slots are let in, at most `most` of each event.
    async fn admit(&self, most: usize, now: Moment) -> Admission;

    /// Where users are, in one step. Asking does not count as being seen.
    async fn places(&self, event: &EventId, users: &[UserId], now: Moment) -> Vec<Standing>;

    /// Sends everybody home who waits; who that was.
    async fn clear(&self, event: &EventId) -> Vec<UserId>;

    /// Changes how many are let in; `None` is the usual number again.
    ///
    /// # Errors
    ///
    /// [`QueueError::Full`].
    async fn set_threshold(
        &self,
        event: &EventId,
        threshold: Option<usize>,
        now: Moment,
    ) -> Result<(), QueueError>;

    /// How a queue is, seen from outside.
    async fn overview(&self, event: &EventId) -> Standing;

    /// All of them together.
    async fn totals(&self) -> QueueTotals;
}

/// Queues in memory.
#[derive(Debug)]
pub struct MemoryQueues {
    queues: DashMap<EventId, Queue>,
    rules: QueueRules,
    events: AtomicUsize,
    waiting: AtomicUsize,
}

#[derive(Debug)]
struct Waiter {
    user: UserId,
    /// As this user wrote it.
    event: EventId,
    since: Instant,
    /// None while it is here.
    gone: Option<Instant>,
}

#[derive(Debug)]
struct Slot {
    until: Instant,
    /// The user has done something since: it knows.
    heard: bool,
}

#[derive(Debug)]
struct Queue {
    threshold: Option<usize>,
    line: Line<Waiter>,
    slots: HashMap<Arc<str>, Slot>,
    /// Those in the line who are gone, and since when.
    absent: BTreeSet<(Instant, Arc<str>)>,
    pace: Pace,
}

/// How many are let in in a second: an average in which a minute ago counts a third.
#[derive(Debug, Clone, Copy)]
struct Pace {
    rate: f64,
    since: Instant,
}

impl Pace {
    const MEMORY: f64 = 60.0;
    /// Nobody is told to wait for longer than a day.
    const LONGEST: f64 = 86_400.0;

    #[expect(clippy::cast_precision_loss, reason = "people are far fewer than 2^52")]
    fn note(&mut self, admitted: usize, now: Instant) {
        let seconds = now.saturating_duration_since(self.since).as_secs_f64();
        if seconds > 0.0 {
            let weight = 1.0 - (-seconds / Self::MEMORY).exp();
            self.rate += weight * (admitted as f64 / seconds - self.rate);
            self.since = now;
        }
    }

    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 0 and a day"
    )]
    fn wait(&self, position: u64) -> u64 {
        let seconds = position as f64 / self.rate;
        seconds.min(Self::LONGEST).ceil() as u64
    }
}

impl MemoryQueues {
    /// No queues.
    pub fn new(rules: QueueRules) -> Self {
        Self {
            queues: DashMap::new(),
            rules,
            events: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
        }
    }

    /// Does one step in a queue, which begins if need be.
    fn within<T>(
        &self,
        event: &EventId,
        now: Instant,
        step: impl FnOnce(&mut Queue) -> Result<T, QueueError>,
    ) -> Result<T, QueueError> {
        match self.queues.entry(event.clone()) {
            Entry::Occupied(mut entry) => step(entry.get_mut()),
            Entry::Vacant(entry) => {
                take(&self.events, self.rules.events)?;
                let mut queue = Queue::new(&self.rules, now);
                match step(&mut queue) {
                    Ok(done) => {
                        entry.insert(queue);
                        Ok(done)
                    }
                    Err(error) => {
                        self.events.fetch_sub(1, Ordering::Relaxed);
                        Err(error)
                    }
                }
            }
        }
    }

    /// Does one step in a queue that there is.
    fn inside<T>(&self, event: &EventId, step: impl FnOnce(&mut Queue) -> T) -> Option<T> {
        self.queues
            .get_mut(event)
            .map(|mut queue| step(queue.value_mut()))
    }

    fn nobody(&self) -> Standing {
        Standing {
            place: Place::Outside,
            size: 0,
            active: 0,
            threshold: self.rules.threshold,
            wait: 0,
        }
    }
}

/// One more of something of which there may be so many.
fn take(count: &AtomicUsize, most: usize) -> Result<(), QueueError> {
    let more = |n| (n < most).then_some(n + 1);
    count
        .fetch_update(Ordering::Relaxed, Ordering::Relaxed, more)
        .map(|_| ())
        .map_err(|_| QueueError::Full)
}

impl Queue {
    fn new(rules: &QueueRules, now: Instant) -> Self {
        Self {
            threshold: None,
            line: Line::default(),
            slots: HashMap::new(),
            absent: BTreeSet::new(),
            pace: Pace {
                // Until it is known better: each slot is used for as long as it may be.
                rate: rules.usual_pace(rules.threshold),
                since: now,
            },
        }
    }

    fn threshold(&self, rules: &QueueRules) -> usize {
        self.threshold.unwrap_or(rules.threshold)
    }

    fn free(&self, rules: &QueueRules) -> usize {
        self.threshold(rules).saturating_sub(self.slots.len())
    }

    /// Free slots, where a slot of this user that has ended counts as free already.
    fn free_but(&self, user: &str, rules: &QueueRules) -> usize {
        let taken = self.slots.len() - usize::from(self.slots.contains_key(user));
        self.threshold(rules).saturating_sub(taken)
    }

    fn standing(&self, rules: &QueueRules, user: &str, now: Moment) -> Standing {
        let slot = self.slots.get(user);
        let place = match (slot, self.line.position(user)) {
            (Some(slot), _) if slot.until > now.instant => Place::Admitted {
                until: now.unix_ms + milliseconds(slot.until - now.instant),
            },
            (_, Some(position)) => Place::Waiting { position },
            _ => Place::Outside,
        };
        Standing {
            place,
            size: self.line.len(),
            active: self.slots.len(),
            threshold: self.threshold(rules),
            wait: match place {
                Place::Waiting { position } => self.pace.wait(position),
                _ => 0,
            },
        }
    }

    fn admit(&mut self, user: &str, rules: &QueueRules, now: Moment) {
        let slot = Slot {
            until: now.instant + rules.lease,
            heard: false,
        };
        self.slots.insert(user.into(), slot);
    }

    /// The slot of a user who was let in and still is.
    fn slot(&mut self, user: &str, now: Moment) -> Option<&mut Slot> {
        let slot = self.slots.get_mut(user)?;
        (slot.until > now.instant).then_some(slot)
    }

    /// Whoever waits is here, or was seen at this time.
    fn seen(&mut self, user: &str, gone: Option<Instant>) {
        let Some(waiter) = self.line.get_mut(user) else {
            return;
        };
        let name: Arc<str> = waiter.user.as_str().into();
        if let Some(before) = std::mem::replace(&mut waiter.gone, gone) {
            self.absent.remove(&(before, name.clone()));
        }
        if let Some(gone) = gone {
            self.absent.insert((gone, name));
        }
    }

    fn remove(&mut self, user: &str) -> Option<Waiter> {
        let waiter = self.line.remove(user)?;
        if let Some(gone) = waiter.gone {
            self.absent.remove(&(gone, user.into()));
        }
        Some(waiter)
    }

    /// Takes out who is first; the others wait on.
    fn pop(&mut self) -> Option<Waiter> {
        let waiter = self.line.pop()?;
        if let Some(gone) = waiter.gone {
            self.absent.remove(&(gone, waiter.user.as_str().into()));
        }
        Some(waiter)
    }

    fn is_blank(&self) -> bool {
        self.line.is_empty() && self.slots.is_empty() && self.threshold.is_none()
    }
}

impl QueueRules {
    #[expect(clippy::cast_precision_loss, reason = "people are far fewer than 2^52")]
    fn usual_pace(&self, threshold: usize) -> f64 {
        threshold as f64 / self.lease.as_secs_f64().max(1.0)
    }
}

#[async_trait]
impl Queues for MemoryQueues {
    async fn join(
        &self,
        event: &EventId,
        user: &UserId,
        here: bool,
        now: Moment,
    ) -> Result<Arrived, QueueError> {
        let rules = &self.rules;
        let name = user.as_str();
        self.within(event, now.instant, |queue| {
            let gone = (!here).then_some(now.instant);
            let (mut admitted, mut tell) = (false, false);
            if let Some(slot) = queue.slot(name, now) {
                // It asks, so it will hear the answer.
                tell = !std::mem::replace(&mut slot.heard, true);
                slot.until = now.instant + rules.lease;
            } else if let Some(waiter) = queue.line.get(name) {
                if here || waiter.gone.is_some() {
                    queue.seen(name, gone);
                }
            } else if queue.line.is_empty() && queue.free_but(name, rules) > 0 {
                queue.admit(name, rules, now);
                (admitted, tell) = (true, true);
            } else {
                take(&self.waiting, rules.waiting)?;
                let waiter = Waiter {
                    user: user.clone(),
                    event: event.clone(),
                    since: now.instant,
                    gone: None,
                };
                queue.slots.remove(name);
                queue.line.push(name.into(), waiter);
                queue.seen(name, gone);
            }
            Ok(Arrived {
                standing: queue.standing(rules, name, now),
                tell,
                admitted,
            })
        })
    }

    async fn standing(&self, event: &EventId, user: &UserId, now: Moment) -> Standing {
        let name = user.as_str();
        let standing = self.inside(event, |queue| {
            if queue.line.get(name).is_some_and(|w| w.gone.is_some()) {
                queue.seen(name, Some(now.instant));
            }
            queue.standing(&self.rules, name, now)
        });
        standing.unwrap_or_else(|| self.nobody())
    }

    async fn back(&self, event: &EventId, user: &UserId, now: Moment) -> Arrived {
        let name = user.as_str();
        let back = self.inside(event, |queue| {
            queue.seen(name, None);
            Arrived {
                tell: queue.slot(name, now).is_some_and(|slot| !slot.heard),
                standing: queue.standing(&self.rules, name, now),
                admitted: false,
            }
        });
        back.unwrap_or_else(|| Arrived {
            standing: self.nobody(),
            tell: false,
            admitted: false,
        })
    }

    async fn gone(&self, event: &EventId, user: &UserId, now: Moment) {
        self.inside(event, |queue| queue.seen(user.as_str(), Some(now.instant)));
    }

    async fn leave(&self, event: &EventId, user: &UserId) -> bool {
        let left = self.inside(event, |queue| {
            let waited = queue.remove(user.as_str()).is_some();
            if waited {
                self.waiting.fetch_sub(1, Ordering::Relaxed);
            }
            queue.slots.remove(user.as_str()).is_some() || waited
        });
        left.unwrap_or(false)
    }

    async fn renew(&self, event: &EventId, user: &UserId, now: Moment) -> Option<u64> {
        let lease = self.rules.lease;
        let renewed = self.inside(event, |queue| {
            let slot = queue.slot(user.as_str(), now)?;
            slot.until = now.instant + lease;
            slot.heard = true;
            Some(now.unix_ms + milliseconds(lease))
        });
        renewed.flatten()
    }

    async fn may_pass(&self, event: &EventId, user: &UserId, now: Moment) -> bool {
        let may = self.inside(event, |queue| {
            queue.line.is_empty() || queue.slot(user.as_str(), now).is_some()
        });
        may.unwrap_or(true)
    }

    async fn admit(&self, most: usize, now: Moment) -> Admission {
        let rules = &self.rules;
        let mut admission = Admission::default();
        for mut entry in self.queues.iter_mut() {
            let (event, queue) = entry.pair_mut();
            let over = queue.slots.extract_if(|_, slot| slot.until <= now.instant);
            let ended = over.map(|(user, _)| (event.clone(), user));
            admission.ended.extend(ended);
            while let Some((gone, name)) = queue.absent.first().cloned()
                && now.instant.saturating_duration_since(gone) >= rules.grace
            {
                queue.remove(&name);
                self.waiting.fetch_sub(1, Ordering::Relaxed);
                admission.vanished += 1;
            }
            let waited = !queue.line.is_empty();
            let mut admitted = 0;
            while admitted < most
                && queue.free(rules) > 0
                && let Some(waiter) = queue.pop()
            {
                self.waiting.fetch_sub(1, Ordering::Relaxed);
                queue.admit(waiter.user.as_str(), rules, now);
                admission.admitted.push(Admitted {
                    event: waiter.event,
                    waited: now.instant.saturating_duration_since(waiter.since),
                    user: waiter.user,
                });
                admitted += 1;
            }
            if waited {
                queue.pace.note(admitted, now.instant);
            } else {
                queue.pace.since = now.instant;
            }
        }
        let mut ended = 0;
        self.queues.retain(|_, queue| {
            let blank = queue.is_blank();
            ended += usize::from(blank);
            !blank
        });
        self.events.fetch_sub(ended, Ordering::Relaxed);
        admission
    }

    async fn places(&self, event: &EventId, users: &[UserId], now: Moment) -> Vec<Standing> {
        let places = self.inside(event, |queue| {
            let users = users.iter();
            users
                .map(|user| queue.standing(&self.rules, user.as_str(), now))
                .collect()
        });
        places.unwrap_or_else(|| vec![self.nobody(); users.len()])
    }

    async fn clear(&self, event: &EventId) -> Vec<UserId> {
        let cleared: Option<Vec<UserId>> = self.inside(event, |queue| {
            let line = std::mem::take(&mut queue.line);
            queue.absent.clear();
            line.iter().map(|waiter| waiter.user.clone()).collect()
        });
        let cleared = cleared.unwrap_or_default();
        self.waiting.fetch_sub(cleared.len(), Ordering::Relaxed);
        cleared
    }

    async fn set_threshold(
        &self,
        event: &EventId,
        threshold: Option<usize>,
        now: Moment,
    ) -> Result<(), QueueError> {
        self.within(event, now.instant, |queue| {
            queue.threshold = threshold;
            queue.pace.rate = self.rules.usual_pace(queue.threshold(&self.rules));
            Ok(())
        })
    }

    async fn overview(&self, event: &EventId) -> Standing {
        let overview = self.inside(event, |queue| Standing {
            size: queue.line.len(),
            active: queue.slots.len(),
            threshold: queue.threshold(&self.rules),
            ..self.nobody()
        });
        overview.unwrap_or_else(|| self.nobody())
    }

    async fn totals(&self) -> QueueTotals {
        let mut totals = QueueTotals::default();
        for queue in &self.queues {
            totals.waiting += queue.line.len();
            totals.active += queue.slots.len();
            if !queue.line.is_empty() {
                totals.free += queue.free(&self.rules);
            }
        }
        totals
    }
}
