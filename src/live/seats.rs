//! Seats: who holds which for a while, which are sold. Two users never hold one seat.

use crate::event::{EventId, Moment, SeatId, SeatRecord, SeatState, UserId, milliseconds};
use async_trait::async_trait;
use parking_lot::{Mutex, MutexGuard};
use std::{
    collections::{BTreeSet, HashMap, HashSet},
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

/// The rules of all seats.
#[derive(Debug, Clone, Copy)]
pub struct SeatRules {
    /// A seat is held so long.
    pub hold: Duration,
    /// Seats that one user may hold, of all events.
    pub per_user: usize,
    /// Seats that are held, sold or on a map, in all.
    pub most: usize,
}

/// Why a step was not taken. Nothing was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SeatError {
    /// Somebody else has it, or it is sold.
    Taken,
    /// The event has no such seat.
    NoSuchSeat,
    /// The user holds as many as it may.
    TooMany,
    /// As many as there may be, of all users.
    Full,
    /// Somebody else holds it.
    NotYours,
    /// Nobody holds it.
    NotHeld,
    /// What was sold has not been read yet.
    NotLoaded,
}

/// A user has a seat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// Until then, in milliseconds since 1970.
    pub until: u64,
    /// It had it already.
    pub again: bool,
    /// A hold of it had ended, which nobody has been told.
    pub ended: bool,
}

/// A user's selection was replaced.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Replaced {
    /// What it holds of the event now.
    pub selected: Vec<SeatId>,
    /// What it wanted and could not have.
    pub refused: Vec<SeatId>,
    /// Of what it holds, what is new.
    pub added: Vec<SeatId>,
    /// What it gave up.
    pub released: Vec<SeatId>,
    /// Of what is new, those of which a hold had ended, which nobody has been told.
    pub ended: Vec<SeatId>,
}

/// Seats, wherever they are kept. Each operation is one whole step; the time comes with it.
#[async_trait]
pub trait Seats: fmt::Debug + Send + Sync {
    /// Holds a seat. Holding it again does not prolong it.
    ///
    /// # Errors
    ///
    /// [`SeatError::Taken`], [`SeatError::NoSuchSeat`], [`SeatError::TooMany`], [`SeatError::Full`],
    /// [`SeatError::NotLoaded`].
    async fn select(
        &self,
        event: &EventId,
        seat: &SeatId,
        user: &UserId,
        now: Moment,
    ) -> Result<Held, SeatError>;

    /// Makes these the seats of the event that the user holds, those of them that are to be had.
    ///
    /// # Errors
    ///
    /// [`SeatError::TooMany`], [`SeatError::Full`], [`SeatError::NotLoaded`].
    async fn replace(
        &self,
        event: &EventId,
        seats: &[SeatId],
        user: &UserId,
        now: Moment,
    ) -> Result<Replaced, SeatError>;

    /// Gives a seat back.
    ///
    /// # Errors
    ///
    /// [`SeatError::NotYours`], [`SeatError::NotHeld`].
    async fn release(
        &self,
        event: &EventId,
        seat: &SeatId,
        user: &UserId,
        now: Moment,
    ) -> Result<(), SeatError>;

    /// Ends holds whose time is over.
    async fn expire(&self, now: Moment) -> Vec<(EventId, Vec<SeatId>)>;

    /// What a user holds.
    async fn of(&self, user: &UserId, now: Moment) -> Vec<(EventId, SeatId)>;

    /// Every seat of an event that is held, sold or on its map, by id.
    async fn map(&self, event: &EventId, now: Moment) -> Vec<(SeatId, SeatState)>;

    /// How many are held.
    async fn held(&self) -> usize;
}

/// Seats in memory. What changes is noted, so that it can be written down.
#[derive(Debug)]
pub struct MemorySeats {
    rules: SeatRules,
    state: Mutex<State>,
}

#[derive(Debug)]
struct Hold {
    user: UserId,
    end: Instant,
    /// The same for people.
    until: u64,
}

#[derive(Debug, Default)]
struct Seat {
    hold: Option<Hold>,
    sold: bool,
    listed: bool,
}

#[derive(Debug, Default)]
struct State {
    events: HashMap<EventId, Event>,
    /// What each user holds.
    users: HashMap<Arc<str>, Vec<(EventId, SeatId)>>,
    ends: BTreeSet<(Instant, EventId, SeatId)>,
    /// Changed since it was last written down.
    changed: HashSet<(EventId, SeatId)>,
    count: usize,
    loaded: bool,
}

#[derive(Debug, Default)]
struct Event {
    seats: HashMap<SeatId, Seat>,
    /// How many are on its map; with any, others do not exist.
    listed: usize,
}

impl Seat {
    /// Who holds it at this time.
    fn holder(&self, now: Instant) -> Option<&Hold> {
        self.hold.as_ref().filter(|hold| hold.end > now)
    }

    fn state(&self, now: Instant) -> Option<SeatState> {
        if self.sold {
            return Some(SeatState::Sold);
        }
        let held = self.holder(now).map(|hold| SeatState::Held {
            user: hold.user.clone(),
            until: hold.until,
        });
        held.or(self.listed.then_some(SeatState::Free))
    }
}

impl MemorySeats {
    /// Nobody holds anything, and nobody can before [`MemorySeats::load`] was called.
    pub fn new(rules: SeatRules) -> Self {
        Self {
            rules,
            state: Mutex::default(),
        }
    }

    /// Takes over what was written down; holds that have ended are passed over.
    pub fn load(&self, seats: impl IntoIterator<Item = SeatRecord>, now: Moment) {
        let mut state = self.state.lock();
        for SeatRecord {
            event,
            seat,
            state: was,
            listed,
        } in seats
        {
            state.set_listed(&event, &seat, listed);
            match was {
                Some(SeatState::Sold) => state.seat(&event, &seat).sold = true,
                Some(SeatState::Held { user, until }) if until > now.unix_ms => {
                    let left = Duration::from_millis(until - now.unix_ms).min(self.rules.hold);
                    let end = now.instant + left;
                    state.hold(&event, &seat, Hold { user, end, until });
                }
                _ => state.forget_blank(&event, &seat),
            }
        }
        state.changed.clear();
        state.loaded = true;
    }

    /// The seats, once what was written down has been taken over.
    fn loaded(&self) -> Result<MutexGuard<'_, State>, SeatError> {
        let state = self.state.lock();
        if state.loaded {
            Ok(state)
        } else {
            Err(SeatError::NotLoaded)
        }
    }

    /// Whether what was written down has been taken over. Before that no seat can be had.
    pub fn is_loaded(&self) -> bool {
        self.state.lock().loaded
    }

    /// What is to be written down before seats are marked.
    ///
    /// # Errors
    ///
    /// [`SeatError::Full`], [`SeatError::NotLoaded`].
    pub fn plan(
        &self,
        event: &EventId,
        free: &[SeatId],
        sold: &[SeatId],
    ) -> Result<Vec<SeatRecord>, SeatError> {
        let state = self.loaded()?;
        if state.count + free.len() + sold.len() > self.rules.most {
            return Err(SeatError::Full);
        }
        let record = |seat: &SeatId, what, listed| SeatRecord {
            event: event.clone(),
            seat: seat.clone(),
            state: Some(what),
            listed,
        };
        let free = free.iter().map(|seat| record(seat, SeatState::Free, true));
        let sold = sold.iter().map(|seat| {
            let listed = state.get(event, seat).is_some_and(|known| known.listed);
            record(seat, SeatState::Sold, listed)
        });
        Ok(free.chain(sold).collect())
    }

    /// Puts seats on the map of an event, to be had or sold; a hold of one that is sold ends. Tells which ones
    /// were sold and can be had again.
    pub fn mark(&self, event: &EventId, free: &[SeatId], sold: &[SeatId]) -> Vec<SeatId> {
        let mut state = self.state.lock();
        let mut again = Vec::new();
        for seat in free {
            state.set_listed(event, seat, true);
            if std::mem::take(&mut state.seat(event, seat).sold) {
                again.push(seat.clone());
            }
        }
        for seat in sold {
            state.let_go(event, seat);
            state.seat(event, seat).sold = true;
        }
        again
    }

    /// Up to `most` seats that changed since they were last taken, as they are now.
    pub fn take_changes(&self, most: usize, now: Moment) -> Vec<SeatRecord> {
        let mut state = self.state.lock();
        let taken: Vec<(EventId, SeatId)> = state.changed.iter().take(most).cloned().collect();
        let records = taken
            .iter()
            .map(|(event, seat)| state.record(event, seat, now));
        let records = records.collect();
        for key in &taken {
            state.changed.remove(key);
        }
        if state.changed.is_empty() {
            state.changed.shrink_to(64);
        }
        records
    }

    /// These were not written down after all.
    pub fn give_back(&self, records: Vec<SeatRecord>) {
        let keys = records
            .into_iter()
            .map(|record| (record.event, record.seat));
        self.state.lock().changed.extend(keys);
    }
}

impl State {
    fn get(&self, event: &EventId, seat: &SeatId) -> Option<&Seat> {
        self.events.get(event)?.seats.get(seat)
    }

    /// The seat, which begins to be known if need be.
    fn seat(&mut self, event: &EventId, seat: &SeatId) -> &mut Seat {
        let seats = &mut self.events.entry(event.clone()).or_default().seats;
        if !seats.contains_key(seat) {
            self.count += 1;
        }
        seats.entry(seat.clone()).or_default()
    }

    fn set_listed(&mut self, event: &EventId, seat: &SeatId, listed: bool) {
        let was = std::mem::replace(&mut self.seat(event, seat).listed, listed);
        if let Some(event) = self.events.get_mut(event) {
            event.listed += usize::from(listed);
            event.listed -= usize::from(was);
        }
    }

    fn record(&self, event: &EventId, seat: &SeatId, now: Moment) -> SeatRecord {
        let known = self.get(event, seat);
        SeatRecord {
            event: event.clone(),
            seat: seat.clone(),
            state: known.and_then(|seat| seat.state(now.instant)),
            listed: known.is_some_and(|seat| seat.listed),
        }
    }

    /// Why a user cannot have a seat; the hold, if it has it already.
    fn open(
        &self,
        event: &EventId,
        seat: &SeatId,
        user: &UserId,
        now: Moment,
    ) -> Result<Option<&Hold>, SeatError> {
        let mapped = self.events.get(event).is_some_and(|event| event.listed > 0);
        match self.get(event, seat) {
            Some(known) if known.sold => Err(SeatError::Taken),
            Some(known) => match known.holder(now.instant) {
                Some(hold) if hold.user != *user => Err(SeatError::Taken),
                Some(hold) => Ok(Some(hold)),
                None if mapped && !known.listed => Err(SeatError::NoSuchSeat),
                None => Ok(None),
            },
            None if mapped => Err(SeatError::NoSuchSeat),
            None => Ok(None),
        }
    }

    /// Begins a hold; whether one that has ended was still there.
    fn hold(&mut self, event: &EventId, seat: &SeatId, hold: Hold) -> bool {
        let ended = self.let_go(event, seat);
        let mine = self.users.entry(hold.user.as_str().into()).or_default();
        mine.push((event.clone(), seat.clone()));
        self.ends.insert((hold.end, event.clone(), seat.clone()));
        self.changed.insert((event.clone(), seat.clone()));
        self.seat(event, seat).hold = Some(hold);
        ended
    }

    /// Ends the hold of a seat; whether there was one.
    fn let_go(&mut self, event: &EventId, seat: &SeatId) -> bool {
        let known = self
            .events
            .get_mut(event)
            .and_then(|e| e.seats.get_mut(seat));
        let Some(hold) = known.and_then(|known| known.hold.take()) else {
            return false;
        };
        self.ends.remove(&(hold.end, event.clone(), seat.clone()));
        if let Some(held) = self.users.get_mut(hold.user.as_str()) {
            held.retain(|(e, s)| (e, s) != (event, seat));
            if held.is_empty() {
                self.users.remove(hold.user.as_str());
            }
        }
        self.changed.insert((event.clone(), seat.clone()));
        self.forget_blank(event, seat);
        true
    }

    /// What is neither held nor sold nor on a map need not be known.
    fn forget_blank(&mut self, event: &EventId, seat: &SeatId) {
        let Some(known) = self.events.get_mut(event) else {
            return;
        };
        let blank = |seat: &Seat| seat.hold.is_none() && !seat.sold && !seat.listed;
        if known.seats.get(seat).is_some_and(blank) {
            known.seats.remove(seat);
            self.count -= 1;
        }
        if known.seats.is_empty() {
            self.events.remove(event);
        }
    }

    /// What a user holds at this time.
    fn held_by(&self, user: &UserId, now: Moment) -> impl Iterator<Item = &(EventId, SeatId)> {
        let held = self.users.get(user.as_str()).into_iter().flatten();
        held.filter(move |(event, seat)| {
            let known = self.get(event, seat);
            known.is_some_and(|known| known.holder(now.instant).is_some())
        })
    }

    /// Ends what has ended.
    fn expire(&mut self, now: Moment) -> Vec<(EventId, SeatId)> {
        let mut ended = Vec::new();
        while let Some((end, event, seat)) = self.ends.first().cloned()
            && end <= now.instant
        {
            self.let_go(&event, &seat);
            ended.push((event, seat));
        }
        ended
    }
}

impl SeatRules {
    fn hold(&self, user: &UserId, now: Moment) -> Hold {
        let lasts = milliseconds(self.hold);
        Hold {
            user: user.clone(),
            end: now.instant + self.hold,
            until: now.unix_ms.saturating_add(lasts),
        }
    }
}

#[async_trait]
impl Seats for MemorySeats {
    async fn select(
        &self,
        event: &EventId,
        seat: &SeatId,
        user: &UserId,
        now: Moment,
    ) -> Result<Held, SeatError> {
        let mut state = self.loaded()?;
        if let Some(hold) = state.open(event, seat, user, now)? {
            let until = hold.until;
            return Ok(Held {
                until,
                again: true,
                ended: false,
            });
        }
        if state.held_by(user, now).count() >= self.rules.per_user {
            return Err(SeatError::TooMany);
        }
        if state.count >= self.rules.most {
            return Err(SeatError::Full);
        }
        let hold = self.rules.hold(user, now);
        let until = hold.until;
        let ended = state.hold(event, seat, hold);
        Ok(Held {
            until,
            again: false,
            ended,
        })
    }

    async fn replace(
        &self,
        event: &EventId,
        seats: &[SeatId],
        user: &UserId,
        now: Moment,
    ) -> Result<Replaced, SeatError> {
        let mut state = self.loaded()?;
        let (here, elsewhere): (Vec<_>, Vec<_>) = state
            .held_by(user, now)
            .cloned()
            .partition(|(of, _)| of == event);
        let mut wanted: Vec<&SeatId> = Vec::new();
        for seat in seats {
            if !wanted.contains(&seat) {
                wanted.push(seat);
            }
            if elsewhere.len() + wanted.len() > self.rules.per_user {
                return Err(SeatError::TooMany);
            }
        }
        if state.count + wanted.len() > self.rules.most {
            return Err(SeatError::Full);
        }
        let mut replaced = Replaced::default();
        for (_, seat) in here {
            if !wanted.contains(&&seat) {
                state.let_go(event, &seat);
                replaced.released.push(seat);
            }
        }
        for seat in wanted {
            match state
                .open(event, seat, user, now)
                .map(|hold| hold.is_some())
            {
                Ok(true) => replaced.selected.push(seat.clone()),
                Ok(false) => {
                    if state.hold(event, seat, self.rules.hold(user, now)) {
                        replaced.ended.push(seat.clone());
                    }
                    replaced.selected.push(seat.clone());
                    replaced.added.push(seat.clone());
                }
                Err(_) => replaced.refused.push(seat.clone()),
            }
        }
        Ok(replaced)
    }

    async fn release(
        &self,
        event: &EventId,
        seat: &SeatId,
        user: &UserId,
        now: Moment,
    ) -> Result<(), SeatError> {
        let mut state = self.state.lock();
        let known = state.get(event, seat);
        let hold = known.and_then(|known| known.holder(now.instant));
        if hold.ok_or(SeatError::NotHeld)?.user != *user {
            return Err(SeatError::NotYours);
        }
        state.let_go(event, seat);
        Ok(())
    }

    async fn expire(&self, now: Moment) -> Vec<(EventId, Vec<SeatId>)> {
        let mut by_event: Vec<(EventId, Vec<SeatId>)> = Vec::new();
        for (event, seat) in self.state.lock().expire(now) {
            match by_event.iter_mut().find(|(of, _)| *of == event) {
                Some((_, seats)) => seats.push(seat),
                None => by_event.push((event, vec![seat])),
            }
        }
        by_event
    }

    async fn of(&self, user: &UserId, now: Moment) -> Vec<(EventId, SeatId)> {
        self.state.lock().held_by(user, now).cloned().collect()
    }

    async fn map(&self, event: &EventId, now: Moment) -> Vec<(SeatId, SeatState)> {
        let state = self.state.lock();
        let seats = state.events.get(event).into_iter().flat_map(|e| &e.seats);
        let known = seats.filter_map(|(id, seat)| Some((id.clone(), seat.state(now.instant)?)));
        let mut map: Vec<(SeatId, SeatState)> = known.collect();
        map.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        map
    }

    async fn held(&self) -> usize {
        self.state.lock().ends.len()
    }
}
