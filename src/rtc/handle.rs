//! Decisions of the rtc family.

use super::payload::{
    Answer, AnswerFrom, CandidateFrom, CheckedRoom, CreateRoom, Delivered, Envelope, EnvelopeKind,
    IceCandidate, InRoom, Join, JoinRoom, Leave, Offer, OfferFrom, PeerJoined, PeerLeft,
    UserJoined,
};
use crate::{
    event::{
        ClientEvent, Code, Context, Decision, Departed, Effect, EventName, Fact, Moment, Namespace,
        Payload, PeerId, PushName, QuotaClass, Refusal, Rejection, Reply, Room, RoomId, SignalKind,
        SocketId, Target, Text,
    },
    guard::Keyed,
    live::{Member, RoomError, Rooms},
};
use serde_json::value::RawValue;
use std::sync::Arc;

/// What the rtc family needs to decide.
#[derive(Debug, Clone)]
pub struct RtcServices {
    /// Who is in which room.
    pub rooms: Arc<Rooms>,
    /// How often a user may create rooms.
    pub creations: Arc<Keyed<Box<str>>>,
}

const EVERYWHERE: &[Namespace] = &[Namespace::Root, Namespace::Rtc];
/// Payload limits of the rtc family (contract, section 9), with room for the address around a signal.
const SDP_BYTES: usize = 64 * 1024 + 256;
const CANDIDATE_BYTES: usize = 4 * 1024 + 256;
const ROOM_BYTES: usize = 4 * 1024;

impl From<RoomError> for Refusal {
    fn from(error: RoomError) -> Self {
        match error {
            RoomError::NoSuchRoom => Self::new(Code::NotFound, Text::NoSuchRoom),
            RoomError::Exists => Self::new(Code::Conflict, Text::RoomExists),
            RoomError::Full { most } => Self::new(Code::RoomFull, Text::RoomFull(most)),
            RoomError::TooManyRooms => Self::new(Code::RateLimit, Text::TooManyRooms),
            RoomError::NodeFull => Self::new(Code::Unavailable, Text::ServerBusy),
            RoomError::NotMember => Self::new(Code::Forbidden, Text::NotInRoom),
            RoomError::NoCommonRoom => Self::new(Code::Forbidden, Text::NoCommonRoom),
            RoomError::PeerGone => Self::new(Code::NotFound, Text::PeerGone),
        }
    }
}

impl From<RoomError> for Rejection {
    fn from(error: RoomError) -> Self {
        Self::Refused(error.into())
    }
}

impl CheckedRoom {
    fn get(self) -> Result<RoomId, Rejection> {
        self.0
            .map_err(|text| Refusal::new(Code::ValidationError, text).into())
    }
}

fn myself(cx: &Context) -> Member {
    let username = cx.identity.username.as_deref();
    Member::new(cx.peer, &cx.identity.user, username)
}

fn join(cx: &Context, rtc: &RtcServices, id: RoomId, create: bool) -> Result<Decision, Rejection> {
    let me = myself(cx);
    let entered = rtc.rooms.join(me.clone(), &id, create, cx.now)?;
    let ids: Vec<SocketId> = entered.existing.iter().map(|m| m.socket_id).collect();
    let mut decision = Decision::reply(&InRoom {
        success: true,
        room_id: &id,
        existing_users: Some(&ids),
    });
    if create {
        decision = decision.then(Effect::Emit {
            to: Target::Caller,
            event: PushName::ExistingPeers,
            payload: Payload::of(&entered.existing),
        });
    }
    if entered.created {
        decision = decision.noting(Fact::RoomCreated);
    }
    if entered.again {
        return Ok(decision);
    }
    let room = Room::Signaling(id);
    let joined = PeerJoined {
        peer_id: cx.peer.socket,
        user_id: me.user_id.clone(),
    };
    decision = decision
        .then(Effect::Enter(room.clone()))
        .then(Effect::Emit {
            to: Target::Others(room.clone()),
            event: PushName::PeerJoined,
            payload: Payload::of(&joined),
        });
    if !create {
        let joined = UserJoined {
            user_id: me.user_id,
            username: me.username,
        };
        decision = decision.then(Effect::Emit {
            to: Target::Others(room),
            event: PushName::UserJoined,
            payload: Payload::of(&joined),
        });
    }
    Ok(decision)
}

fn leave(cx: &Context, rtc: &RtcServices, id: RoomId) -> Result<Decision, Rejection> {
    rtc.rooms.leave(cx.peer, &id, cx.now)?;
    let mut decision = Decision::reply(&InRoom {
        success: true,
        room_id: &id,
        existing_users: None,
    });
    decision.effects.extend(farewell(cx.peer, id));
    Ok(decision)
}

fn farewell(peer: PeerId, id: RoomId) -> [Effect; 2] {
    let room = Room::Signaling(id);
    let left = PeerLeft {
        peer_id: peer.socket,
    };
    [
        Effect::Exit(room.clone()),
        Effect::Emit {
            to: Target::Others(room),
            event: PushName::PeerLeft,
            payload: Payload::of(&left),
        },
    ]
}

/// Relays one signal. `from` is always the sender's id; the signal itself is not looked into.
fn relay(
    cx: &Context,
    rtc: &RtcServices,
    to: SocketId,
    kind: SignalKind,
    signal: &RawValue,
) -> Result<Decision, Rejection> {
    let answer = kind == SignalKind::Answer;
    let relayed = rtc.rooms.relay(cx.peer, to, answer, cx.now)?;
    let from = cx.peer.socket;
    let (event, payload) = match kind {
        SignalKind::Offer => {
            let offer = OfferFrom {
                from,
                offer: signal,
            };
            (PushName::Offer, Payload::of(&offer))
        }
        SignalKind::Answer => {
            let answer = AnswerFrom {
                from,
                answer: signal,
            };
            (PushName::Answer, Payload::of(&answer))
        }
        SignalKind::IceCandidate => {
            let candidate = CandidateFrom {
                from,
                candidate: signal,
            };
            (PushName::IceCandidate, Payload::of(&candidate))
        }
    };
    let mut decision = Decision::reply(&Delivered { delivered: true }).then(Effect::Emit {
        to: Target::Peer(relayed.to),
        event,
        payload,
    });
    if let Some(took) = relayed.negotiated {
        decision = decision.noting(Fact::Negotiated { took });
    }
    Ok(decision)
}

impl ClientEvent<RtcServices> for Join {
    const NAME: EventName = EventName::Join;
    const NAMESPACES: &'static [Namespace] = EVERYWHERE;
    const MAX_BYTES: usize = ROOM_BYTES;
    const REPLY: Reply = Reply::Ack;

    async fn handle(self, cx: &Context, rtc: &RtcServices) -> Result<Decision, Rejection> {
        join(cx, rtc, self.room_id.get()?, true)
    }
}

impl ClientEvent<RtcServices> for JoinRoom {
    const NAME: EventName = EventName::JoinRoom;
    const NAMESPACES: &'static [Namespace] = EVERYWHERE;
    const MAX_BYTES: usize = ROOM_BYTES;
    const REPLY: Reply = Reply::Ack;

    async fn handle(self, cx: &Context, rtc: &RtcServices) -> Result<Decision, Rejection> {
        join(cx, rtc, self.room_id.get()?, false)
    }
}

impl ClientEvent<RtcServices> for CreateRoom {
    const NAME: EventName = EventName::CreateRoom;
    const NAMESPACES: &'static [Namespace] = EVERYWHERE;
    const MAX_BYTES: usize = ROOM_BYTES;
    const REPLY: Reply = Reply::Ack;

    async fn handle(self, cx: &Context, rtc: &RtcServices) -> Result<Decision, Rejection> {
        let id = self.room_id.get()?;
        self.name
            .map_err(|text| Refusal::new(Code::ValidationError, text))?;
        if !rtc.creations.check(&cx.identity.user).pass {
            return Err(Refusal::new(Code::RateLimit, Text::TooManyCreations).into());
        }
        rtc.rooms.create(myself(cx), &id, self.max_users, cx.now)?;
        let reply = InRoom {
            success: true,
            room_id: &id,
            existing_users: None,
        };
        Ok(Decision::reply(&reply)
            .then(Effect::Enter(Room::Signaling(id)))
            .noting(Fact::RoomCreated))
    }
}

impl ClientEvent<RtcServices> for Leave {
    const NAME: EventName = EventName::Leave;
    const NAMESPACES: &'static [Namespace] = EVERYWHERE;
    const MAX_BYTES: usize = ROOM_BYTES;
    const REPLY: Reply = Reply::Ack;

    async fn handle(self, cx: &Context, rtc: &RtcServices) -> Result<Decision, Rejection> {
        leave(cx, rtc, self.room_id.get()?)
    }
}

impl ClientEvent<RtcServices> for Offer {
    const NAME: EventName = EventName::Offer;
    const NAMESPACES: &'static [Namespace] = EVERYWHERE;
    const QUOTA: QuotaClass = QuotaClass::Signal;
    const MAX_BYTES: usize = SDP_BYTES;
    const REPLY: Reply = Reply::Ack;

    async fn handle(self, cx: &Context, rtc: &RtcServices) -> Result<Decision, Rejection> {
        relay(cx, rtc, self.to, SignalKind::Offer, &self.offer)
    }
}

impl ClientEvent<RtcServices> for Answer {
    const NAME: EventName = EventName::Answer;
    const NAMESPACES: &'static [Namespace] = EVERYWHERE;
    const QUOTA: QuotaClass = QuotaClass::Signal;
    const MAX_BYTES: usize = SDP_BYTES;
    const REPLY: Reply = Reply::Ack;

    async fn handle(self, cx: &Context, rtc: &RtcServices) -> Result<Decision, Rejection> {
        relay(cx, rtc, self.to, SignalKind::Answer, &self.answer)
    }
}

impl ClientEvent<RtcServices> for IceCandidate {
    const NAME: EventName = EventName::IceCandidate;
    const NAMESPACES: &'static [Namespace] = EVERYWHERE;
    const QUOTA: QuotaClass = QuotaClass::Signal;
    const MAX_BYTES: usize = CANDIDATE_BYTES;
    const REPLY: Reply = Reply::Ack;

    async fn handle(self, cx: &Context, rtc: &RtcServices) -> Result<Decision, Rejection> {
        relay(cx, rtc, self.to, SignalKind::IceCandidate, &self.candidate)
    }
}

impl ClientEvent<RtcServices> for Envelope {
    const NAME: EventName = EventName::Message;
    const NAMESPACES: &'static [Namespace] = EVERYWHERE;
    const QUOTA: QuotaClass = QuotaClass::Signal;
    const MAX_BYTES: usize = SDP_BYTES;
    const REPLY: Reply = Reply::Ack;

    async fn handle(self, cx: &Context, rtc: &RtcServices) -> Result<Decision, Rejection> {
        let kind = match self.kind {
            EnvelopeKind::Join => return join(cx, rtc, self.room_id.get()?, true),
            EnvelopeKind::Leave => return leave(cx, rtc, self.room_id.get()?),
            EnvelopeKind::Offer => SignalKind::Offer,
            EnvelopeKind::Answer => SignalKind::Answer,
            EnvelopeKind::IceCandidate => SignalKind::IceCandidate,
        };
        let missing = |field: &str| {
            let text = Text::InvalidPayload(format!("missing field `{field}`"));
            Refusal::new(Code::ValidationError, text)
        };
        let to = self.to.as_deref().and_then(SocketId::parse);
        let to = to.ok_or_else(|| missing("to"))?;
        let data = self.data.ok_or_else(|| missing("data"))?;
        if kind == SignalKind::IceCandidate && data.get().len() > CANDIDATE_BYTES {
            return Err(Refusal::new(Code::PayloadTooLarge, Text::TooLarge).into());
        }
        relay(cx, rtc, to, kind, &data)
    }
}

impl RtcServices {
    /// Takes a disconnected peer out of all its rooms; the others there are told.
    pub fn departed(&self, peer: PeerId, now: Moment) -> Departed {
        let left = self.rooms.forget(peer, now);
        Departed {
            effects: left.into_iter().flat_map(|id| farewell(peer, id)).collect(),
            facts: Vec::new(),
        }
    }
}
