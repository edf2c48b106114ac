//! What a family decides: a reply, effects (what to send, whom to move), facts (what happened).

use super::{Identity, PeerId, PushName, Role, SessionId};
use serde::Serialize;
use serde_json::value::RawValue;
use smallvec::SmallVec;
use std::{sync::Arc, time::Duration};

/// A payload that is serialised once, however many sockets it goes to.
#[derive(Debug, Clone)]
pub struct Payload(Box<RawValue>);

impl Payload {
    /// Serialises `value`; what cannot be serialised becomes `null`, which no wire type of ours does.
    pub fn of<T: Serialize + ?Sized>(value: &T) -> Self {
        match serde_json::value::to_raw_value(value) {
            Ok(raw) => Self(raw),
            Err(_) => Self::null(),
        }
    }

    /// `null`, where nobody reads it.
    pub fn null() -> Self {
        Self(RawValue::NULL.to_owned())
    }

    /// The JSON.
    pub fn raw(&self) -> &RawValue {
        &self.0
    }

    /// Its length in bytes.
    pub fn len(&self) -> usize {
        self.0.get().len()
    }

    /// Never: JSON has no empty text.
    pub fn is_empty(&self) -> bool {
        false
    }
}

/// A group of peers that messages are sent to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Room {
    /// The members of a scan session.
    Session(SessionId),
}

/// The three signals that peers exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignalKind {
    /// An SDP offer.
    Offer,
    /// An SDP answer.
    Answer,
    /// An ICE candidate.
    IceCandidate,
}

/// Who gets something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// The peer that asked.
    Caller,
    /// This one.
    Peer(PeerId),
    /// These.
    Peers(Box<[PeerId]>),
    /// Everybody in the room.
    Room(Room),
    /// Everybody in the room but the peer that asked.
    Others(Room),
}

/// What the gateway has to do.
#[derive(Debug, Clone)]
pub enum Effect {
    /// Send an event.
    Emit {
        /// To whom.
        to: Target,
        /// Its name.
        event: PushName,
        /// Its only argument.
        payload: Payload,
    },
    /// The caller enters a room.
    Enter(Room),
    /// The caller leaves a room.
    Exit(Room),
    /// The caller is now known under a new token.
    Identify(Arc<Identity>),
    /// The caller is shown under this role in the telemetry.
    ActAs(Role),
}

/// What happened, for the telemetry. Each variant names its counter, log line and attributes in
/// `telemetry/facts.rs`, and nowhere else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact {
    /// A scan was sent to its session.
    ScanRelayed {
        /// Position in the session.
        seq: u64,
        /// How many monitors were there.
        monitors: usize,
    },
    /// A peer entered a session.
    SessionJoined,
    /// A peer left a session.
    SessionLeft,
    /// A token was replaced.
    TokenRenewed,
    /// A signaling room began.
    RoomCreated,
    /// A peer gave its first answer.
    Negotiated {
        /// Since it joined.
        took: Duration,
    },
}

/// What a family decided about one event.
#[derive(Debug, Clone)]
pub struct Decision {
    /// For the acknowledgement and, where the row says so, the reply event.
    pub reply: Payload,
    /// In this order.
    pub effects: SmallVec<[Effect; 2]>,
    /// What happened.
    pub facts: SmallVec<[Fact; 1]>,
}

impl Decision {
    /// Answers, and does nothing else.
    pub fn reply<T: Serialize + ?Sized>(reply: &T) -> Self {
        Self {
            reply: Payload::of(reply),
            effects: SmallVec::new(),
            facts: SmallVec::new(),
        }
    }

    /// Also does this.
    #[must_use]
    pub fn then(mut self, effect: Effect) -> Self {
        self.effects.push(effect);
        self
    }

    /// Also tells this.
    #[must_use]
    pub fn noting(mut self, fact: Fact) -> Self {
        self.facts.push(fact);
        self
    }
}

/// What a family wants done when a peer is gone for good: there is nobody left to answer.
#[derive(Debug, Clone, Default)]
pub struct Departed {
    /// In this order.
    pub effects: Vec<Effect>,
    /// What happened.
    pub facts: Vec<Fact>,
}
