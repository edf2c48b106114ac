//! Signaling rooms in memory: who is in which, up to a capacity, and when an empty one closes.
//!
//! Two maps, always locked in this order and never held together longer than a step: peers, rooms.
//! Every change is written to the journal under the room's lock, so that the journal has the order in
//! which things happened.

use crate::event::{Moment, Namespace, PeerId, RoomChange, RoomId, SocketId, UserId};
use async_trait::async_trait;
use dashmap::{DashMap, mapref::entry::Entry};
use serde::Serialize;
use smallvec::SmallVec;
use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

/// Why a step was not taken. Nothing was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RoomError {
    /// There is no such room.
    NoSuchRoom,
    /// There is one already.
    Exists,
    /// As many peers are in it as may be.
    Full {
        /// So many.
        most: usize,
    },
    /// The peer is in as many rooms as it may be.
    TooManyRooms,
    /// This node holds as many rooms as it may.
    NodeFull,
    /// The peer is not in that room.
    NotMember,
    /// The other peer is in no room with this one.
    NoCommonRoom,
    /// The other peer is not there any more.
    PeerGone,
    /// There may be such a room, but the rooms of before the start have not been read yet.
    NotLoaded,
}

/// A member of a room, as the others see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Member {
    /// The same as `socketId`.
    pub peer_id: SocketId,
    /// Its Socket.IO id.
    pub socket_id: SocketId,
    /// Its user, from the token.
    pub user_id: UserId,
    /// Its user's name, if the token has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<Arc<str>>,
    #[serde(skip)]
    peer: PeerId,
}

impl Member {
    /// A peer with its user.
    pub fn new(peer: PeerId, user: UserId, username: Option<&str>) -> Self {
        Self {
            peer_id: peer.socket,
            socket_id: peer.socket,
            user_id: user,
            username: username.map(Into::into),
            peer,
        }
    }
}

impl Member {
    /// The peer itself.
    pub fn peer(&self) -> PeerId {
        self.peer
    }
}

/// A peer is in a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entered {
    /// Who was there before it.
    pub existing: Vec<Member>,
    /// It was in already.
    pub again: bool,
    /// The room began with it.
    pub created: bool,
}

/// Where a signal goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Relayed {
    /// To this peer.
    pub to: PeerId,
    /// Since both were in the room, for the first answer of a peer: one that waits alone negotiates with nobody.
    pub negotiated: Option<Duration>,
}

#[derive(Debug)]
struct Seat {
    member: Member,
    joined: Moment,
    answered: bool,
}

#[derive(Debug)]
struct Room {
    name: Arc<str>,
    owner: Arc<str>,
    since: u64,
    seats: SmallVec<[Seat; 4]>,
    most: usize,
    empty_since: Option<Instant>,
}

/// How many rooms there may be.
#[derive(Debug, Clone, Copy)]
pub struct RoomLimits {
    /// Of one peer.
    pub per_peer: usize,
    /// In all.
    pub most: usize,
    /// Peers of one room.
    pub capacity: usize,
}

/// Where changes are written. Called under a lock: it must not wait.
pub type Journal = Box<dyn Fn(RoomChange) + Send + Sync>;

/// Signaling rooms, wherever they are kept. Each operation is one whole step; the time comes with it.
#[async_trait]
pub trait Rooms: fmt::Debug + Send + Sync {
    /// Begins a room with its creator in it, for at most `wanted` peers.
    ///
    /// # Errors
    ///
    /// [`RoomError::Exists`], [`RoomError::TooManyRooms`], [`RoomError::NodeFull`].
    async fn create(
        &self,
        member: Member,
        id: &RoomId,
        name: &str,
        wanted: Option<usize>,
        now: Moment,
    ) -> Result<(), RoomError>;

    /// Puts a peer into a room, which begins if `create` says so. Joining twice is harmless.
    ///
    /// # Errors
    ///
    /// [`RoomError::NoSuchRoom`], [`RoomError::NotLoaded`], [`RoomError::Full`],
    /// [`RoomError::TooManyRooms`], [`RoomError::NodeFull`].
    async fn join(
        &self,
        member: Member,
        id: &RoomId,
        create: bool,
        now: Moment,
    ) -> Result<Entered, RoomError>;

    /// Takes a peer out of a room, and tells who is left there. The room stays for a while, in case
    /// somebody returns.
    ///
    /// # Errors
    ///
    /// [`RoomError::NotMember`].
    async fn leave(
        &self,
        peer: PeerId,
        id: &RoomId,
        now: Moment,
    ) -> Result<Box<[PeerId]>, RoomError>;

    /// Forgets a peer; tells which rooms it was in, and who is left there.
    async fn forget(&self, peer: PeerId, now: Moment) -> Vec<(RoomId, Box<[PeerId]>)>;

    /// Whether `from` may send a signal to `to`, and as which peer `to` is known. `answer` notes the first
    /// answer of `from` since it joined.
    ///
    /// # Errors
    ///
    /// [`RoomError::NoCommonRoom`] for a peer of other rooms, [`RoomError::PeerGone`] for one of none.
    async fn relay(
        &self,
        from: PeerId,
        to: SocketId,
        answer: bool,
        now: Moment,
    ) -> Result<Relayed, RoomError>;
}

/// All signaling rooms of this node.
pub struct MemoryRooms {
    peers: DashMap<PeerId, SmallVec<[RoomId; 1]>>,
    rooms: DashMap<RoomId, Room>,
    count: AtomicUsize,
    limits: RoomLimits,
    journal: Journal,
    loaded: AtomicBool,
}

impl fmt::Debug for MemoryRooms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rooms").finish_non_exhaustive()
    }
}

impl MemoryRooms {
    /// No rooms. Until [`MemoryRooms::restore`] was called, a room that is not here may exist all the same.
    pub fn new(limits: RoomLimits, journal: Journal) -> Self {
        Self {
            peers: DashMap::new(),
            rooms: DashMap::new(),
            count: AtomicUsize::new(0),
            limits,
            journal,
            loaded: AtomicBool::new(false),
        }
    }

    /// Takes over rooms of before the start, empty; they close unless somebody returns. What is not
    /// [`RoomChange::Opened`] is passed over, and so are rooms that are here, and those beyond the limit.
    pub fn restore(&self, rooms: impl IntoIterator<Item = RoomChange>, now: Moment) {
        for change in rooms {
            let RoomChange::Opened {
                room,
                name,
                owner,
                most,
                at,
            } = change
            else {
                continue;
            };
            let Entry::Vacant(entry) = self.rooms.entry(room) else {
                continue;
            };
            if self.reserve().is_err() {
                break;
            }
            entry.insert(Room {
                name,
                owner,
                since: at,
                seats: SmallVec::new(),
                most: most.clamp(1, self.limits.capacity),
                empty_since: Some(now.instant),
            });
        }
        self.loaded.store(true, Ordering::Release);
    }

    /// The changes that lead from nothing to what is here now.
    pub fn replay(&self) -> Vec<RoomChange> {
        let mut changes = Vec::new();
        for entry in &self.rooms {
            let (id, room) = entry.pair();
            changes.push(room.opened(id));
            changes.extend(room.seats.iter().map(|seat| seat.taken(id)));
        }
        changes
    }

    fn exit(&self, peer: PeerId, id: &RoomId, now: Moment) -> Box<[PeerId]> {
        let Some(mut room) = self.rooms.get_mut(id) else {
            return Box::default();
        };
        if let Some(place) = room.seats.iter().position(|s| s.member.peer == peer) {
            let seat = room.seats.remove(place);
            (self.journal)(RoomChange::Left {
                room: id.clone(),
                peer,
                at: now.unix_ms,
                stayed: now.instant.saturating_duration_since(seat.joined.instant),
            });
        }
        if room.seats.is_empty() {
            room.empty_since = Some(now.instant);
        }
        room.seats.iter().map(|s| s.member.peer).collect()
    }

    /// Closes every room that has been empty for `grace`.
    pub fn close_empty(&self, grace: Duration, now: Moment) {
        let over = |room: &Room| {
            room.empty_since
                .is_some_and(|since| now.instant.saturating_duration_since(since) >= grace)
        };
        let candidates: Vec<RoomId> = self
            .rooms
            .iter()
            .filter(|r| over(r))
            .map(|r| r.key().clone())
            .collect();
        for id in candidates {
            let closed = |id: &RoomId, room: &Room| {
                let over = over(room);
                if over {
                    (self.journal)(RoomChange::Closed {
                        room: id.clone(),
                        at: now.unix_ms,
                    });
                }
                over
            };
            if self.rooms.remove_if(&id, closed).is_some() {
                self.count.fetch_sub(1, Ordering::Relaxed);
            }
        }
    }

    /// How many rooms there are.
    pub fn len(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A room that has just begun.
    fn write_all(&self, id: &RoomId, room: &Room) {
        (self.journal)(room.opened(id));
        for seat in &room.seats {
            (self.journal)(seat.taken(id));
        }
    }

    fn reserve(&self) -> Result<(), RoomError> {
        self.count
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| {
                (n < self.limits.most).then_some(n + 1)
            })
            .map(|_| ())
            .map_err(|_| RoomError::NodeFull)
    }
}

impl Room {
    fn with(member: Member, name: &str, most: usize, now: Moment) -> Self {
        let mut room = Self {
            name: name.into(),
            owner: member.user_id.as_str().into(),
            since: now.unix_ms,
            seats: SmallVec::new(),
            most,
            empty_since: None,
        };
        room.seats.push(Seat::new(member, now));
        room
    }

    fn opened(&self, id: &RoomId) -> RoomChange {
        RoomChange::Opened {
            room: id.clone(),
            name: self.name.clone(),
            owner: self.owner.clone(),
            most: self.most,
            at: self.since,
        }
    }

    fn enter(&mut self, member: Member, now: Moment) -> Result<Entered, RoomError> {
        let others = self.seats.iter().map(|s| &s.member);
        let others = others.filter(|m| m.peer != member.peer);
        let existing: Vec<Member> = others.cloned().collect();
        let again = existing.len() < self.seats.len();
        if !again {
            if self.seats.len() >= self.most {
                return Err(RoomError::Full { most: self.most });
            }
            self.seats.push(Seat::new(member, now));
            self.empty_since = None;
        }
        Ok(Entered {
            existing,
            again,
            created: false,
        })
    }
}

impl Seat {
    fn new(member: Member, now: Moment) -> Self {
        Self {
            member,
            joined: now,
            answered: false,
        }
    }

    fn taken(&self, id: &RoomId) -> RoomChange {
        RoomChange::Joined {
            room: id.clone(),
            peer: self.member.peer,
            user: self.member.user_id.as_str().into(),
            at: self.joined.unix_ms,
        }
    }
}

#[async_trait]
impl Rooms for MemoryRooms {
    async fn create(
        &self,
        member: Member,
        id: &RoomId,
        name: &str,
        wanted: Option<usize>,
        now: Moment,
    ) -> Result<(), RoomError> {
        let mut mine = self.peers.entry(member.peer).or_default();
        if self.rooms.contains_key(id) {
            return Err(RoomError::Exists);
        }
        if mine.len() >= self.limits.per_peer {
            return Err(RoomError::TooManyRooms);
        }
        let Entry::Vacant(entry) = self.rooms.entry(id.clone()) else {
            return Err(RoomError::Exists);
        };
        self.reserve()?;
        let capacity = self.limits.capacity;
        let most = wanted.unwrap_or(capacity).clamp(1, capacity);
        let room = entry.insert(Room::with(member, name, most, now));
        self.write_all(id, &room);
        mine.push(id.clone());
        Ok(())
    }

    async fn join(
        &self,
        member: Member,
        id: &RoomId,
        create: bool,
        now: Moment,
    ) -> Result<Entered, RoomError> {
        let mut mine = self.peers.entry(member.peer).or_default();
        let again = mine.contains(id);
        if !again && mine.len() >= self.limits.per_peer {
            return Err(RoomError::TooManyRooms);
        }
        let entered = match self.rooms.entry(id.clone()) {
            Entry::Occupied(mut entry) => {
                let entered = entry.get_mut().enter(member, now)?;
                if !entered.again
                    && let Some(seat) = entry.get().seats.last()
                {
                    (self.journal)(seat.taken(id));
                }
                entered
            }
            Entry::Vacant(_) if !create && !self.loaded.load(Ordering::Acquire) => {
                return Err(RoomError::NotLoaded);
            }
            Entry::Vacant(_) if !create => return Err(RoomError::NoSuchRoom),
            Entry::Vacant(entry) => {
                self.reserve()?;
                let room = Room::with(member, id.as_str(), self.limits.capacity, now);
                let room = entry.insert(room);
                self.write_all(id, &room);
                Entered {
                    existing: Vec::new(),
                    again: false,
                    created: true,
                }
            }
        };
        if !again {
            mine.push(id.clone());
        }
        Ok(entered)
    }

    async fn leave(
        &self,
        peer: PeerId,
        id: &RoomId,
        now: Moment,
    ) -> Result<Box<[PeerId]>, RoomError> {
        let mut mine = self.peers.get_mut(&peer).ok_or(RoomError::NotMember)?;
        let place = mine.iter().position(|r| r == id);
        mine.remove(place.ok_or(RoomError::NotMember)?);
        Ok(self.exit(peer, id, now))
    }

    async fn forget(&self, peer: PeerId, now: Moment) -> Vec<(RoomId, Box<[PeerId]>)> {
        let Some((_, rooms)) = self.peers.remove(&peer) else {
            return Vec::new();
        };
        let left = rooms.into_iter().map(|id| {
            let others = self.exit(peer, &id, now);
            (id, others)
        });
        left.collect()
    }

    async fn relay(
        &self,
        from: PeerId,
        to: SocketId,
        answer: bool,
        now: Moment,
    ) -> Result<Relayed, RoomError> {
        let mine = self.peers.get(&from).ok_or(RoomError::NoCommonRoom)?;
        for id in mine.iter() {
            let Some(mut room) = self.rooms.get_mut(id) else {
                continue;
            };
            let mut others = room.seats.iter().filter(|s| s.member.peer != from);
            let other = others.find(|s| s.member.peer.socket == to);
            let Some((to, joined)) = other.map(|s| (s.member.peer, s.joined.instant)) else {
                continue;
            };
            let mut negotiated = None;
            if answer
                && let Some(seat) = room.seats.iter_mut().find(|s| s.member.peer == from)
                && !std::mem::replace(&mut seat.answered, true)
            {
                let both = seat.joined.instant.max(joined);
                negotiated = Some(now.instant.saturating_duration_since(both));
            }
            return Ok(Relayed { to, negotiated });
        }
        drop(mine);
        let somewhere = Namespace::ALL.iter().any(|namespace| {
            let peer = PeerId {
                namespace: *namespace,
                socket: to,
            };
            self.peers.get(&peer).is_some_and(|rooms| !rooms.is_empty())
        });
        Err(if somewhere {
            RoomError::NoCommonRoom
        } else {
            RoomError::PeerGone
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::{at, peer, wait};
    use super::*;
    use proptest::prelude::*;

    fn member(n: usize) -> Member {
        Member::new(peer(n), UserId::new(&format!("u{n}"), false), None)
    }

    fn rooms(per_peer: usize, most: usize, capacity: usize) -> MemoryRooms {
        let limits = RoomLimits {
            per_peer,
            most,
            capacity,
        };
        let rooms = MemoryRooms::new(limits, Box::new(|_| {}));
        rooms.restore([], at(Instant::now(), 0));
        rooms
    }

    fn id(text: &str) -> RoomId {
        RoomId::parse(text).unwrap()
    }

    #[test]
    fn fifteen_racing_for_ten_places_are_exactly_ten() {
        let rooms = rooms(32, 100, 10);
        let now = at(Instant::now(), 0);
        let room = id("race");
        let entered = std::thread::scope(|s| {
            let racers: Vec<_> = (0..15)
                .map(|n| {
                    s.spawn({
                        let (rooms, room) = (&rooms, &room);
                        move || wait(rooms.join(member(n), room, true, now))
                    })
                })
                .collect();
            racers
                .into_iter()
                .map(|r| r.join().unwrap())
                .collect::<Vec<_>>()
        });
        assert_eq!(entered.iter().filter(|e| e.is_ok()).count(), 10);
        let full = entered
            .iter()
            .filter(|e| **e == Err(RoomError::Full { most: 10 }));
        assert_eq!(full.count(), 5);
    }

    #[test]
    fn signals_pass_only_between_peers_of_a_common_room() {
        let rooms = rooms(32, 100, 10);
        let base = Instant::now();
        // The second peer comes 2 s after the first: so long nobody could negotiate.
        for (n, room, secs) in [(2, "one", 0), (1, "one", 2), (3, "two", 0)] {
            wait(rooms.join(member(n), &id(room), true, at(base, secs))).unwrap();
        }
        let relay = |from, to: usize, answer| {
            wait(rooms.relay(peer(from), peer(to).socket, answer, at(base, 5)))
        };
        assert_eq!(relay(1, 2, false).unwrap().to, peer(2));
        assert_eq!(relay(1, 3, false), Err(RoomError::NoCommonRoom));
        assert_eq!(relay(1, 1, false), Err(RoomError::NoCommonRoom), "oneself");
        assert_eq!(relay(1, 9, false), Err(RoomError::PeerGone));
        assert_eq!(
            relay(2, 1, true).unwrap().negotiated,
            Some(Duration::from_secs(3))
        );
        assert_eq!(
            relay(2, 1, true).unwrap().negotiated,
            None,
            "only the first answer"
        );
    }

    #[test]
    fn an_empty_room_waits_for_somebody_to_return_and_then_closes() {
        let rooms = rooms(32, 100, 10);
        let base = Instant::now();
        let grace = Duration::from_secs(30);
        wait(rooms.create(member(1), &id("abc"), "Name", Some(2), at(base, 0))).unwrap();
        assert_eq!(
            wait(rooms.create(member(2), &id("abc"), "Name", None, at(base, 0))),
            Err(RoomError::Exists)
        );
        wait(rooms.forget(peer(1), at(base, 10)));
        rooms.close_empty(grace, at(base, 39));
        assert_eq!(rooms.len(), 1);
        wait(rooms.join(member(1), &id("abc"), false, at(base, 39))).unwrap();
        rooms.close_empty(grace, at(base, 99));
        assert_eq!(rooms.len(), 1);
        wait(rooms.leave(peer(1), &id("abc"), at(base, 100))).unwrap();
        rooms.close_empty(grace, at(base, 130));
        assert_eq!(
            wait(rooms.join(member(1), &id("abc"), false, at(base, 131))),
            Err(RoomError::NoSuchRoom)
        );
        assert!(rooms.is_empty());
    }

    #[test]
    fn the_journal_tells_what_happened_and_the_replay_what_is() {
        let written: Arc<parking_lot::Mutex<Vec<RoomChange>>> = Arc::default();
        let journal = written.clone();
        let limits = RoomLimits {
            per_peer: 32,
            most: 10,
            capacity: 4,
        };
        let rooms = MemoryRooms::new(limits, Box::new(move |c| journal.lock().push(c)));
        let base = Instant::now();
        assert_eq!(
            wait(rooms.join(member(1), &id("old"), false, at(base, 0))),
            Err(RoomError::NotLoaded)
        );
        let old = RoomChange::Opened {
            room: id("old"),
            name: "Old".into(),
            owner: "u9".into(),
            most: 3,
            at: 7,
        };
        rooms.restore([old.clone()], at(base, 0));
        assert!(written.lock().is_empty(), "what was read is not news");
        wait(rooms.join(member(1), &id("old"), false, at(base, 1))).unwrap();
        let joined = RoomChange::Joined {
            room: id("old"),
            peer: peer(1),
            user: "u1".into(),
            at: 1000,
        };
        assert_eq!(rooms.replay(), [old, joined.clone()]);
        wait(rooms.join(member(1), &id("old"), false, at(base, 2))).unwrap();
        wait(rooms.forget(peer(1), at(base, 5)));
        rooms.close_empty(Duration::from_secs(30), at(base, 35));
        let left = RoomChange::Left {
            room: id("old"),
            peer: peer(1),
            at: 5000,
            stayed: Duration::from_secs(4),
        };
        let closed = RoomChange::Closed {
            room: id("old"),
            at: 35_000,
        };
        assert_eq!(*written.lock(), [joined, left, closed]);
    }

    proptest! {
        /// Whatever comes and goes: nobody is in a room twice, no room is over its capacity, and the
        /// existing peers that a newcomer is told are exactly the others.
        #[test]
        fn capacity_and_membership_hold(steps in prop::collection::vec((0..6_usize, 0..3_usize, any::<bool>()), 1..200)) {
            let rooms = rooms(2, 100, 3);
            let now = at(Instant::now(), 0);
            let mut model: Vec<Vec<usize>> = vec![Vec::new(); 3];
            for (n, r, joins) in steps {
                let room = id(&format!("room-{r}"));
                let inside = model[r].contains(&n);
                if joins {
                    let busy = model.iter().filter(|m| m.contains(&n)).count();
                    let result = wait(rooms.join(member(n), &room, true, now));
                    if inside {
                        prop_assert!(result.unwrap().again);
                    } else if busy >= 2 {
                        prop_assert_eq!(result, Err(RoomError::TooManyRooms));
                    } else if model[r].len() >= 3 {
                        prop_assert_eq!(result, Err(RoomError::Full { most: 3 }));
                    } else {
                        let told: Vec<PeerId> = result.unwrap().existing.iter().map(|m| m.peer).collect();
                        prop_assert_eq!(told, model[r].iter().map(|n| peer(*n)).collect::<Vec<_>>());
                        model[r].push(n);
                    }
                } else {
                    let left = wait(rooms.leave(peer(n), &room, now));
                    prop_assert_eq!(left.is_ok(), inside);
                    model[r].retain(|m| *m != n);
                }
            }
        }
    }
}
