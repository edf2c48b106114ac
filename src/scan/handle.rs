//! Decisions of the scan family.

use super::payload::{
    ClientJoined, ClientLeft, Heartbeat, JoinSession, JoinedSession, LeaveSession, LeftSession,
    Navigate, RegisterClient, Registered, ScanAck, ScanOrder,
};
use crate::{
    event::{
        About, ClientEvent, Code, Context, Decision, Departed, Effect, EventName, Fact, Moment,
        Namespace, Payload, PeerId, PushName, Refusal, Rejection, Reply, Room, Target, Text,
    },
    live::{Departure, SessionError, Sessions},
};
use smallvec::smallvec;
use std::sync::Arc;

/// What the scan family needs to decide.
#[derive(Debug, Clone)]
pub struct ScanServices {
    /// Who is in which session.
    pub sessions: Arc<Sessions>,
    /// The token's device role is binding (`STRICT_DEVICE_ROLE`).
    pub strict_device_role: bool,
    /// Told when a session begins; a new sequence of scans needs a name that no earlier one had.
    pub new_epoch: fn() -> u64,
}

const EVERYWHERE: &[Namespace] = &[Namespace::Root, Namespace::Scan];
/// Payload limit of the scan family (contract, section 9).
const MAX_BYTES: usize = 4096;

impl From<SessionError> for Refusal {
    fn from(error: SessionError) -> Self {
        match error {
            SessionError::NotRegistered => Self::new(Code::ValidationError, Text::RegisterFirst),
            SessionError::NotMember => Self::new(Code::Forbidden, Text::NotInSession),
            SessionError::TooManySessions => Self::new(Code::RateLimit, Text::TooManySessions),
            SessionError::NodeFull => Self::new(Code::Unavailable, Text::ServerBusy),
        }
    }
}

impl From<SessionError> for Rejection {
    fn from(error: SessionError) -> Self {
        Self::Refused(error.into())
    }
}

impl ClientEvent<ScanServices> for RegisterClient {
    const NAME: EventName = EventName::RegisterClient;
    const NAMESPACES: &'static [Namespace] = EVERYWHERE;
    const MAX_BYTES: usize = MAX_BYTES;
    const REPLY: Reply = Reply::Event(PushName::Registered);

    async fn handle(self, cx: &Context, scan: &ScanServices) -> Result<Decision, Rejection> {
        if scan.strict_device_role && cx.identity.device.is_some_and(|d| d != self.role) {
            return Err(Refusal::new(Code::Forbidden, Text::RoleIsBinding).into());
        }
        scan.sessions.register(cx.peer, self.role);
        let reply = Registered {
            success: true,
            socket_id: cx.peer.socket,
        };
        Ok(Decision::reply(&reply).then(Effect::ActAs(self.role.into())))
    }
}

impl ClientEvent<ScanServices> for JoinSession {
    const NAME: EventName = EventName::JoinSession;
    const NAMESPACES: &'static [Namespace] = EVERYWHERE;
    const MAX_BYTES: usize = MAX_BYTES;
    const REPLY: Reply = Reply::Event(PushName::JoinedSession);

    fn about(&self) -> About<'_> {
        About {
            session: Some(self.session_id.as_str()),
            ..About::default()
        }
    }

    async fn handle(self, cx: &Context, scan: &ScanServices) -> Result<Decision, Rejection> {
        let joined = scan.sessions.join(
            cx.peer,
            cx.identity.device,
            &self.session_id,
            (scan.new_epoch)(),
            cx.now,
        )?;
        let epoch = format!("{:016x}", joined.epoch);
        // Nothing is replayed yet: a monitor that missed scans is told so.
        let recovered = self.last_seq.is_none_or(|last| {
            last == joined.seq && self.epoch.as_ref().is_none_or(|e| *e == epoch)
        });
        let reply = JoinedSession {
            session_id: &self.session_id,
            status: joined.status,
            epoch,
            seq: joined.seq,
            recovered,
        };
        let decision = Decision::reply(&reply);
        if joined.again {
            return Ok(decision);
        }
        let announcement = ClientJoined {
            socket_id: cx.peer.socket,
            role: joined.device,
            status: joined.status,
        };
        let room = Room::Session(self.session_id);
        Ok(decision
            .then(Effect::ActAs(joined.device.into()))
            .then(Effect::Enter(room.clone()))
            .then(Effect::Emit {
                to: Target::Others(room),
                event: PushName::ClientJoined,
                payload: Payload::of(&announcement),
            })
            .noting(Fact::SessionJoined))
    }
}

impl ClientEvent<ScanServices> for LeaveSession {
    const NAME: EventName = EventName::LeaveSession;
    const NAMESPACES: &'static [Namespace] = EVERYWHERE;
    const MAX_BYTES: usize = MAX_BYTES;
    const REPLY: Reply = Reply::Ack;

    fn about(&self) -> About<'_> {
        About {
            session: Some(self.session_id.as_str()),
            ..About::default()
        }
    }

    async fn handle(self, cx: &Context, scan: &ScanServices) -> Result<Decision, Rejection> {
        let left = scan.sessions.leave(cx.peer, &self.session_id, cx.now)?;
        let reply = LeftSession {
            success: true,
            session_id: &self.session_id,
        };
        let mut decision = Decision::reply(&reply).noting(Fact::SessionLeft);
        decision.effects.extend(farewell(cx.peer, left));
        Ok(decision)
    }
}

impl ClientEvent<ScanServices> for ScanOrder {
    const NAME: EventName = EventName::ScanOrder;
    const NAMESPACES: &'static [Namespace] = EVERYWHERE;
    const MAX_BYTES: usize = MAX_BYTES;
    const REPLY: Reply = Reply::Ack;

    fn traceparent(&self) -> Option<&str> {
        self.traceparent.as_deref()
    }

    fn about(&self) -> About<'_> {
        About {
            order: Some(&self.order_no),
            session: Some(self.session_id.as_str()),
        }
    }

    async fn handle(self, cx: &Context, scan: &ScanServices) -> Result<Decision, Rejection> {
        let scanned = scan.sessions.scan(cx.peer, &self.session_id, cx.now)?;
        let navigate = Navigate {
            order_no: &self.order_no,
            ts: &self.ts,
            nonce: self.nonce.as_deref(),
            from: scanned.device,
            from_socket_id: cx.peer.socket,
            seq: scanned.seq,
            traceparent: cx.trace.outgoing().to_string(),
        };
        let payload = Payload::of(&navigate);
        let reply = if cx.acknowledged {
            Payload::of(&ScanAck {
                received: true,
                nonce: self.nonce.as_deref(),
                epoch: format!("{:016x}", scanned.epoch),
                seq: scanned.seq,
                duplicate: false,
                // The sequence lives in memory: an acknowledged scan does not survive this process.
                durable: false,
                monitors: scanned.monitors,
                flow: cx.trace.trace.flow_code(),
                trace_id: cx.trace.trace.to_string(),
            })
        } else {
            Payload::null()
        };
        Ok(Decision {
            reply,
            effects: smallvec![Effect::Emit {
                to: Target::Room(Room::Session(self.session_id)),
                event: PushName::Navigate,
                payload,
            }],
            facts: smallvec![Fact::ScanRelayed {
                seq: scanned.seq,
                monitors: scanned.monitors,
            }],
        })
    }
}

impl ClientEvent<ScanServices> for Heartbeat {
    const NAME: EventName = EventName::Heartbeat;
    const NAMESPACES: &'static [Namespace] = EVERYWHERE;
    const MAX_BYTES: usize = MAX_BYTES;
    const REPLY: Reply = Reply::Event(PushName::HeartbeatAck);

    async fn handle(self, cx: &Context, _: &ScanServices) -> Result<Decision, Rejection> {
        Ok(Decision::reply(&cx.now.unix_ms))
    }
}

impl ScanServices {
    /// Takes a disconnected peer out of all its sessions; the others there are told.
    pub fn departed(&self, peer: PeerId, now: Moment) -> Departed {
        let left = self.sessions.forget(peer, now);
        let facts = vec![Fact::SessionLeft; left.len()];
        let effects = left.into_iter().flat_map(|d| farewell(peer, d)).collect();
        Departed { effects, facts }
    }
}

fn farewell(peer: PeerId, left: Departure) -> [Effect; 2] {
    let announcement = ClientLeft {
        socket_id: peer.socket,
        status: left.status,
    };
    let room = Room::Session(left.session);
    [
        Effect::Exit(room.clone()),
        Effect::Emit {
            to: Target::Others(room),
            event: PushName::ClientLeft,
            payload: Payload::of(&announcement),
        },
    ]
}
