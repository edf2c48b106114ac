//! Decisions of the rtc family.

use super::payload::{
    Answer, AnswerFrom, CandidateFrom, CheckedRoom, CreateRoom, Delivered, Envelope, EnvelopeKind,
    IceCandidate, InRoom, Join, JoinRoom, Leave, Offer, OfferFrom, PeerJoined, PeerLeft,
    UserJoined,
};
use crate::{
    event::{
        ClientEvent, Code, Context, Decision, Effect, EventName, Fact, Namespace, Payload, PeerId,
        PushName, QuotaClass, Refusal, Rejection, Reply, Role, RoomId, SignalKind, SocketId,
        Target, Text, Visits,
    },
    guard::Keyed,
    live::{Deed, Member, Restores, RoomError, Rooms},
    store::Records,
};
use async_trait::async_trait;
use serde_json::value::RawValue;
use std::sync::Arc;

/// What the rtc family needs to decide.
#[derive(Debug, Clone)]
pub struct RtcServices {
    /// Who is in which room.
    pub rooms: Arc<dyn Rooms>,
    /// How often a user may create rooms.
    pub creations: Arc<Keyed<Box<str>>>,
    /// What is written down about rooms.
    pub records: Records,
    /// Where users were.
    pub restores: Arc<dyn Restores>,
}

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
            RoomError::NotLoaded => Self::new(Code::Unavailable, Text::StoreAway),
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
    Member::new(cx.peer, cx.identity.user_id(), username)
}

async fn join(
    cx: &Context,
    rtc: &RtcServices,
    id: &RoomId,
    create: bool,
) -> Result<Decision, Rejection> {
    let me = myself(cx);
    let entered = rtc.rooms.join(me.clone(), id, create, cx.now).await?;
    rtc.restores
        .did(&cx.identity, Deed::EnteredRoom(id.clone()), cx.now)
        .await;
    let ids: Vec<SocketId> = entered.existing.iter().map(|m| m.socket_id).collect();
    let mut decision = Decision::reply(&InRoom {
        success: true,
        room_id: id,
        existing_users: Some(&ids),
    });
    if create {
        decision = decision.then(Effect::emit(
            Target::Caller,
            PushName::ExistingPeers,
            &entered.existing,
        ));
    }
    if entered.created {
        decision = decision.noting(Fact::RoomCreated);
    }
    if entered.again {
        return Ok(decision);
    }
    decision = decision.then(Effect::ActAs(Role::Peer));
    // Those who were there when it came in, and nobody else: whoever comes later is told of it then.
    let others: Box<[PeerId]> = entered.existing.iter().map(Member::peer).collect();
    let joined = PeerJoined {
        peer_id: cx.peer.socket,
        user_id: me.user_id.clone(),
    };
    decision = decision.then(Effect::emit(
        Target::Peers(others.clone()),
        PushName::PeerJoined,
        &joined,
    ));
    if !create {
        let joined = UserJoined {
            user_id: me.user_id,
            username: me.username,
        };
        decision = decision.then(Effect::emit(
            Target::Peers(others),
            PushName::UserJoined,
            &joined,
        ));
    }
    Ok(decision)
}

async fn leave(cx: &Context, rtc: &RtcServices, id: &RoomId) -> Result<Decision, Rejection> {
    let others = rtc.rooms.leave(cx.peer, id, cx.now).await?;
    rtc.restores
        .did(&cx.identity, Deed::LeftRoom(id.clone()), cx.now)
        .await;
    let reply = InRoom {
        success: true,
        room_id: id,
        existing_users: None,
    };
    Ok(Decision::reply(&reply).then(farewell(cx.peer, others)))
}

fn farewell(peer: PeerId, others: Box<[PeerId]>) -> Effect {
    let left = PeerLeft {
        peer_id: peer.socket,
    };
    Effect::emit(Target::Peers(others), PushName::PeerLeft, &left)
}

/// Relays one signal. `from` is always the sender's id; the signal itself is not looked into.
async fn relay(
    cx: &Context,
    rtc: &RtcServices,
    to: SocketId,
    kind: SignalKind,
    signal: &RawValue,
) -> Result<Decision, Rejection> {
    let answer = kind == SignalKind::Answer;
    let relayed = rtc.rooms.relay(cx.peer, to, answer, cx.now).await?;
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

/// What all events of this family have in common, and what not.
macro_rules! row {
    ($name:ident, $quota:ident, $bytes:expr) => {
        const NAME: EventName = EventName::$name;
        const NAMESPACES: &'static [Namespace] = &[Namespace::Root, Namespace::Rtc];
        const QUOTA: QuotaClass = QuotaClass::$quota;
        const MAX_BYTES: usize = $bytes;
        const REPLY: Reply = Reply::Ack;
        const GUESTS: bool = true;
    };
}

impl ClientEvent<RtcServices> for Join {
    row!(Join, Event, ROOM_BYTES);

    async fn handle(self, cx: &Context, rtc: &RtcServices) -> Result<Decision, Rejection> {
        join(cx, rtc, &self.room_id.get()?, true).await
    }
}

impl ClientEvent<RtcServices> for JoinRoom {
    row!(JoinRoom, Event, ROOM_BYTES);

    async fn handle(self, cx: &Context, rtc: &RtcServices) -> Result<Decision, Rejection> {
        join(cx, rtc, &self.room_id.get()?, false).await
    }
}

impl ClientEvent<RtcServices> for CreateRoom {
    row!(CreateRoom, Event, ROOM_BYTES);

    async fn handle(self, cx: &Context, rtc: &RtcServices) -> Result<Decision, Rejection> {
        let id = self.room_id.get()?;
        let name = self
            .name
            .map_err(|text| Refusal::new(Code::ValidationError, text))?;
        if !rtc.creations.check(&cx.identity.account()).pass {
            return Err(Refusal::new(Code::RateLimit, Text::TooManyCreations).into());
        }
        rtc.rooms
            .create(myself(cx), &id, &name, self.max_users, cx.now)
            .await?;
        rtc.restores
            .did(&cx.identity, Deed::EnteredRoom(id.clone()), cx.now)
            .await;
        // What is acknowledged survives a restart, unless the store is away.
        rtc.records.written().await;
        let reply = InRoom {
            success: true,
            room_id: &id,
            existing_users: None,
        };
        Ok(Decision::reply(&reply)
            .then(Effect::ActAs(Role::Peer))
            .noting(Fact::RoomCreated))
    }
}

impl ClientEvent<RtcServices> for Leave {
    row!(Leave, Event, ROOM_BYTES);

    async fn handle(self, cx: &Context, rtc: &RtcServices) -> Result<Decision, Rejection> {
        leave(cx, rtc, &self.room_id.get()?).await
    }
}

impl ClientEvent<RtcServices> for Offer {
    row!(Offer, Signal, SDP_BYTES);

    async fn handle(self, cx: &Context, rtc: &RtcServices) -> Result<Decision, Rejection> {
        relay(cx, rtc, self.to, SignalKind::Offer, &self.offer).await
    }
}

impl ClientEvent<RtcServices> for Answer {
    row!(Answer, Signal, SDP_BYTES);

    async fn handle(self, cx: &Context, rtc: &RtcServices) -> Result<Decision, Rejection> {
        relay(cx, rtc, self.to, SignalKind::Answer, &self.answer).await
    }
}

impl ClientEvent<RtcServices> for IceCandidate {
    row!(IceCandidate, Signal, CANDIDATE_BYTES);

    async fn handle(self, cx: &Context, rtc: &RtcServices) -> Result<Decision, Rejection> {
        relay(cx, rtc, self.to, SignalKind::IceCandidate, &self.candidate).await
    }
}

impl ClientEvent<RtcServices> for Envelope {
    row!(Message, Signal, SDP_BYTES);

    async fn handle(self, cx: &Context, rtc: &RtcServices) -> Result<Decision, Rejection> {
        let kind = match self.kind {
            EnvelopeKind::Join => return join(cx, rtc, &self.room_id.get()?, true).await,
            EnvelopeKind::Leave => return leave(cx, rtc, &self.room_id.get()?).await,
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
        relay(cx, rtc, to, kind, &data).await
    }
}

#[async_trait]
impl Visits for RtcServices {
    /// Takes the peer out of all its rooms; the others there are told.
    async fn departed(&self, cx: &Context) -> Decision {
        let left = self.rooms.forget(cx.peer, cx.now).await.into_iter();
        let farewells = left.map(|(_, others)| farewell(cx.peer, others));
        Decision {
            effects: farewells.collect(),
            ..Decision::default()
        }
    }
}
