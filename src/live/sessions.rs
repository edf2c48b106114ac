//! Scan sessions in memory: who is in which, as what, and who has shown what. The sequence of a session's
//! scans is the ledger's.
//!
//! Two maps, always locked in this order and never held together longer than a step: peers, sessions.

use super::session::{Session, Shown, Status};
use crate::event::{Device, Moment, PeerId, SessionId};
use async_trait::async_trait;
use dashmap::{
    DashMap,
    mapref::{entry::Entry, multiple::RefMulti},
};
use smallvec::SmallVec;
use std::{
    fmt,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

/// Why a step was not taken. Nothing was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionError {
    /// The peer has not said which device it is.
    NotRegistered,
    /// The peer is not in that session.
    NotMember,
    /// The peer is in as many sessions as it may be.
    TooManySessions,
    /// This node holds as many sessions as it may.
    NodeFull,
}

/// A peer is in a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Joined {
    /// As what.
    pub device: Device,
    /// It was in already.
    pub again: bool,
    /// The session with it.
    pub status: Status,
}

/// A member scans.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scanned {
    /// The sender's device.
    pub device: Device,
    /// How many monitors are in the session.
    pub monitors: usize,
    /// Nobody else needs to be sent it: a monitor is, or asks for what it missed.
    pub seen: bool,
}

/// A peer is out of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Departure {
    /// The session.
    pub session: SessionId,
    /// The session without it.
    pub status: Status,
}

/// How many sessions there are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SessionTotals {
    /// All of them.
    pub total: usize,
    /// With at least one member connected.
    pub active: usize,
    /// With a phone and a monitor.
    pub paired: usize,
}

/// One session, for `/status`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionSummary {
    /// Its id.
    pub session: SessionId,
    /// Who is in it.
    pub status: Status,
    /// When it began, in milliseconds since 1970.
    pub created_ms: u64,
}

#[derive(Debug)]
struct Presence {
    device: Device,
    /// The login of a token that is good for one session alone.
    pass: Option<Box<str>>,
    sessions: SmallVec<[SessionId; 1]>,
}

/// Scan sessions, wherever they are kept. Each operation is one whole step; the time comes with it.
#[async_trait]
pub trait Sessions: fmt::Debug + Send + Sync {
    /// Notes which device a peer is. Saying it again changes it, in the sessions that it is in as well.
    async fn register(&self, peer: PeerId, device: Device);

    /// Puts a peer into a session, which begins if it does not exist. `fallback` is the device of a
    /// peer that has not registered, `pass` the login of a token that is good for this session alone.
    ///
    /// # Errors
    ///
    /// [`SessionError::NotRegistered`], [`SessionError::TooManySessions`], [`SessionError::NodeFull`].
    async fn join(
        &self,
        peer: PeerId,
        fallback: Option<Device>,
        pass: Option<&str>,
        id: &SessionId,
        now: Moment,
    ) -> Result<Joined, SessionError>;

    /// A peer scans: as what, and who is there to see it.
    ///
    /// # Errors
    ///
    /// [`SessionError::NotMember`].
    async fn scan(
        &self,
        peer: PeerId,
        id: &SessionId,
        now: Moment,
    ) -> Result<Scanned, SessionError>;

    /// Whether a monitor is the one that is sent what no monitor was there for: the first that asks, until
    /// [`Sessions::settle`] or until it is gone.
    async fn claim(&self, peer: PeerId, id: &SessionId) -> bool;

    /// A monitor was sent what no monitor was there for.
    async fn settle(&self, peer: PeerId, id: &SessionId);

    /// The members of a session are told this place next. Where others lie between it and the one that they
    /// were told before, the latter: a scan of which it was not known whether it was written has got a place.
    async fn tell(&self, id: &SessionId, seq: u64) -> Option<u64>;

    /// The sequence of a session is there: its members are told what comes after.
    async fn know(&self, id: &SessionId, seq: u64);

    /// This scan is about to be sent to the session's monitors, who may say that they have shown it.
    async fn show(&self, id: &SessionId, scan: Shown);

    /// A member shows the scan at this place: which one that is, unless this member has said so before or
    /// many came since.
    ///
    /// # Errors
    ///
    /// [`SessionError::NotMember`].
    async fn displayed(
        &self,
        peer: PeerId,
        id: &SessionId,
        seq: u64,
    ) -> Result<Option<Shown>, SessionError>;

    /// What a peer is in a session, if it is in it.
    async fn device(&self, peer: PeerId, id: &SessionId) -> Option<Device>;

    /// The phone of a session with this socket id.
    async fn phone(&self, id: &SessionId, socket: &str) -> Option<PeerId>;

    /// The login of a peer whose token is good for one session alone.
    async fn pass_of(&self, peer: PeerId) -> Option<Box<str>>;

    /// The session of a peer that is in one and no other.
    async fn only_session(&self, peer: PeerId) -> Option<SessionId>;

    /// Takes a peer out of a session.
    ///
    /// # Errors
    ///
    /// [`SessionError::NotMember`].
    async fn leave(
        &self,
        peer: PeerId,
        id: &SessionId,
        now: Moment,
    ) -> Result<Departure, SessionError>;

    /// Forgets a peer; tells which sessions it was in.
    async fn forget(&self, peer: PeerId, now: Moment) -> Vec<Departure>;
}

/// All scan sessions of this node.
#[derive(Debug)]
pub struct MemorySessions {
    peers: DashMap<PeerId, Presence>,
    sessions: DashMap<SessionId, Session>,
    count: AtomicUsize,
    per_peer: usize,
    most: usize,
    hidden: Option<SessionId>,
}

impl MemorySessions {
    /// No sessions; at most `per_peer` for each peer and `most` in all.
    pub fn new(per_peer: usize, most: usize) -> Self {
        Self {
            peers: DashMap::new(),
            sessions: DashMap::new(),
            count: AtomicUsize::new(0),
            per_peer,
            most,
            hidden: None,
        }
    }

    /// Leaves this session out of totals and pages: it is not a user's.
    #[must_use]
    pub fn hiding(mut self, hidden: Option<SessionId>) -> Self {
        self.hidden = hidden;
        self
    }

    /// Those that are users'.
    fn shown(&self) -> impl Iterator<Item = RefMulti<'_, SessionId, Session>> {
        let sessions = self.sessions.iter();
        sessions.filter(|s| self.hidden.as_ref() != Some(s.key()))
    }

    fn exit(&self, peer: PeerId, id: &SessionId, now: Moment) -> Option<Departure> {
        let Entry::Occupied(mut entry) = self.sessions.entry(id.clone()) else {
            return None;
        };
        let session = entry.get_mut();
        session.leave(peer);
        session.touch(now);
        let status = session.status();
        // A session in which nothing was scanned has nothing to remember.
        if session.is_blank() {
            entry.remove();
            self.count.fetch_sub(1, Ordering::Relaxed);
        }
        Some(Departure {
            session: id.clone(),
            status,
        })
    }

    /// Drops every session in which nothing happened for `idle`, and tells which.
    pub fn sweep(&self, idle: Duration, now: Moment) -> Vec<SessionId> {
        let candidates: Vec<SessionId> = self
            .sessions
            .iter()
            .filter(|s| s.is_idle(idle, now))
            .map(|s| s.key().clone())
            .collect();
        let mut dropped = Vec::new();
        for id in candidates {
            let gone = self.sessions.remove_if(&id, |_, s| s.is_idle(idle, now));
            let Some((_, session)) = gone else { continue };
            self.count.fetch_sub(1, Ordering::Relaxed);
            for peer in session.members() {
                let Some(mut presence) = self.peers.get_mut(&peer) else {
                    continue;
                };
                // It may have begun the session anew in between.
                let inside = |s: &Session| s.device(peer).is_some();
                if !self.sessions.get(&id).is_some_and(|s| inside(&s)) {
                    presence.sessions.retain(|s| *s != id);
                }
            }
            dropped.push(id);
        }
        dropped
    }

    /// How many sessions there are, counted now.
    pub fn totals(&self) -> SessionTotals {
        let mut totals = SessionTotals::default();
        for session in self.shown() {
            let status = session.status();
            totals.total += 1;
            totals.active += usize::from(status.is_active);
            totals.paired += usize::from(status.has_mobile && status.has_monitor);
        }
        totals
    }

    /// A page of sessions in the order of their ids, those after `after`.
    pub fn page(&self, after: Option<&str>, limit: usize) -> Vec<SessionSummary> {
        let mut all: Vec<SessionSummary> = self
            .shown()
            .filter(|s| after.is_none_or(|after| s.key().as_str() > after))
            .map(|s| SessionSummary {
                session: s.key().clone(),
                status: s.status(),
                created_ms: s.created_ms(),
            })
            .collect();
        all.sort_unstable_by(|a, b| a.session.cmp(&b.session));
        all.truncate(limit);
        all
    }
}

#[async_trait]
impl Sessions for MemorySessions {
    async fn register(&self, peer: PeerId, device: Device) {
        let sessions = {
            let mut presence = self.peers.entry(peer).or_insert_with(|| Presence {
                device,
                pass: None,
                sessions: SmallVec::new(),
            });
            if presence.device == device {
                return;
            }
            presence.device = device;
            presence.sessions.clone()
        };
        for id in sessions {
            if let Some(mut session) = self.sessions.get_mut(&id) {
                session.enter(peer, device);
            }
        }
    }

    async fn join(
        &self,
        peer: PeerId,
        fallback: Option<Device>,
        pass: Option<&str>,
        id: &SessionId,
        now: Moment,
    ) -> Result<Joined, SessionError> {
        let mine = self.peers.entry(peer);
        let (device, again) = match &mine {
            Entry::Vacant(_) => (fallback.ok_or(SessionError::NotRegistered)?, false),
            Entry::Occupied(known) => {
                let Presence {
                    device, sessions, ..
                } = known.get();
                let again = sessions.contains(id);
                if !again && sessions.len() >= self.per_peer {
                    return Err(SessionError::TooManySessions);
                }
                (*device, again)
            }
        };
        let mut session = match self.sessions.entry(id.clone()) {
            Entry::Occupied(entry) => entry.into_ref(),
            Entry::Vacant(entry) => {
                let room = self
                    .count
                    .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| {
                        (n < self.most).then_some(n + 1)
                    });
                room.map_err(|_| SessionError::NodeFull)?;
                entry.insert(Session::new(now))
            }
        };
        session.enter(peer, device);
        session.touch(now);
        let mut presence = mine.or_insert_with(|| Presence {
            device,
            pass: None,
            sessions: SmallVec::new(),
        });
        presence.pass = pass.map(Into::into);
        if !again {
            presence.sessions.push(id.clone());
        }
        Ok(Joined {
            device,
            again,
            status: session.status(),
        })
    }

    async fn scan(
        &self,
        peer: PeerId,
        id: &SessionId,
        now: Moment,
    ) -> Result<Scanned, SessionError> {
        let mut session = self.sessions.get_mut(id).ok_or(SessionError::NotMember)?;
        let device = session.device(peer).ok_or(SessionError::NotMember)?;
        session.touch(now);
        session.scanned();
        Ok(Scanned {
            device,
            monitors: session.monitors(),
            seen: session.seen(),
        })
    }

    async fn claim(&self, peer: PeerId, id: &SessionId) -> bool {
        let mut session = self.sessions.get_mut(id);
        session.as_mut().is_some_and(|session| session.claim(peer))
    }

    async fn settle(&self, peer: PeerId, id: &SessionId) {
        if let Some(mut session) = self.sessions.get_mut(id) {
            session.settle(peer);
        }
    }

    async fn tell(&self, id: &SessionId, seq: u64) -> Option<u64> {
        let before = self.sessions.get_mut(id)?.tell(seq)?;
        (before + 1 < seq).then_some(before)
    }

    async fn know(&self, id: &SessionId, seq: u64) {
        if let Some(mut session) = self.sessions.get_mut(id) {
            session.know(seq);
        }
    }

    async fn show(&self, id: &SessionId, scan: Shown) {
        if let Some(mut session) = self.sessions.get_mut(id) {
            session.show(scan);
        }
    }

    async fn displayed(
        &self,
        peer: PeerId,
        id: &SessionId,
        seq: u64,
    ) -> Result<Option<Shown>, SessionError> {
        let mut session = self.sessions.get_mut(id).ok_or(SessionError::NotMember)?;
        session.device(peer).ok_or(SessionError::NotMember)?;
        Ok(session.displayed(peer, seq))
    }

    async fn device(&self, peer: PeerId, id: &SessionId) -> Option<Device> {
        self.sessions.get(id)?.device(peer)
    }

    async fn phone(&self, id: &SessionId, socket: &str) -> Option<PeerId> {
        let session = self.sessions.get(id)?;
        let mut members = session.members();
        let phone = members.find(|peer| peer.socket.as_str() == socket)?;
        (session.device(phone) == Some(Device::Mobile)).then_some(phone)
    }

    async fn pass_of(&self, peer: PeerId) -> Option<Box<str>> {
        self.peers.get(&peer)?.pass.clone()
    }

    async fn only_session(&self, peer: PeerId) -> Option<SessionId> {
        let presence = self.peers.get(&peer)?;
        match presence.sessions.as_slice() {
            [only] => Some(only.clone()),
            _ => None,
        }
    }

    async fn leave(
        &self,
        peer: PeerId,
        id: &SessionId,
        now: Moment,
    ) -> Result<Departure, SessionError> {
        let mut presence = self.peers.get_mut(&peer).ok_or(SessionError::NotMember)?;
        let before = presence.sessions.len();
        presence.sessions.retain(|s| s != id);
        if presence.sessions.len() == before {
            return Err(SessionError::NotMember);
        }
        self.exit(peer, id, now).ok_or(SessionError::NotMember)
    }

    async fn forget(&self, peer: PeerId, now: Moment) -> Vec<Departure> {
        let Some((_, presence)) = self.peers.remove(&peer) else {
            return Vec::new();
        };
        let ids = presence.sessions.iter();
        ids.filter_map(|id| self.exit(peer, id, now)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::{at, peer, session, wait};
    use super::*;
    use std::time::Instant;

    #[test]
    fn a_peer_must_say_its_device_before_it_joins() {
        let sessions = MemorySessions::new(10, 10);
        let now = at(Instant::now(), 0);

        let refused = wait(sessions.join(peer(1), None, None, &session("a"), now));
        assert_eq!(refused, Err(SessionError::NotRegistered));

        wait(sessions.register(peer(1), Device::Mobile));
        let joined = wait(sessions.join(peer(1), None, None, &session("a"), now)).unwrap();
        assert!(joined.status.has_mobile && !joined.status.has_monitor);
    }

    #[test]
    fn only_members_scan_and_are_told_who_sees_it() {
        let sessions = MemorySessions::new(10, 10);
        let now = at(Instant::now(), 0);
        wait(sessions.register(peer(1), Device::Mobile));
        wait(sessions.register(peer(2), Device::Monitor));
        wait(sessions.join(peer(1), None, None, &session("a"), now)).unwrap();
        wait(sessions.join(peer(2), None, None, &session("a"), now)).unwrap();

        let scanned = wait(sessions.scan(peer(1), &session("a"), now)).unwrap();
        assert_eq!((scanned.device, scanned.monitors), (Device::Mobile, 1));
        assert!(scanned.seen);
        let stranger = wait(sessions.scan(peer(3), &session("a"), now));
        assert_eq!(stranger, Err(SessionError::NotMember));
        let nowhere = wait(sessions.scan(peer(1), &session("b"), now));
        assert_eq!(nowhere, Err(SessionError::NotMember));
    }

    #[test]
    fn a_session_with_scans_outlives_its_members_until_it_is_idle() {
        let sessions = MemorySessions::new(10, 10);
        let start = Instant::now();
        wait(sessions.register(peer(1), Device::Mobile));
        wait(sessions.join(peer(1), None, None, &session("a"), at(start, 0))).unwrap();
        wait(sessions.scan(peer(1), &session("a"), at(start, 1))).unwrap();
        wait(sessions.forget(peer(1), at(start, 2)));

        let hour = Duration::from_hours(1);
        assert!(sessions.sweep(hour, at(start, 3601)).is_empty());
        wait(sessions.register(peer(1), Device::Mobile));
        let back =
            wait(sessions.join(peer(1), None, None, &session("a"), at(start, 3601))).unwrap();
        assert!(!back.again);
        assert_eq!(sessions.sweep(hour, at(start, 7201)), vec![session("a")]);
        assert_eq!(sessions.totals(), SessionTotals::default());

        // The peer is no longer held to be in the dropped session.
        let gone = wait(sessions.leave(peer(1), &session("a"), at(start, 7202)));
        assert_eq!(gone, Err(SessionError::NotMember));
    }

    #[test]
    fn what_was_scanned_is_shown_once_by_each_monitor() {
        let sessions = MemorySessions::new(10, 10);
        let now = at(Instant::now(), 0);
        for (n, device) in [
            (1, Device::Mobile),
            (2, Device::Monitor),
            (3, Device::Monitor),
        ] {
            wait(sessions.register(peer(n), device));
            wait(sessions.join(peer(n), None, None, &session("a"), now)).unwrap();
        }
        for seq in 1..=70 {
            let scan = Shown {
                seq,
                phone: peer(1),
                nonce: None,
                arrived: now.instant,
                trace: None,
            };
            wait(sessions.show(&session("a"), scan));
        }

        let shown = |n, seq| wait(sessions.displayed(peer(n), &session("a"), seq)).unwrap();
        assert_eq!(shown(2, 70).unwrap().phone, peer(1));
        assert!(shown(3, 70).is_some(), "each monitor for itself");
        assert!(shown(2, 70).is_none(), "only once");
        assert!(shown(2, 1).is_none(), "too long ago");
        assert!(shown(2, 71).is_none(), "not yet");
        let stranger = wait(sessions.displayed(peer(4), &session("a"), 70));
        assert_eq!(stranger.unwrap_err(), SessionError::NotMember);
    }

    #[test]
    fn what_nobody_saw_is_for_one_monitor_until_that_one_has_it_or_is_gone() {
        let sessions = MemorySessions::new(10, 10);
        let now = at(Instant::now(), 0);
        for n in 1..=3 {
            wait(sessions.register(peer(n), Device::Monitor));
            wait(sessions.join(peer(n), None, None, &session("a"), now)).unwrap();
        }
        let seen = || {
            wait(sessions.scan(peer(3), &session("a"), now))
                .unwrap()
                .seen
        };

        assert!(
            wait(sessions.claim(peer(1), &session("a")))
                && wait(sessions.claim(peer(1), &session("a")))
        );
        assert!(!wait(sessions.claim(peer(2), &session("a"))));
        assert!(!seen(), "not before what is older");
        wait(sessions.forget(peer(1), now));
        assert!(seen());
        assert!(wait(sessions.claim(peer(2), &session("a"))));
        wait(sessions.settle(peer(2), &session("a")));
        assert!(seen());
    }

    #[test]
    fn a_place_that_was_left_out_is_noticed() {
        let sessions = MemorySessions::new(10, 10);
        let now = at(Instant::now(), 0);
        wait(sessions.register(peer(1), Device::Monitor));
        wait(sessions.join(peer(1), None, None, &session("a"), now)).unwrap();

        wait(sessions.know(&session("a"), 6));
        wait(sessions.know(&session("a"), 9));
        assert_eq!(wait(sessions.tell(&session("a"), 7)), None);
        assert_eq!(wait(sessions.tell(&session("a"), 8)), None);
        assert_eq!(wait(sessions.tell(&session("a"), 11)), Some(8));
        assert_eq!(wait(sessions.tell(&session("a"), 9)), None, "told already");
        assert_eq!(wait(sessions.tell(&session("a"), 12)), None);
    }

    #[test]
    fn caps_hold_and_leaving_makes_room() {
        let sessions = MemorySessions::new(2, 3);
        let now = at(Instant::now(), 0);
        for n in 1..=2 {
            wait(sessions.register(peer(n), Device::Mobile));
        }
        wait(sessions.join(peer(1), None, None, &session("a"), now)).unwrap();
        wait(sessions.join(peer(1), None, None, &session("b"), now)).unwrap();
        let third = wait(sessions.join(peer(1), None, None, &session("c"), now));
        assert_eq!(third, Err(SessionError::TooManySessions));
        wait(sessions.join(peer(1), None, None, &session("a"), now)).unwrap();

        wait(sessions.join(peer(2), None, None, &session("c"), now)).unwrap();
        let fourth = wait(sessions.join(peer(2), None, None, &session("d"), now));
        assert_eq!(fourth, Err(SessionError::NodeFull));
        wait(sessions.leave(peer(1), &session("a"), now)).unwrap();
        wait(sessions.join(peer(2), None, None, &session("d"), now)).unwrap();
        assert_eq!(sessions.totals().total, 3);
    }

    #[test]
    fn changing_the_device_shows_in_the_sessions() {
        let sessions = MemorySessions::new(10, 10);
        let now = at(Instant::now(), 0);
        wait(sessions.register(peer(1), Device::Mobile));
        wait(sessions.join(peer(1), None, None, &session("a"), now)).unwrap();
        wait(sessions.register(peer(1), Device::Monitor));

        let page = sessions.page(None, 10);
        assert!(page[0].status.has_monitor && !page[0].status.has_mobile);
    }
}
