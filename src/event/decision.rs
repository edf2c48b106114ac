//! What a family decides: a reply, effects (what to send, whom to move), facts (what happened).

use super::{
    ChatRoomId, EventId, EventName, Identity, PeerId, PushName, Rejection, Role, SessionId,
    TraceId, UserId,
};
use serde::Serialize;
use serde_json::value::RawValue;
use smallvec::SmallVec;
use std::{
    any::Any,
    fmt::{self, Display},
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant},
};

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

    /// JSON that is there already; what is none becomes `null`.
    pub fn from_json(json: String) -> Self {
        RawValue::from_string(json).map_or_else(|_| Self::null(), Self)
    }

    /// The JSON of an object, with fields after its own: `fields` is JSON without the braces.
    pub fn extended(object: &str, fields: impl Display) -> Self {
        let open = object.strip_suffix('}').unwrap_or(object);
        Self::from_json(format!("{open},{fields}}}"))
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

impl Default for Payload {
    fn default() -> Self {
        Self::null()
    }
}

/// A group of peers that messages are sent to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Room {
    /// The members of a scan session.
    Session(SessionId),
    /// Those who look at an event.
    Event(EventId),
    /// Those who wait for it.
    Queue(EventId),
    /// Those who choose from its seats.
    Seats(EventId),
    /// The sockets of a user who does any of that.
    User(UserId),
    /// Those who hear a chat room.
    Chat(ChatRoomId),
    /// The sockets of a user who chats.
    Chatter(UserId),
}

/// What became of where a user was: the values of a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RestoreResult {
    /// It is back there.
    Ok,
    /// Some of it had ended by its rules: the user was away for too long.
    Expired,
    /// Nothing is kept of it: a first visit, or long ago.
    Unknown,
    /// Some of it is lost, before its time.
    Gap,
    /// Our fault.
    Error,
}

impl RestoreResult {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Ok,
        Self::Expired,
        Self::Unknown,
        Self::Gap,
        Self::Error,
    ];

    /// The label value.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Expired => "expired",
            Self::Unknown => "unknown",
            Self::Gap => "gap",
            Self::Error => "error",
        }
    }
}

/// Why somebody left a waiting queue without being let in: the values of a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueueExit {
    /// It said so.
    Left,
    /// It was gone for too long.
    Vanished,
    /// An admin sent everybody home.
    Cleared,
}

impl QueueExit {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Left, Self::Vanished, Self::Cleared];

    /// The label value.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Left => "left",
            Self::Vanished => "vanished",
            Self::Cleared => "cleared",
        }
    }
}

/// What became of a wish for a seat: the values of a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SeatResult {
    /// The user has it.
    Held,
    /// Somebody else has it, or it is sold.
    Conflict,
    /// A limit, no such seat, or not the user's turn.
    Refused,
}

impl SeatResult {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Held, Self::Conflict, Self::Refused];

    /// The label value.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Conflict => "conflict",
            Self::Refused => "refused",
        }
    }
}

/// What became of something said in a chat room: the values of a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChatResult {
    /// It is new.
    New,
    /// It was said before, and sent again.
    Again,
    /// It was changed.
    Edited,
}

impl ChatResult {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::New, Self::Again, Self::Edited];

    /// The label value.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Again => "again",
            Self::Edited => "edited",
        }
    }
}

/// Why an address is blocked: the values of a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlockReason {
    /// It showed too many forged tokens, wrong names or wrong applications.
    Strikes,
    /// It asked for too many access tokens.
    Refreshes,
}

impl BlockReason {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Strikes, Self::Refreshes];

    /// The label value.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Strikes => "strikes",
            Self::Refreshes => "refreshes",
        }
    }
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
    /// Send an event and ask its receivers to acknowledge it, those that are monitors. A receiver that does
    /// has said `answer`, an object, and in it what it acknowledges with as `paintedMs`.
    Ask {
        /// To whom.
        to: Target,
        /// Its name.
        event: PushName,
        /// Its only argument.
        payload: Payload,
        /// What an acknowledgement stands for.
        answer: (EventName, Payload),
    },
    /// The caller enters a room.
    Enter(Room),
    /// A peer leaves a room.
    Exit(Room, PeerId),
    /// A user leaves a room, with all its sockets.
    Expel(Room, UserId),
    /// Everybody leaves a room.
    Close(Room),
    /// The caller is now known under a new token.
    Identify(Arc<Identity>),
    /// The caller is shown under this role in the telemetry.
    ActAs(Role),
}

impl Effect {
    /// Sends an event with `said` as its only argument.
    pub fn emit<T: Serialize + ?Sized>(to: Target, event: PushName, said: &T) -> Self {
        Self::Emit {
            to,
            event,
            payload: Payload::of(said),
        }
    }
}

/// What happened, for the telemetry. Each variant names its counter, log line and attributes in
/// `telemetry/facts.rs`, and nowhere else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact {
    /// A scan was sent to its session.
    ScanRelayed {
        /// Position in the session; none where the store could not give it one.
        seq: Option<u64>,
        /// How many monitors were there.
        monitors: usize,
    },
    /// A scan was sent again that is in the ledger already.
    ScanRepeated {
        /// Position in the session.
        seq: u64,
    },
    /// Scans were sent to somebody who had missed them.
    ScansReplayed {
        /// How many.
        scans: usize,
    },
    /// A monitor has shown an order.
    ScanDisplayed {
        /// Since the scan arrived.
        took: Duration,
        /// The trace of the scan, if it was recorded.
        trace: Option<TraceId>,
        /// What the monitor says that it took, from the packet to the paint.
        painted: Option<Duration>,
    },
    /// A device came back to a session and said what it had seen last.
    Reconnected {
        /// It has missed nothing for good.
        whole: bool,
    },
    /// A user was brought back to where it was.
    Restored(RestoreResult),
    /// A user was let in.
    QueueAdmitted {
        /// After so long.
        waited: Duration,
    },
    /// People left a waiting queue without being let in.
    QueueLeft {
        /// Why.
        why: QueueExit,
        /// How many.
        people: usize,
    },
    /// Somebody wanted seats.
    SeatsSelected {
        /// What became of it.
        result: SeatResult,
        /// How many.
        seats: usize,
    },
    /// Holds of seats ended by time.
    SeatsExpired {
        /// How many.
        seats: usize,
    },
    /// A peer entered a session.
    SessionJoined,
    /// A peer left a session.
    SessionLeft,
    /// A token was replaced.
    TokenRenewed,
    /// Something was said in a chat room.
    ChatSaid(ChatResult),
    /// An address was blocked.
    AddressBlocked(BlockReason),
    /// A signaling room began.
    RoomCreated,
    /// A peer gave its first answer.
    Negotiated {
        /// Since it joined.
        took: Duration,
    },
}

/// A hold on something that nobody else may have meanwhile; dropping it lets go.
pub struct Turn(#[expect(dead_code, reason = "it is held, not read")] Box<dyn Any + Send>);

impl Turn {
    /// Holds `guard`.
    pub fn new(guard: impl Send + 'static) -> Self {
        Self(Box::new(guard))
    }
}

impl fmt::Debug for Turn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Turn")
    }
}

/// A decision that follows another one. A failure closes the connection: what follows is what the client
/// was promised.
pub type Sequel = Pin<Box<dyn Future<Output = Result<Decision, Rejection>> + Send>>;

/// What a family decided about one event.
#[derive(Default)]
pub struct Decision {
    /// For the acknowledgement and, where the row says so, the reply event.
    pub reply: Payload,
    /// In this order.
    pub effects: SmallVec<[Effect; 2]>,
    /// What happened.
    pub facts: SmallVec<[Fact; 1]>,
    /// Held until the effects are carried out.
    pub turn: Option<Turn>,
    /// From when to when it was being written down, if it was.
    pub persisted: Option<(Instant, Instant)>,
    /// What follows, once the client has taken what it was sent; without a reply of its own.
    pub sequel: Option<Sequel>,
}

impl fmt::Debug for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decision")
            .field("effects", &self.effects)
            .field("facts", &self.facts)
            .finish_non_exhaustive()
    }
}

impl Decision {
    /// Answers, and does nothing else.
    pub fn reply<T: Serialize + ?Sized>(reply: &T) -> Self {
        Self {
            reply: Payload::of(reply),
            ..Self::default()
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

    /// Also does and tells what another decision says. Its reply goes nowhere.
    pub fn join(&mut self, other: Self) {
        self.effects.extend(other.effects);
        self.facts.extend(other.facts);
    }

    /// Nobody else has this turn until it is carried out.
    #[must_use]
    pub fn during(mut self, turn: Turn) -> Self {
        self.turn = Some(turn);
        self
    }
}
