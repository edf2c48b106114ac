//! One connection to one namespace, as the gateway keeps it.

use super::{inbox::Inbox, transport::TransportHandle};
use crate::{
    clock,
    event::{Context, DisconnectCause, Identity, PeerId, Role, SpanId, TraceContext, TraceId},
    guard::{Permit, Renewal, SocketQuota},
    telemetry::Subject,
};
use parking_lot::Mutex;
use socketioxide::socket::{DisconnectReason, Socket};
use socketioxide_core::Value;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

/// A connection that the server ends stays open this long, so that what was queued is written: the engine
/// stops writing when it sees the end of what the client sends.
const LAST_WORDS: Duration = Duration::from_millis(50);

/// What waits in a socket's inbox.
#[derive(Debug)]
pub(super) enum Item {
    /// The client has been told that it is connected. Before everything that it sent.
    Arrived,
    /// Something the client sent.
    Event {
        value: Value,
        ack: Option<i64>,
        arrived: Instant,
        /// We asked for it: it counts against no limit.
        asked: bool,
    },
    /// The connection is over. Behind everything that was sent on it.
    Gone(DisconnectReason),
}

/// One connection. It does not hold the socket: the socket's handlers hold it.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) id: PeerId,
    pub(super) transport: Arc<TransportHandle>,
    pub(super) inbox: Inbox<Item>,
    pub(super) events: SocketQuota,
    pub(super) signals: SocketQuota,
    pub(super) since: Instant,
    pub(super) connection: Option<(TraceId, SpanId)>,
    /// Our own, which counts as nobody.
    pub(super) canary: bool,
    state: Mutex<State>,
    asks: Asks,
    /// One of the sockets that the user may have.
    _user: Permit<Box<str>>,
}

#[derive(Debug)]
struct State {
    identity: Arc<Identity>,
    /// A new access token, which the client has to be told before anything else.
    renewal: Option<Renewal>,
    role: Role,
    closed_by_us: Option<DisconnectCause>,
    /// The token end that was announced.
    warned_for: Option<u64>,
    /// When its token is looked at, in seconds since 1970.
    due: Option<u64>,
}

impl Peer {
    pub(super) fn new(
        id: PeerId,
        (identity, renewal): (Identity, Option<Renewal>),
        transport: Arc<TransportHandle>,
        (events, signals): (SocketQuota, SocketQuota),
        connection: Option<(TraceId, SpanId)>,
        user: Permit<Box<str>>,
    ) -> Self {
        Self {
            id,
            transport,
            inbox: Inbox::new(),
            events,
            signals,
            since: Instant::now(),
            connection,
            canary: identity.canary,
            state: Mutex::new(State {
                role: identity.device.map_or(Role::Unknown, Role::from),
                identity: Arc::new(identity),
                renewal,
                closed_by_us: None,
                warned_for: None,
                due: None,
            }),
            asks: Asks::default(),
            _user: user,
        }
    }

    pub(super) fn asks(&self) -> &Asks {
        &self.asks
    }

    pub(super) fn identity(&self) -> Arc<Identity> {
        self.state.lock().identity.clone()
    }

    pub(super) fn identify(&self, identity: Arc<Identity>) {
        self.state.lock().identity = identity;
    }

    /// The access token that it has to be told.
    pub(super) fn take_renewal(&self) -> Option<Renewal> {
        self.state.lock().renewal.take()
    }

    pub(super) fn role(&self) -> Role {
        self.state.lock().role
    }

    /// What is known to be a device stays one, also in a signaling room.
    pub(super) fn act_as(&self, role: Role) {
        let mut state = self.state.lock();
        let weak = matches!(role, Role::Peer | Role::Chat);
        if !weak || state.role == Role::Unknown {
            state.role = role;
        }
    }

    /// Whether the end of the token at `expires_at` has yet to be announced. True once.
    pub(super) fn warn_once(&self, expires_at: u64) -> bool {
        self.state.lock().warned_for.replace(expires_at) != Some(expires_at)
    }

    /// Notes when the token is looked at next; tells when it would have been.
    pub(super) fn set_due(&self, due: Option<u64>) -> Option<u64> {
        std::mem::replace(&mut self.state.lock().due, due)
    }

    /// What a family is told of something that this peer does, or that happens to it.
    pub(super) fn context(&self, at: Instant, trace: TraceContext, acknowledged: bool) -> Context {
        Context {
            peer: self.id,
            identity: self.identity(),
            address: self.transport.address(),
            blockable: self.transport.blockable(),
            now: clock::moment(at),
            trace,
            acknowledged,
        }
    }

    pub(super) fn subject(&self) -> Subject {
        Subject {
            role: self.role(),
            transport: self.transport.kind(),
            connection: self.connection,
            canary: self.canary,
        }
    }

    /// Notes why we end this connection; the first reason stands.
    pub(super) fn blame(&self, cause: DisconnectCause) {
        self.state.lock().closed_by_us.get_or_insert(cause);
    }

    /// Ends the connection below Socket.IO, which clients answer by reconnecting.
    pub(super) fn close(&self, cause: DisconnectCause) {
        self.blame(cause);
        match cause {
            // What is queued for a client that does not read would keep the connection open.
            DisconnectCause::SendQueueFull | DisconnectCause::Flood => self.transport.abort(),
            _ => self.transport.close(LAST_WORDS),
        }
    }

    /// Why the connection ended: our reason if we had one, else the library's.
    pub(super) fn cause(&self, reason: DisconnectReason) -> DisconnectCause {
        if let Some(cause) = self.state.lock().closed_by_us {
            return cause;
        }
        match reason {
            DisconnectReason::TransportClose => DisconnectCause::TransportClose,
            DisconnectReason::TransportError => DisconnectCause::TransportError,
            DisconnectReason::HeartbeatTimeout => DisconnectCause::PingTimeout,
            DisconnectReason::PacketParsingError => DisconnectCause::ParseError,
            DisconnectReason::MultipleHttpPollingError => DisconnectCause::ConcurrentPolling,
            DisconnectReason::ClientNSDisconnect => DisconnectCause::ClientLeft,
            DisconnectReason::ServerNSDisconnect | DisconnectReason::ClosingServer => {
                DisconnectCause::ServerClosed
            }
        }
    }
}

/// Acknowledgements that we asked a client for. Clients of the originals never acknowledge, and whoever does
/// not is soon asked no more: each question waits in memory for its answer.
#[derive(Debug, Default)]
pub(super) struct Asks {
    open: AtomicU32,
    answers: AtomicBool,
}

impl Asks {
    /// A client that never answered is asked so often in all.
    const FIRST: u32 = 64;
    /// And one that answers as often at once.
    const MOST: u32 = 1024;

    /// Whether to ask once more.
    pub(super) fn ask(&self) -> bool {
        let most = if self.answers.load(Ordering::Relaxed) {
            Self::MOST
        } else {
            Self::FIRST
        };
        let more = |open| (open < most).then_some(open + 1);
        self.open
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, more)
            .is_ok()
    }

    /// It has answered.
    pub(super) fn answered(&self) {
        self.answers.store(true, Ordering::Relaxed);
        self.open.fetch_sub(1, Ordering::Relaxed);
    }

    /// It has not, in time. Only of one that does answer, that says nothing about the next time.
    pub(super) fn unanswered(&self) {
        if self.answers.load(Ordering::Relaxed) {
            self.open.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// A peer with its socket.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) socket: Arc<Socket>,
    pub(super) peer: Arc<Peer>,
}
