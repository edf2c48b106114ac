//! Invitations into scan sessions: a token in a QR code, or six digits to type. Each is good once and for a
//! while.

use crate::event::{PeerId, SessionId};
use parking_lot::Mutex;
use std::{
    collections::{HashMap, VecDeque},
    time::{Duration, Instant},
};

/// So many invitations of one monitor are open at once; a further one takes the place of the oldest.
const PER_PEER: usize = 10;
/// Six digits, the first of them not 0.
const CODES: std::ops::Range<u32> = 100_000..1_000_000;

/// An invitation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invitation {
    /// Where to.
    pub session: SessionId,
    /// Names it in its token.
    pub id: u128,
    /// Six digits that stand for it.
    pub code: u32,
    /// Who invites.
    pub by: PeerId,
}

/// What is shown of an invitation.
#[derive(Debug, Clone, Copy)]
pub enum Invited<'a> {
    /// What its token says.
    Token {
        /// The session.
        session: &'a SessionId,
        /// The id.
        id: u128,
    },
    /// Its code.
    Code(u32),
}

#[derive(Debug, Default)]
struct State {
    open: HashMap<SessionId, (Invitation, Instant)>,
    codes: HashMap<u32, SessionId>,
    by_peer: HashMap<PeerId, VecDeque<SessionId>>,
    /// Phones that have their pass and have not come yet.
    expected: HashMap<Box<str>, Instant>,
}

impl State {
    fn close(&mut self, session: &SessionId) -> Option<(Invitation, Instant)> {
        let closed = self.open.remove(session)?;
        self.codes.remove(&closed.0.code);
        if let Some(mine) = self.by_peer.get_mut(&closed.0.by) {
            mine.retain(|other| other != session);
            if mine.is_empty() {
                self.by_peer.remove(&closed.0.by);
            }
        }
        Some(closed)
    }
}

/// All open invitations of this node.
#[derive(Debug)]
pub struct Pairings {
    state: Mutex<State>,
    most: usize,
    good_for: Duration,
}

impl Pairings {
    /// None are open; at most `most` will be, each for this long.
    pub fn new(most: usize, good_for: Duration) -> Self {
        Self {
            state: Mutex::default(),
            most,
            good_for,
        }
    }

    /// How long an invitation is good for.
    pub fn good_for(&self) -> Duration {
        self.good_for
    }

    /// Invites into a session; an earlier invitation into it ends. Nothing when too many are open.
    pub fn invite(&self, session: SessionId, by: PeerId, now: Instant) -> Option<Invitation> {
        let mut state = self.state.lock();
        state.close(&session);
        let mine = state.by_peer.get(&by);
        let oldest = mine.filter(|mine| mine.len() >= PER_PEER);
        if let Some(oldest) = oldest.and_then(|mine| mine.front()).cloned() {
            state.close(&oldest);
        }
        if state.open.len() >= self.most {
            return None;
        }
        // There are far more codes than invitations.
        let free = |code: &u32| !state.codes.contains_key(code);
        let code = std::iter::repeat_with(|| rand::random_range(CODES)).find(free)?;
        let invitation = Invitation {
            session: session.clone(),
            id: rand::random(),
            code,
            by,
        };
        state.codes.insert(code, session.clone());
        let mine = state.by_peer.entry(by).or_default();
        mine.push_back(session.clone());
        let open = (invitation.clone(), now + self.good_for);
        state.open.insert(session, open);
        Some(invitation)
    }

    /// Takes an invitation up, which ends it.
    pub fn accept(&self, shown: Invited<'_>, now: Instant) -> Option<Invitation> {
        let mut state = self.state.lock();
        let session = match shown {
            Invited::Token { session, id } => {
                let (known, _) = state.open.get(session)?;
                (known.id == id).then(|| session.clone())?
            }
            Invited::Code(code) => state.codes.get(&code)?.clone(),
        };
        let (invitation, until) = state.close(&session)?;
        (until > now).then_some(invitation)
    }

    /// A phone got a pass with this login.
    pub fn expect(&self, login: &str, now: Instant) {
        let mut state = self.state.lock();
        if state.expected.len() < self.most {
            state.expected.insert(login.into(), now + self.good_for);
        }
    }

    /// Whether this login's phone was expected. True once.
    pub fn arrived(&self, login: &str) -> bool {
        self.state.lock().expected.remove(login).is_some()
    }

    /// Forgets what has ended. Call it every few seconds.
    pub fn tidy(&self, now: Instant) {
        let mut state = self.state.lock();
        let ended = state.open.iter().filter(|(_, (_, until))| *until <= now);
        let ended: Vec<SessionId> = ended.map(|(session, _)| session.clone()).collect();
        for session in ended {
            state.close(&session);
        }
        state.expected.retain(|_, until| *until > now);
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::{peer, session};
    use super::*;

    const GOOD_FOR: Duration = Duration::from_mins(10);

    #[test]
    fn an_invitation_is_good_once_by_token_or_by_code() {
        let pairings = Pairings::new(100, GOOD_FOR);
        let now = Instant::now();
        let first = pairings.invite(session("a"), peer(1), now).unwrap();
        let by_token = Invited::Token {
            session: &session("a"),
            id: first.id,
        };

        assert_eq!(pairings.accept(by_token, now), Some(first.clone()));
        assert_eq!(pairings.accept(by_token, now), None);
        assert_eq!(pairings.accept(Invited::Code(first.code), now), None);
        let second = pairings.invite(session("a"), peer(1), now).unwrap();
        assert_eq!(pairings.accept(by_token, now), None, "of before");
        assert_eq!(
            pairings.accept(Invited::Code(second.code), now),
            Some(second)
        );
    }

    #[test]
    fn an_invitation_ends_with_its_time() {
        let pairings = Pairings::new(100, GOOD_FOR);
        let now = Instant::now();
        let one = pairings.invite(session("a"), peer(1), now).unwrap();
        assert_eq!(
            pairings.accept(Invited::Code(one.code), now + GOOD_FOR),
            None
        );

        let one = pairings.invite(session("a"), peer(1), now).unwrap();
        pairings.expect("login", now);
        pairings.tidy(now + GOOD_FOR);
        assert_eq!(pairings.accept(Invited::Code(one.code), now), None);
        assert!(!pairings.arrived("login"));
    }

    #[test]
    fn nobody_can_hold_all_invitations() {
        let pairings = Pairings::new(12, GOOD_FOR);
        let now = Instant::now();
        let mine: Vec<Invitation> = (0..15)
            .map(|n| {
                pairings
                    .invite(session(&n.to_string()), peer(1), now)
                    .unwrap()
            })
            .collect();
        assert_eq!(pairings.accept(Invited::Code(mine[4].code), now), None);
        assert!(pairings.accept(Invited::Code(mine[5].code), now).is_some());

        for n in 0..3 {
            let other = pairings.invite(session(&format!("x{n}")), peer(2), now);
            assert!(other.is_some());
        }
        assert_eq!(pairings.invite(session("y"), peer(3), now), None, "full");
    }

    #[test]
    fn a_paired_phone_arrives_once() {
        let pairings = Pairings::new(100, GOOD_FOR);
        pairings.expect("login", Instant::now());

        assert!(pairings.arrived("login"));
        assert!(!pairings.arrived("login"));
    }
}
