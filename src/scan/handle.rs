//! Devices: which one a client is, where it leaves, whether it is there.

use super::{
    pairing::Pairing,
    payload::{ClientLeft, Heartbeat, LeaveSession, LeftSession, RegisterClient, Registered},
};
use crate::{
    event::{
        About, ClientEvent, Code, Context, Decision, Device, Effect, EventName, Fact, Namespace,
        PeerId, PushName, Refusal, Rejection, Reply, Room, SessionId, Target, Text, Visits,
    },
    live::{Deed, Departure, Restores, SessionError, Sessions, Turns},
    settings::WithoutStore,
    store::Ledger,
};
use async_trait::async_trait;
use std::sync::Arc;

/// What the scan family needs to decide.
#[derive(Debug, Clone)]
pub struct ScanServices {
    /// Who is in which session.
    pub sessions: Arc<dyn Sessions>,
    /// Whose turn it is in which session.
    pub turns: Arc<Turns>,
    /// What was scanned.
    pub ledger: Ledger,
    /// Who is invited where.
    pub pairing: Arc<Pairing>,
    /// Where users were.
    pub restores: Arc<dyn Restores>,
    /// What becomes of scans while the database is away.
    pub without_store: WithoutStore,
    /// The token's device role is binding (`STRICT_DEVICE_ROLE`).
    pub strict_device_role: bool,
}

pub(super) const EVERYWHERE: &[Namespace] = &[Namespace::Root, Namespace::Scan];
/// Payload limit of the scan family (contract, section 9).
pub(super) const MAX_BYTES: usize = 4096;

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
    const PAIRED: bool = true;

    async fn handle(self, cx: &Context, scan: &ScanServices) -> Result<Decision, Rejection> {
        let binding = scan.strict_device_role || cx.identity.scope.is_some();
        if binding && cx.identity.device.is_some_and(|d| d != self.role) {
            return Err(Refusal::new(Code::Forbidden, Text::RoleIsBinding).into());
        }
        scan.sessions.register(cx.peer, self.role).await;
        let reply = Registered {
            success: true,
            socket_id: cx.peer.socket,
        };
        Ok(Decision::reply(&reply).then(Effect::ActAs(self.role.into())))
    }
}

impl ClientEvent<ScanServices> for LeaveSession {
    const NAME: EventName = EventName::LeaveSession;
    const NAMESPACES: &'static [Namespace] = EVERYWHERE;
    const MAX_BYTES: usize = MAX_BYTES;
    const REPLY: Reply = Reply::Ack;
    const PAIRED: bool = true;

    fn about(&self) -> About<'_> {
        About::session(&self.session_id)
    }

    async fn handle(self, cx: &Context, scan: &ScanServices) -> Result<Decision, Rejection> {
        let left = scan
            .sessions
            .leave(cx.peer, &self.session_id, cx.now)
            .await?;
        let deed = Deed::LeftSession(self.session_id.clone());
        scan.restores.did(&cx.identity, deed, cx.now).await;
        let reply = LeftSession {
            success: true,
            session_id: &self.session_id,
        };
        let mut decision = Decision::reply(&reply).noting(Fact::SessionLeft);
        decision.effects.extend(farewell(cx.peer, left));
        Ok(decision)
    }
}

impl ClientEvent<ScanServices> for Heartbeat {
    const NAME: EventName = EventName::Heartbeat;
    const LISTS: bool = true;
    const NAMESPACES: &'static [Namespace] = EVERYWHERE;
    const MAX_BYTES: usize = MAX_BYTES;
    const REPLY: Reply = Reply::Event(PushName::HeartbeatAck);
    const PAIRED: bool = true;

    async fn handle(self, cx: &Context, _: &ScanServices) -> Result<Decision, Rejection> {
        Ok(Decision::reply(&cx.now.unix_ms))
    }
}

impl ScanServices {
    /// Whether a peer is one of the session's monitors.
    pub(super) async fn monitor_of(
        &self,
        peer: PeerId,
        session: &SessionId,
    ) -> Result<(), Refusal> {
        match self.sessions.device(peer, session).await {
            Some(Device::Monitor) => Ok(()),
            Some(Device::Mobile) => Err(Refusal::new(Code::Forbidden, Text::MonitorsOnly)),
            None => Err(Refusal::new(Code::Forbidden, Text::NotInSession)),
        }
    }
}

#[async_trait]
impl Visits for ScanServices {
    /// Takes the peer out of all its sessions; the others there are told.
    async fn departed(&self, cx: &Context) -> Decision {
        let mut decision = Decision::default();
        for left in self.sessions.forget(cx.peer, cx.now).await {
            decision.effects.extend(farewell(cx.peer, left));
            decision.facts.push(Fact::SessionLeft);
        }
        decision
    }
}

/// Takes a peer out of a session's room and tells the others there.
pub(super) fn farewell(peer: PeerId, left: Departure) -> [Effect; 2] {
    let announcement = ClientLeft {
        socket_id: peer.socket,
        status: left.status,
    };
    let room = Room::Session(left.session);
    [
        Effect::Exit(room.clone(), peer),
        Effect::emit(Target::Room(room), PushName::ClientLeft, &announcement),
    ]
}
