//! What is short-lived, against plain models: sessions, queues, seats, records. Whatever keeps them has to pass this.

use proptest::prelude::*;
use signalbox::{
    event::{
        Device, EventId, Moment, Namespace, PeerId, RoomId, SeatId, SeatState, SessionId, SocketId,
        UserId,
    },
    live::{
        Admitted, Arrived, Deed, MemoryQueues, MemoryRestores, MemorySeats, MemorySessions, Opened,
        Place, QueueError, QueueRules, QueueTotals, Queues, Record, Replaced, Restored, Restores,
        SeatError, SeatRules, Seats, SessionError, Sessions, Status,
    },
};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    future::Future,
    sync::LazyLock,
    time::{Duration, Instant},
};
use tokio::runtime::Runtime;

fn wait<T>(work: impl Future<Output = T>) -> T {
    static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());
    RUNTIME.block_on(work)
}

fn event(n: u8) -> EventId {
    EventId::new(&n.to_string(), true)
}

fn user(n: u8) -> UserId {
    UserId::new(&format!("u{n}"), false)
}

fn seat(n: u8) -> SeatId {
    SeatId::new(&format!("s{n}"), false)
}

/// So many milliseconds after the start.
fn at(start: Instant, ms: u64) -> Moment {
    Moment {
        instant: start + Duration::from_millis(ms),
        unix_ms: 1_000_000 + ms,
    }
}

const QUEUE: QueueRules = QueueRules {
    threshold: 2,
    lease: Duration::from_secs(10),
    grace: Duration::from_secs(3),
    events: 2,
    waiting: 6,
};

#[derive(Debug, Clone)]
enum QueueStep {
    Join(u8, u8, bool),
    Look(u8, u8),
    Back(u8, u8),
    Gone(u8, u8),
    Leave(u8, u8),
    Renew(u8, u8),
    Admit(usize),
    Clear(u8),
    Threshold(u8, Option<usize>),
    Later(u64),
}

fn queue_step() -> impl Strategy<Value = QueueStep> {
    let (e, u) = (|| 0..3_u8, || 0..9_u8);
    prop_oneof![
        8 => (e(), u(), any::<bool>()).prop_map(|(e, u, here)| QueueStep::Join(e, u, here)),
        3 => (e(), u()).prop_map(|(e, u)| QueueStep::Look(e, u)),
        2 => (e(), u()).prop_map(|(e, u)| QueueStep::Back(e, u)),
        3 => (e(), u()).prop_map(|(e, u)| QueueStep::Gone(e, u)),
        3 => (e(), u()).prop_map(|(e, u)| QueueStep::Leave(e, u)),
        3 => (e(), u()).prop_map(|(e, u)| QueueStep::Renew(e, u)),
        6 => (0..4_usize).prop_map(QueueStep::Admit),
        1 => e().prop_map(QueueStep::Clear),
        1 => (e(), prop::option::of(0..4_usize)).prop_map(|(e, n)| QueueStep::Threshold(e, n)),
        5 => (0..4_000_u64).prop_map(QueueStep::Later),
    ]
}

/// A queue, as simply as it can be said. Times are milliseconds.
#[derive(Default)]
struct QueueModel {
    /// Who waits, since when, and since when it is gone.
    line: Vec<(u8, u64, Option<u64>)>,
    /// Who was let in, until when, and whether it knows.
    slots: BTreeMap<u8, (u64, bool)>,
    threshold: Option<usize>,
}

impl QueueModel {
    fn threshold(&self) -> usize {
        self.threshold.unwrap_or(QUEUE.threshold)
    }

    fn place(&self, user: u8, now: u64) -> Place {
        if let Some((until, _)) = self.slots.get(&user)
            && *until > now
        {
            return Place::Admitted {
                until: 1_000_000 + until,
            };
        }
        let position = self.line.iter().position(|(u, ..)| *u == user);
        position.map_or(Place::Outside, |position| Place::Waiting {
            position: position as u64 + 1,
        })
    }

    fn waiter(&mut self, user: u8) -> Option<&mut (u8, u64, Option<u64>)> {
        self.line.iter_mut().find(|(u, ..)| *u == user)
    }

    fn is_blank(&self) -> bool {
        self.line.is_empty() && self.slots.is_empty() && self.threshold.is_none()
    }
}

const LEASE: u64 = 10_000;
const GRACE: u64 = 3_000;

/// Does one step in both, and compares.
fn queue_both(
    queues: &dyn Queues,
    model: &mut BTreeMap<u8, QueueModel>,
    step: &QueueStep,
    start: Instant,
    now: &mut u64,
) -> Result<(), TestCaseError> {
    let moment = at(start, *now);
    let waiting: usize = model.values().map(|queue| queue.line.len()).sum();
    let events = model.len();
    match *step {
        QueueStep::Join(e, u, here) => {
            let said = wait(queues.join(&event(e), &user(u), here, moment));
            let known = model.contains_key(&e);
            let queue = model.entry(e).or_default();
            let ended = queue.slots.get(&u).is_some_and(|(until, _)| until <= now);
            let taken = queue.slots.len() - usize::from(ended);
            let mut expected = Ok((false, false));
            if let Some(slot) = queue.slots.get_mut(&u).filter(|(until, _)| until > now) {
                expected = Ok((!slot.1, false));
                *slot = (*now + LEASE, true);
            } else if let Some((_, _, gone)) = queue.waiter(u) {
                if here || gone.is_some() {
                    *gone = (!here).then_some(*now);
                }
            } else if !known && events >= QUEUE.events {
                expected = Err(QueueError::Full);
            } else if queue.line.is_empty() && taken < queue.threshold() {
                queue.slots.insert(u, (*now + LEASE, false));
                expected = Ok((true, true));
            } else if waiting >= QUEUE.waiting {
                expected = Err(QueueError::Full);
            } else {
                queue.slots.remove(&u);
                queue.line.push((u, *now, (!here).then_some(*now)));
            }
            match (said, expected) {
                (
                    Ok(Arrived {
                        standing,
                        tell,
                        admitted,
                    }),
                    Ok(expected),
                ) => {
                    prop_assert_eq!((tell, admitted), expected);
                    prop_assert_eq!(standing.place, queue.place(u, *now));
                }
                (said, expected) => prop_assert_eq!(said.err(), expected.err()),
            }
            if !known && queue.is_blank() {
                model.remove(&e);
            }
        }
        QueueStep::Look(e, u) => {
            let said = wait(queues.standing(&event(e), &user(u), moment));
            let Some(queue) = model.get_mut(&e) else {
                prop_assert_eq!(said.place, Place::Outside);
                return Ok(());
            };
            if let Some((_, _, Some(gone))) = queue.waiter(u) {
                *gone = *now;
            }
            prop_assert_eq!(said.place, queue.place(u, *now));
            prop_assert_eq!(said.size, queue.line.len());
            prop_assert_eq!(said.active, queue.slots.len());
            prop_assert_eq!(said.threshold, queue.threshold());
            prop_assert_eq!(said.wait > 0, matches!(said.place, Place::Waiting { .. }));
        }
        QueueStep::Back(e, u) => {
            let said = wait(queues.back(&event(e), &user(u), moment));
            let Some(queue) = model.get_mut(&e) else {
                prop_assert_eq!(said.standing.place, Place::Outside);
                return Ok(());
            };
            if let Some((_, _, gone)) = queue.waiter(u) {
                *gone = None;
            }
            prop_assert_eq!(said.standing.place, queue.place(u, *now));
            let slot = queue.slots.get(&u).filter(|(until, _)| until > now);
            prop_assert_eq!(said.tell, slot.is_some_and(|(_, heard)| !heard));
        }
        QueueStep::Gone(e, u) => {
            wait(queues.gone(&event(e), &user(u), moment));
            if let Some((_, _, gone)) = model.get_mut(&e).and_then(|queue| queue.waiter(u)) {
                *gone = Some(*now);
            }
        }
        QueueStep::Leave(e, u) => {
            let said = wait(queues.leave(&event(e), &user(u)));
            let left = model.get_mut(&e).is_some_and(|queue| {
                let before = queue.line.len();
                queue.line.retain(|(waiter, ..)| *waiter != u);
                queue.slots.remove(&u).is_some() || queue.line.len() < before
            });
            prop_assert_eq!(said, left);
        }
        QueueStep::Renew(e, u) => {
            let said = wait(queues.renew(&event(e), &user(u), moment));
            let slot = model.get_mut(&e).and_then(|queue| queue.slots.get_mut(&u));
            let slot = slot.filter(|(until, _)| until > now);
            prop_assert_eq!(said.is_some(), slot.is_some());
            if let Some(slot) = slot {
                *slot = (*now + LEASE, true);
                prop_assert_eq!(said, Some(1_000_000 + *now + LEASE));
            }
        }
        QueueStep::Admit(most) => {
            let said = wait(queues.admit(most, moment));
            let (mut vanished, mut ended) = (0, Vec::new());
            for (e, queue) in &mut *model {
                let over = queue.slots.extract_if(.., |_, (until, _)| until <= now);
                ended.extend(over.map(|(u, _)| (event(*e), user(u).as_str().into())));
                let before = queue.line.len();
                queue
                    .line
                    .retain(|(_, _, gone)| gone.is_none_or(|gone| *now - gone < GRACE));
                vanished += before - queue.line.len();
                let mut admitted = Vec::new();
                while admitted.len() < most
                    && queue.slots.len() < queue.threshold()
                    && !queue.line.is_empty()
                {
                    let (u, since, _) = queue.line.remove(0);
                    queue.slots.insert(u, (*now + LEASE, false));
                    admitted.push(Admitted {
                        event: event(*e),
                        user: user(u),
                        waited: Duration::from_millis(*now - since),
                    });
                }
                let here: Vec<Admitted> = said
                    .admitted
                    .iter()
                    .filter(|one| one.event == event(*e))
                    .cloned()
                    .collect();
                prop_assert_eq!(here, admitted);
            }
            prop_assert_eq!(said.vanished, vanished);
            let mut said = said.ended;
            said.sort();
            ended.sort();
            prop_assert_eq!(said, ended);
            model.retain(|_, queue| !queue.is_blank());
        }
        QueueStep::Clear(e) => {
            let said = wait(queues.clear(&event(e)));
            let line = model
                .get_mut(&e)
                .map(|queue| std::mem::take(&mut queue.line));
            let cleared = line.unwrap_or_default().into_iter().map(|(u, ..)| user(u));
            prop_assert_eq!(said, cleared.collect::<Vec<_>>());
        }
        QueueStep::Threshold(e, threshold) => {
            let said = wait(queues.set_threshold(&event(e), threshold, moment));
            if model.contains_key(&e) || events < QUEUE.events {
                prop_assert_eq!(said, Ok(()));
                model.entry(e).or_default().threshold = threshold;
            } else {
                prop_assert_eq!(said, Err(QueueError::Full));
            }
        }
        QueueStep::Later(ms) => *now += ms,
    }
    let totals = model
        .values()
        .fold(QueueTotals::default(), |mut all, queue| {
            all.waiting += queue.line.len();
            all.active += queue.slots.len();
            if !queue.line.is_empty() {
                all.free += queue.threshold().saturating_sub(queue.slots.len());
            }
            all
        });
    prop_assert_eq!(wait(queues.totals()), totals);
    for (e, queue) in model {
        let users: Vec<u8> = (0..9).collect();
        let asked: Vec<UserId> = users.iter().map(|u| user(*u)).collect();
        let places = wait(queues.places(&event(*e), &asked, at(start, *now)));
        for (u, standing) in users.into_iter().zip(places) {
            prop_assert_eq!(standing.place, queue.place(u, *now));
        }
    }
    Ok(())
}

const SEATS: SeatRules = SeatRules {
    hold: Duration::from_secs(5),
    per_user: 3,
    most: 20,
};
const HOLD: u64 = 5_000;

#[derive(Debug, Clone)]
enum SeatStep {
    Select(u8, u8, u8),
    Replace(u8, Vec<u8>, u8),
    Release(u8, u8, u8),
    Expire,
    Mark(u8, Vec<u8>, Vec<u8>),
    Later(u64),
}

fn seat_step() -> impl Strategy<Value = SeatStep> {
    let (e, s, u) = (|| 0..2_u8, || 0..6_u8, || 0..4_u8);
    let some = || prop::collection::vec(0..6_u8, 0..5);
    prop_oneof![
        8 => (e(), s(), u()).prop_map(|(e, s, u)| SeatStep::Select(e, s, u)),
        4 => (e(), some(), u()).prop_map(|(e, s, u)| SeatStep::Replace(e, s, u)),
        4 => (e(), s(), u()).prop_map(|(e, s, u)| SeatStep::Release(e, s, u)),
        3 => Just(SeatStep::Expire),
        1 => (e(), some(), some()).prop_map(|(e, f, s)| SeatStep::Mark(e, f, s)),
        4 => (0..3_000_u64).prop_map(SeatStep::Later),
    ]
}

/// Seats, as simply as it can be said.
#[derive(Default)]
struct SeatModel {
    holds: BTreeMap<(u8, u8), (u8, u64)>,
    sold: BTreeMap<(u8, u8), bool>,
    listed: BTreeMap<(u8, u8), bool>,
}

impl SeatModel {
    fn holder(&self, key: (u8, u8), now: u64) -> Option<(u8, u64)> {
        self.holds.get(&key).copied().filter(|(_, end)| *end > now)
    }

    fn open(&self, key: (u8, u8), user: u8, now: u64) -> Result<bool, SeatError> {
        if self.sold.contains_key(&key) {
            return Err(SeatError::Taken);
        }
        match self.holder(key, now) {
            Some((by, _)) if by == user => Ok(true),
            Some(_) => Err(SeatError::Taken),
            None if self.listed.keys().any(|(e, _)| *e == key.0)
                && !self.listed.contains_key(&key) =>
            {
                Err(SeatError::NoSuchSeat)
            }
            None => Ok(false),
        }
    }

    fn of(&self, user: u8, now: u64) -> Vec<(u8, u8)> {
        let keys = self.holds.keys().copied();
        keys.filter(|key| self.holder(*key, now).is_some_and(|(by, _)| by == user))
            .collect()
    }

    fn state(&self, key: (u8, u8), now: u64) -> Option<SeatState> {
        if self.sold.contains_key(&key) {
            return Some(SeatState::Sold);
        }
        let held = self.holder(key, now).map(|(by, end)| SeatState::Held {
            user: user(by),
            until: 1_000_000 + end,
        });
        held.or(self.listed.contains_key(&key).then_some(SeatState::Free))
    }
}

fn seat_both(
    seats: &MemorySeats,
    model: &mut SeatModel,
    step: &SeatStep,
    start: Instant,
    now: &mut u64,
) -> Result<(), TestCaseError> {
    let moment = at(start, *now);
    match step {
        &SeatStep::Select(e, s, u) => {
            let said = wait(seats.select(&event(e), &seat(s), &user(u), moment));
            let over = model
                .holds
                .get(&(e, s))
                .is_some_and(|(_, end)| *end <= *now);
            let expected = match model.open((e, s), u, *now) {
                Ok(true) => Ok(()),
                Ok(false) if model.of(u, *now).len() >= SEATS.per_user => Err(SeatError::TooMany),
                Ok(false) => {
                    model.holds.insert((e, s), (u, *now + HOLD));
                    Ok(())
                }
                Err(error) => Err(error),
            };
            let until = model.holder((e, s), *now).map(|(_, end)| 1_000_000 + end);
            match expected {
                Ok(()) => {
                    prop_assert_eq!(said.map(|held| Some(held.until)), Ok(until));
                    prop_assert_eq!(said.map(|held| held.ended), Ok(over));
                }
                Err(error) => prop_assert_eq!(said, Err(error)),
            }
        }
        SeatStep::Replace(e, wanted, u) => {
            let ids: Vec<SeatId> = wanted.iter().map(|s| seat(*s)).collect();
            let said = wait(seats.replace(&event(*e), &ids, &user(*u), moment));
            let mut once: Vec<u8> = Vec::new();
            for s in wanted {
                if !once.contains(s) {
                    once.push(*s);
                }
            }
            let (here, elsewhere): (Vec<_>, Vec<_>) =
                model.of(*u, *now).into_iter().partition(|(at, _)| at == e);
            if elsewhere.len() + once.len() > SEATS.per_user {
                prop_assert_eq!(said, Err(SeatError::TooMany));
                return Ok(());
            }
            let mut expected = Replaced::default();
            for key in here {
                if !once.contains(&key.1) {
                    model.holds.remove(&key);
                    expected.released.push(seat(key.1));
                }
            }
            for s in once {
                match model.open((*e, s), *u, *now) {
                    Ok(again) => {
                        expected.selected.push(seat(s));
                        if !again {
                            if model.holds.contains_key(&(*e, s)) {
                                expected.ended.push(seat(s));
                            }
                            model.holds.insert((*e, s), (*u, *now + HOLD));
                            expected.added.push(seat(s));
                        }
                    }
                    Err(_) => expected.refused.push(seat(s)),
                }
            }
            let mut said = said.map_err(|e| TestCaseError::fail(format!("{e:?}")))?;
            said.released.sort();
            expected.released.sort();
            prop_assert_eq!(said, expected);
        }
        &SeatStep::Release(e, s, u) => {
            let said = wait(seats.release(&event(e), &seat(s), &user(u), moment));
            let expected = match model.holder((e, s), *now) {
                None => Err(SeatError::NotHeld),
                Some((by, _)) if by != u => Err(SeatError::NotYours),
                Some(_) => {
                    model.holds.remove(&(e, s));
                    Ok(())
                }
            };
            prop_assert_eq!(said, expected);
        }
        SeatStep::Expire => {
            let said = wait(seats.expire(moment));
            let mut said: Vec<(EventId, SeatId)> = said
                .into_iter()
                .flat_map(|(e, seats)| seats.into_iter().map(move |s| (e.clone(), s)))
                .collect();
            said.sort();
            let over = model.holds.iter().filter(|(_, (_, end))| *end <= *now);
            let expected: Vec<_> = over.map(|((e, s), _)| (event(*e), seat(*s))).collect();
            prop_assert_eq!(said, expected);
            model.holds.retain(|_, (_, end)| *end > *now);
        }
        SeatStep::Mark(e, free, sold) => {
            let ids = |all: &[u8]| all.iter().map(|s| seat(*s)).collect::<Vec<_>>();
            seats.mark(&event(*e), &ids(free), &ids(sold));
            for s in free {
                model.listed.insert((*e, *s), true);
                model.sold.remove(&(*e, *s));
            }
            for s in sold {
                model.holds.remove(&(*e, *s));
                model.sold.insert((*e, *s), true);
            }
        }
        SeatStep::Later(ms) => *now += ms,
    }
    let moment = at(start, *now);
    for e in 0..2 {
        let map = wait(seats.map(&event(e), moment));
        let expected: Vec<_> = (0..6)
            .filter_map(|s| Some((seat(s), model.state((e, s), *now)?)))
            .collect();
        prop_assert_eq!(map, expected);
    }
    for u in 0..4 {
        let mut held = wait(seats.of(&user(u), moment));
        held.sort();
        let expected = model.of(u, *now).into_iter();
        let expected: Vec<_> = expected.map(|(e, s)| (event(e), seat(s))).collect();
        prop_assert_eq!(held, expected);
    }
    Ok(())
}

#[derive(Debug, Clone)]
enum RestoreStep {
    Opened(u8),
    Closed(u8),
    Note(u8, Deed),
    Forget,
    Later(u64),
}

fn restore_step() -> impl Strategy<Value = RestoreStep> {
    let u = || 0..4_u8;
    let event = || (0..3_u8).prop_map(event);
    let session = || (0..3_u8).prop_map(session);
    let room = || (0..3_u8).prop_map(|n| RoomId::parse(&format!("room-{n}")).unwrap());
    let deed = prop_oneof![
        event().prop_map(Deed::EnteredEvent),
        event().prop_map(Deed::LeftEvent),
        event().prop_map(Deed::EnteredQueue),
        event().prop_map(Deed::LeftQueue),
        event().prop_map(Deed::QueueEnded),
        event().prop_map(Deed::EnteredSeats),
        session().prop_map(Deed::EnteredSession),
        session().prop_map(Deed::LeftSession),
        room().prop_map(Deed::EnteredRoom),
        room().prop_map(Deed::LeftRoom),
        Just(Deed::Active),
    ];
    prop_oneof![
        4 => u().prop_map(RestoreStep::Opened),
        4 => u().prop_map(RestoreStep::Closed),
        8 => (u(), deed).prop_map(|(u, deed)| RestoreStep::Note(u, deed)),
        2 => Just(RestoreStep::Forget),
        3 => (0..3_000_u64).prop_map(RestoreStep::Later),
    ]
}

const WINDOW: u64 = 4_000;

/// What is kept of a user: record, sockets, last activity.
type Kept = (Record, u32, u64);

fn restore_both(
    restores: &dyn Restores,
    model: &mut HashMap<u8, Kept>,
    step: RestoreStep,
    start: Instant,
    now: &mut u64,
) -> Result<(), TestCaseError> {
    let moment = at(start, *now);
    let over = |(_, sockets, active): &Kept, now: u64| *sockets == 0 && now - active >= WINDOW;
    // Whoever was not forgotten yet and is seen again begins anew.
    let mut ended = false;
    if let RestoreStep::Opened(u) | RestoreStep::Closed(u) | RestoreStep::Note(u, _) = &step
        && let Some(kept) = model.get_mut(u)
        && over(kept, *now)
    {
        kept.0 = Record::default();
        ended = true;
    }
    match step {
        RestoreStep::Opened(u) => {
            let said = wait(restores.opened(user(u).as_str(), moment));
            let (record, sockets, active) = model.entry(u).or_default();
            let expected = if ended {
                Opened::Over
            } else if *record == Record::default() {
                Opened::New
            } else {
                Opened::Known(Restored {
                    record: record.clone(),
                    last_activity: 1_000_000 + *active,
                })
            };
            prop_assert_eq!(said, expected);
            *sockets += 1;
            *active = *now;
        }
        RestoreStep::Closed(u) => {
            wait(restores.closed(user(u).as_str(), moment));
            if let Some((_, sockets, active)) = model.get_mut(&u) {
                *sockets = sockets.saturating_sub(1);
                *active = *now;
            }
            model.retain(|at, (record, sockets, _)| {
                *at != u || *sockets > 0 || *record != Record::default()
            });
        }
        RestoreStep::Note(u, deed) => {
            wait(restores.note(user(u).as_str(), deed.clone(), moment));
            if matches!(deed, Deed::QueueEnded(_)) && !model.contains_key(&u) {
                return Ok(());
            }
            let (record, _, active) = model.entry(u).or_default();
            if !matches!(deed, Deed::QueueEnded(_)) {
                *active = *now;
            }
            let forget = |place: &mut Option<EventId>, event: &EventId| {
                if place.as_ref() == Some(event) {
                    *place = None;
                }
            };
            match deed {
                Deed::EnteredEvent(event) => record.event = Some(event),
                Deed::LeftEvent(event) => forget(&mut record.event, &event),
                Deed::EnteredQueue(event) => record.queue = Some(event),
                Deed::LeftQueue(event) | Deed::QueueEnded(event) => {
                    forget(&mut record.queue, &event);
                }
                Deed::EnteredSeats(event) => record.seats = Some(event),
                Deed::EnteredSession(session) => record.session = Some(session),
                Deed::LeftSession(session) => {
                    record.session = record.session.take().filter(|at| *at != session);
                }
                Deed::EnteredRoom(room) => {
                    record.rooms.retain(|at| *at != room);
                    record.rooms.push(room);
                }
                Deed::LeftRoom(room) => record.rooms.retain(|at| *at != room),
                Deed::Active => {}
            }
        }
        RestoreStep::Forget => {
            let said = wait(restores.forget(moment)).len();
            let before = model.len();
            model.retain(|_, kept| !over(kept, *now));
            prop_assert_eq!(said, before - model.len());
        }
        RestoreStep::Later(ms) => *now += ms,
    }
    Ok(())
}

#[derive(Debug, Clone)]
enum SessionStep {
    Register(u8, Device),
    Join(u8, Option<Device>, u8),
    Leave(u8, u8),
    Forget(u8),
    Scan(u8, u8),
}

fn session_step() -> impl Strategy<Value = SessionStep> {
    let (p, s) = (|| 0..5_u8, || 0..5_u8);
    let device = || prop_oneof![Just(Device::Mobile), Just(Device::Monitor)];
    prop_oneof![
        3 => (p(), device()).prop_map(|(p, device)| SessionStep::Register(p, device)),
        8 => (p(), prop::option::of(device()), s()).prop_map(|(p, device, s)| SessionStep::Join(p, device, s)),
        3 => (p(), s()).prop_map(|(p, s)| SessionStep::Leave(p, s)),
        2 => p().prop_map(SessionStep::Forget),
        4 => (p(), s()).prop_map(|(p, s)| SessionStep::Scan(p, s)),
    ]
}

/// So many sessions of a peer, and in all.
const PER_PEER: usize = 2;
const MOST: usize = 3;

/// Scan sessions, as simply as it can be said.
#[derive(Default)]
struct SessionModel {
    devices: BTreeMap<u8, Device>,
    /// Who is in which.
    members: BTreeMap<u8, Vec<u8>>,
}

impl SessionModel {
    fn of(&self, peer: u8) -> Vec<u8> {
        let all = self
            .members
            .iter()
            .filter(|(_, members)| members.contains(&peer));
        all.map(|(s, _)| *s).collect()
    }

    fn count(&self, session: u8, device: Device) -> usize {
        let members = self.members.get(&session).into_iter().flatten();
        members.filter(|p| self.devices[p] == device).count()
    }

    fn status(&self, session: u8) -> Status {
        let has = |device| self.count(session, device) > 0;
        Status {
            is_active: has(Device::Mobile) || has(Device::Monitor),
            has_mobile: has(Device::Mobile),
            has_monitor: has(Device::Monitor),
        }
    }

    /// Takes a peer out; where nothing was scanned and nobody is left, there is no session.
    fn exit(&mut self, peer: u8, session: u8, scanned: &BTreeSet<u8>) {
        if let Some(members) = self.members.get_mut(&session) {
            members.retain(|p| *p != peer);
            if members.is_empty() && !scanned.contains(&session) {
                self.members.remove(&session);
            }
        }
    }
}

fn peer(n: u8) -> PeerId {
    PeerId {
        namespace: Namespace::Root,
        socket: SocketId::parse(&format!("{n:016}")).unwrap(),
    }
}

fn session(n: u8) -> SessionId {
    SessionId::parse(&format!("s{n}")).unwrap()
}

fn session_both(
    sessions: &dyn Sessions,
    model: &mut SessionModel,
    scanned: &mut BTreeSet<u8>,
    step: &SessionStep,
    now: Moment,
) -> Result<(), TestCaseError> {
    match *step {
        SessionStep::Register(p, device) => {
            wait(sessions.register(peer(p), device));
            model.devices.insert(p, device);
        }
        SessionStep::Join(p, fallback, s) => {
            let said = wait(sessions.join(peer(p), fallback, None, &session(s), now));
            let mine = model.of(p);
            let expected = match model.devices.get(&p).copied().or(fallback) {
                None => Err(SessionError::NotRegistered),
                Some(_) if !mine.contains(&s) && mine.len() >= PER_PEER => {
                    Err(SessionError::TooManySessions)
                }
                Some(_) if !model.members.contains_key(&s) && model.members.len() >= MOST => {
                    Err(SessionError::NodeFull)
                }
                Some(device) => {
                    model.devices.insert(p, device);
                    let members = model.members.entry(s).or_default();
                    let again = members.contains(&p);
                    if !again {
                        members.push(p);
                    }
                    Ok((device, again, model.status(s)))
                }
            };
            let said = said.map(|joined| (joined.device, joined.again, joined.status));
            prop_assert_eq!(said, expected);
        }
        SessionStep::Leave(p, s) => {
            let said = wait(sessions.leave(peer(p), &session(s), now));
            let expected = model.of(p).contains(&s);
            model.exit(p, s, scanned);
            let status = said.map(|left| left.status);
            prop_assert_eq!(status.ok(), expected.then(|| model.status(s)));
        }
        SessionStep::Forget(p) => {
            let said = wait(sessions.forget(peer(p), now));
            let mut said: Vec<SessionId> = said.into_iter().map(|left| left.session).collect();
            said.sort();
            let mine = model.of(p);
            for s in &mine {
                model.exit(p, *s, scanned);
            }
            model.devices.remove(&p);
            prop_assert_eq!(said, mine.into_iter().map(session).collect::<Vec<_>>());
        }
        SessionStep::Scan(p, s) => {
            let said = wait(sessions.scan(peer(p), &session(s), now));
            let inside = model.of(p).contains(&s);
            if inside {
                scanned.insert(s);
            }
            let monitors = model.count(s, Device::Monitor);
            let expected = inside.then(|| (model.devices[&p], monitors, monitors > 0));
            let said = said.map(|scan| (scan.device, scan.monitors, scan.seen));
            prop_assert_eq!(said.ok(), expected);
        }
    }
    for p in 0..5 {
        let mine = model.of(p);
        let only = (mine.len() == 1).then(|| session(mine[0]));
        prop_assert_eq!(wait(sessions.only_session(peer(p))), only);
        for s in 0..5 {
            let device = mine.contains(&s).then(|| model.devices[&p]);
            prop_assert_eq!(wait(sessions.device(peer(p), &session(s))), device);
            let phone = wait(sessions.phone(&session(s), peer(p).socket.as_str()));
            prop_assert_eq!(phone.is_some(), device == Some(Device::Mobile));
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_queue_is_first_come_first_served_whatever_happens(steps in prop::collection::vec(queue_step(), 1..120)) {
        let queues = MemoryQueues::new(QUEUE);
        let (mut model, start, mut now) = (BTreeMap::new(), Instant::now(), 0);
        for step in steps {
            queue_both(&queues, &mut model, &step, start, &mut now)?;
        }
    }

    #[test]
    fn no_seat_ever_has_two_holders(steps in prop::collection::vec(seat_step(), 1..120)) {
        let seats = MemorySeats::new(SEATS);
        let (mut model, start, mut now) = (SeatModel::default(), Instant::now(), 0);
        seats.load([], at(start, 0));
        for step in steps {
            seat_both(&seats, &mut model, &step, start, &mut now)?;
            // Written down and read again, it is the same.
            let written = MemorySeats::new(SEATS);
            let mut records = Vec::new();
            for e in 0..2 {
                for s in 0..6 {
                    let state = model.state((e, s), now);
                    let listed = model.listed.contains_key(&(e, s));
                    let record = signalbox::event::SeatRecord { event: event(e), seat: seat(s), state, listed };
                    records.push(record);
                }
            }
            written.load(records, at(start, now));
            for e in 0..2 {
                let moment = at(start, now);
                prop_assert_eq!(wait(written.map(&event(e), moment)), wait(seats.map(&event(e), moment)));
            }
        }
    }

    #[test]
    fn who_is_in_a_session_is_who_joined_and_has_not_left(steps in prop::collection::vec(session_step(), 1..120)) {
        let sessions = MemorySessions::new(PER_PEER, MOST);
        let (mut model, mut scanned) = (SessionModel::default(), BTreeSet::new());
        let now = at(Instant::now(), 0);
        for step in steps {
            session_both(&sessions, &mut model, &mut scanned, &step, now)?;
        }
    }

    #[test]
    fn a_user_comes_back_to_where_it_was(steps in prop::collection::vec(restore_step(), 1..120)) {
        let restores = MemoryRestores::new(Duration::from_millis(WINDOW), 100);
        let (mut model, start, mut now) = (HashMap::new(), Instant::now(), 0);
        for step in steps {
            restore_both(&restores, &mut model, step, start, &mut now)?;
        }
    }
}

/// A sale: a thousand people, ten slots, each used for a few seconds. Three of ten vanish while they wait, half of
/// those are back in time.
#[test]
fn a_thousand_people_are_let_in_in_their_order_each_once_and_nobody_is_forgotten() {
    let rules = QueueRules {
        threshold: 10,
        lease: Duration::from_secs(30),
        grace: Duration::from_mins(1),
        events: 1,
        waiting: 1000,
    };
    let (queues, start, sale) = (MemoryQueues::new(rules), Instant::now(), event(1));
    let people: Vec<UserId> = (0..1000)
        .map(|n| UserId::new(&format!("p{n}"), false))
        .collect();
    let vanishes = |n: usize| n % 10 < 3;
    let returns = |n: usize| vanishes(n) && n.is_multiple_of(2);
    let mut admitted: Vec<usize> = Vec::new();
    for (n, user) in people.iter().enumerate() {
        let joined = wait(queues.join(&sale, user, true, at(start, 0))).unwrap();
        if joined.admitted {
            admitted.push(n);
        }
    }
    for (n, user) in people.iter().enumerate().filter(|(n, _)| vanishes(*n)) {
        wait(queues.gone(&sale, user, at(start, 1000)));
        if returns(n) {
            wait(queues.back(&sale, user, at(start, 59_000)));
        }
    }
    let mut inside: Vec<(usize, u64)> = admitted.iter().map(|n| (*n, 0)).collect();
    for second in 62..1000 {
        let now = at(start, second * 1000);
        // Everybody uses a slot for three seconds; one in seven forgets to leave, and the lease ends.
        inside.retain(|(n, since)| {
            let leaves = n % 7 != 0 && second - since >= 3;
            if leaves {
                wait(queues.leave(&sale, &people[*n]));
            }
            !leaves
        });
        for one in wait(queues.admit(5000, now)).admitted {
            let n: usize = one.user.as_str()[1..].parse().unwrap();
            admitted.push(n);
            inside.push((n, second));
        }
        let standing = wait(queues.overview(&sale));
        assert!(standing.active <= 10, "{standing:?}");
    }
    let expected = (0..1000).filter(|n| *n < 10 || !vanishes(*n) || returns(*n));
    assert_eq!(admitted, expected.collect::<Vec<_>>());
    assert_eq!(wait(queues.totals()).waiting, 0);
}

#[test]
fn what_changes_of_a_seat_is_handed_out_once_and_again_if_it_was_not_written() {
    let (seats, start) = (MemorySeats::new(SEATS), Instant::now());
    let now = at(start, 0);
    let refused = wait(seats.select(&event(1), &seat(1), &user(1), now));
    assert_eq!(
        refused,
        Err(SeatError::NotLoaded),
        "what is sold is not known yet"
    );
    seats.load([], now);
    wait(seats.select(&event(1), &seat(1), &user(1), now)).unwrap();

    let changes = seats.take_changes(10, now);
    assert_eq!(changes.len(), 1);
    assert!(matches!(changes[0].state, Some(SeatState::Held { .. })));
    assert!(seats.take_changes(10, now).is_empty());
    seats.give_back(changes);
    wait(seats.expire(at(start, HOLD)));
    let changes = seats.take_changes(10, at(start, HOLD));
    assert_eq!(
        (changes.len(), &changes[0].state),
        (1, &None),
        "as it is now"
    );
}
