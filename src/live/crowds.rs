//! Which users of this node are where, by which sockets: looking at an event, in its queue, among its seats.

use crate::event::{EventId, Moment, PeerId, Room, UserId};
use dashmap::{DashMap, mapref::entry::Entry};
use smallvec::SmallVec;
use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

/// How often a crowd is told what changed.
const PACE: Duration = Duration::from_secs(1);

/// A socket came into a crowd or left it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved {
    /// How many users are there now.
    pub users: usize,
    /// It is the user's first socket there, or was the last.
    pub changed: bool,
    /// The crowd may be told at once; otherwise [`Crowds::news`] has it.
    pub tell: bool,
}

/// A user of a crowd, as the crowd knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attendant {
    /// The event, as this user wrote it.
    pub event: EventId,
    /// By which sockets.
    pub peers: SmallVec<[PeerId; 1]>,
    /// The number that it was told last.
    pub told: u64,
}

#[derive(Debug)]
struct Crowd {
    /// As who came first wrote it.
    event: EventId,
    users: HashMap<UserId, Attendant>,
    /// The number that all were told last, and when.
    told: u64,
    told_at: Option<Instant>,
    /// Somebody was told another one since.
    mixed: bool,
}

/// All crowds of this node.
#[derive(Debug, Default)]
pub struct Crowds {
    crowds: DashMap<Room, Crowd>,
    peers: DashMap<PeerId, (UserId, SmallVec<[Room; 1]>)>,
    /// Crowds that one socket may be in.
    most: usize,
}

impl Crowds {
    /// Nobody anywhere; a socket may be in `most` crowds.
    pub fn new(most: usize) -> Self {
        Self {
            most,
            ..Self::default()
        }
    }

    /// A socket comes into a crowd. None if it is in too many.
    pub fn enter(
        &self,
        peer: PeerId,
        user: &UserId,
        room: &Room,
        event: &EventId,
        now: Moment,
    ) -> Option<Moved> {
        let mut mine = self
            .peers
            .entry(peer)
            .or_insert_with(|| (user.clone(), SmallVec::new()));
        let (_, rooms) = mine.value_mut();
        if !rooms.contains(room) {
            if rooms.len() >= self.most {
                return None;
            }
            rooms.push(room.clone());
        }
        let mut crowd = self.crowds.entry(room.clone()).or_insert_with(|| Crowd {
            event: event.clone(),
            users: HashMap::new(),
            told: 0,
            told_at: None,
            mixed: false,
        });
        let before = crowd.users.len();
        let attendant = crowd
            .users
            .entry(user.clone())
            .or_insert_with(|| Attendant {
                event: event.clone(),
                peers: SmallVec::new(),
                told: 0,
            });
        if !attendant.peers.contains(&peer) {
            attendant.peers.push(peer);
        }
        let changed = crowd.users.len() > before;
        Some(crowd.moved(room, changed, now))
    }

    /// A socket leaves a crowd. None if it was not there.
    pub fn leave(&self, peer: PeerId, room: &Room, now: Moment) -> Option<Moved> {
        let mut mine = self.peers.get_mut(&peer)?;
        let (user, rooms) = mine.value_mut();
        let place = rooms.iter().position(|r| r == room)?;
        rooms.remove(place);
        self.exit(peer, user, room, now)
    }

    /// Forgets a socket; tells whose it was, which crowds it was in, and how they are without it.
    pub fn forget(&self, peer: PeerId, now: Moment) -> Option<(UserId, Vec<(Room, Moved)>)> {
        let (_, (user, rooms)) = self.peers.remove(&peer)?;
        let left = rooms.into_iter().filter_map(|room| {
            let moved = self.exit(peer, &user, &room, now)?;
            Some((room, moved))
        });
        let left = left.collect();
        Some((user, left))
    }

    fn exit(&self, peer: PeerId, user: &UserId, room: &Room, now: Moment) -> Option<Moved> {
        let Entry::Occupied(mut entry) = self.crowds.entry(room.clone()) else {
            return None;
        };
        let crowd = entry.get_mut();
        let attendant = crowd.users.get_mut(user)?;
        attendant.peers.retain(|p| *p != peer);
        let last = attendant.peers.is_empty();
        if last {
            crowd.users.remove(user);
        }
        let moved = crowd.moved(room, last, now);
        if crowd.users.is_empty() {
            entry.remove();
        }
        Some(moved)
    }

    /// How many users are in a crowd.
    pub fn users(&self, room: &Room) -> usize {
        self.crowds.get(room).map_or(0, |crowd| crowd.users.len())
    }

    /// The sockets of a user in a crowd.
    pub fn peers_of(&self, user: &UserId, room: &Room) -> SmallVec<[PeerId; 1]> {
        let crowd = self.crowds.get(room);
        let attendant = crowd.as_ref().and_then(|crowd| crowd.users.get(user));
        attendant.map_or_else(SmallVec::new, |a| a.peers.clone())
    }

    /// The crowds of events whose number of users is not what they were told, as far as it is their turn.
    pub fn news(&self, now: Moment) -> Vec<(EventId, usize)> {
        let mut news = Vec::new();
        for mut crowd in self.crowds.iter_mut() {
            let (room, crowd) = crowd.pair_mut();
            let count = crowd.users.len();
            let new = crowd.mixed || crowd.told != count as u64;
            if matches!(room, Room::Event(_)) && new && crowd.is_turn(now) {
                crowd.say(count as u64, now);
                news.push((crowd.event.clone(), count));
            }
        }
        news
    }

    /// The crowds in queues, with everybody in them.
    pub fn queues(&self) -> Vec<EventId> {
        let queues = self.crowds.iter();
        let queues = queues.filter(|c| matches!(c.key(), Room::Queue(_)));
        queues.map(|c| c.event.clone()).collect()
    }

    /// Everybody in a crowd.
    pub fn attendants(&self, room: &Room) -> Vec<(UserId, Attendant)> {
        let crowd = self.crowds.get(room);
        let all = |crowd: &Crowd| {
            crowd
                .users
                .iter()
                .map(|(u, a)| (u.clone(), a.clone()))
                .collect()
        };
        crowd.as_deref().map_or_else(Vec::new, all)
    }

    /// Notes what a crowd was told as a whole. False if it was told that before.
    pub fn tell(&self, room: &Room, number: u64, now: Moment) -> bool {
        let Some(mut crowd) = self.crowds.get_mut(room) else {
            return false;
        };
        let new = crowd.told_at.is_none() || crowd.mixed || crowd.told != number;
        if new {
            crowd.say(number, now);
        }
        new
    }

    /// Notes what one of a crowd was told of it.
    pub fn told_one(&self, room: &Room, number: u64) {
        if let Some(mut crowd) = self.crowds.get_mut(room) {
            crowd.mixed |= crowd.told != number;
        }
    }

    /// Notes what a user of a crowd was told of itself.
    pub fn tell_user(&self, room: &Room, user: &UserId, number: u64) {
        if let Some(mut crowd) = self.crowds.get_mut(room)
            && let Some(attendant) = crowd.users.get_mut(user)
        {
            attendant.told = number;
        }
    }
}

impl Crowd {
    fn is_turn(&self, now: Moment) -> bool {
        let since = |at| now.instant.saturating_duration_since(at);
        self.told_at.is_none_or(|at| since(at) >= PACE)
    }

    fn say(&mut self, number: u64, now: Moment) {
        self.told = number;
        self.told_at = Some(now.instant);
        self.mixed = false;
    }

    fn moved(&mut self, room: &Room, changed: bool, now: Moment) -> Moved {
        let users = self.users.len();
        let tell = changed && matches!(room, Room::Event(_)) && self.is_turn(now);
        if tell {
            self.say(users as u64, now);
        }
        // Whoever moves is told by itself.
        self.mixed |= matches!(room, Room::Event(_)) && users as u64 != self.told;
        Moved {
            users,
            changed,
            tell,
        }
    }
}
