//! Socket.IO: the only room that knows sockets. It lets clients in, keeps their events in order, has them
//! observed and decided, and carries the decisions out.

mod canary;
mod dispatch;
mod expiry;
mod front;
mod inbox;
mod listener;
mod namespace;
mod outbox;
mod peer;
mod stream;
mod table;
mod tls;
mod transport;
mod wire;

pub use canary::Canary;
pub use front::Front;
pub use listener::{Caller, Listener};
pub use table::{Family, Table};
pub use tls::certified;

use crate::{
    event::{
        Code, Decision, DisconnectCause, Effect, Namespace, Payload, PushName, Room, Text,
        WireError,
    },
    guard::{Blocks, CountLimit, Keyed, Renewals, Verifier},
    settings::Settings,
    telemetry::{ConnectionGauge, Telemetry},
};
use namespace::Entrance;
use outbox::Outbox;
use serde::Serialize;
use socketioxide::{ParserConfig, SocketIo, service::SocketIoService};
use std::{
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

/// In so many steps clients are sent elsewhere.
const STEPS: u32 = 20;

/// Engine.IO and Socket.IO as a service, nothing behind it.
type Engine = SocketIoService<front::Nothing>;

/// What all connections share.
pub struct Gateway {
    settings: Settings,
    telemetry: Arc<Telemetry>,
    table: Table,
    verifier: Arc<Verifier>,
    renewals: Arc<dyn Renewals>,
    blocks: Arc<Blocks>,
    outbox: Outbox,
    expiry: expiry::Expiry,
    failed_handshakes: Keyed<IpAddr>,
    user_handshakes: Keyed<Box<str>>,
    user_sockets: Arc<CountLimit<Box<str>>>,
}

impl std::fmt::Debug for Gateway {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gateway").finish_non_exhaustive()
    }
}

impl Gateway {
    /// Sets the namespaces up. The front answers HTTP, the gateway is for jobs and probes.
    pub fn build(
        settings: &Settings,
        telemetry: Arc<Telemetry>,
        verifier: Arc<Verifier>,
        (renewals, blocks): (Arc<dyn Renewals>, Arc<Blocks>),
        table: Table,
    ) -> (Arc<Self>, Arc<Front>) {
        let limits = &settings.limits;
        let minute = Duration::from_mins(1);
        let gateway = Arc::new(Self {
            outbox: Outbox::new(telemetry.clone()),
            expiry: expiry::Expiry::default(),
            failed_handshakes: Keyed::new(limits.handshake_failures, minute),
            user_handshakes: Keyed::new(limits.handshakes_per_user, minute),
            user_sockets: CountLimit::new(limits.sockets_per_user),
            settings: settings.clone(),
            telemetry,
            table,
            verifier,
            renewals,
            blocks,
        });
        let bytes = limits.message_bytes;
        let (engine, io) = SocketIo::builder()
            .ping_interval(settings.server.ping_interval)
            .ping_timeout(settings.server.ping_timeout)
            .connect_timeout(settings.server.connect_timeout)
            .max_payload(bytes as u64)
            .ws_max_message_size(bytes)
            .ws_max_frame_size(bytes)
            // Messages of this server are small; a bigger buffer is memory for every idle socket.
            .ws_read_buffer_size(512)
            .max_buffer_size(limits.send_queue)
            .with_parser(
                ParserConfig::common()
                    .max_incoming_binaries(10)
                    .max_incoming_binary_buf_size(bytes),
            )
            .build_with_inner_svc(front::Nothing);
        for namespace in Namespace::ALL {
            io.ns(namespace.path(), Entrance::new(gateway.clone(), namespace));
        }
        let seen = Arc::downgrade(&gateway);
        gateway.telemetry.metrics.on_scrape(move |metrics| {
            if let Some(gateway) = seen.upgrade() {
                metrics.set_connections(gateway.outbox.connections().into_iter());
            }
        });
        let front = Front::new(settings, gateway.telemetry.clone(), engine);
        (gateway, front)
    }

    /// How many clients are connected, the canary not among them.
    pub fn connected(&self) -> usize {
        self.outbox.users()
    }

    /// Carries out what was decided without anybody asking. What needs somebody who asks is nothing here.
    pub fn carry_out(&self, decision: Decision) {
        for effect in decision.effects {
            match effect {
                Effect::Emit { to, event, payload } => {
                    let send = |link: &Arc<peer::Link>| self.outbox.send(link, event, &payload);
                    self.outbox.reach(&to, None, None, send);
                }
                Effect::Exit(room, peer) => self.outbox.exit(&room, peer),
                Effect::Expel(room, user) => self.outbox.expel(&room, &user),
                Effect::Close(room) => self.outbox.close(&room),
                Effect::Ask { .. } | Effect::Enter(_) | Effect::Identify(_) | Effect::ActAs(_) => {}
            }
        }
        self.telemetry.happened(&decision.facts);
    }

    /// Nobody is in the room any more; whoever is left there is not told.
    pub fn close_room(&self, room: &Room) {
        self.outbox.close(room);
    }

    /// Forgets limiter keys that no longer matter. Call it every few seconds.
    pub fn tidy(&self) {
        self.failed_handshakes.tidy();
        self.user_handshakes.tidy();
    }

    /// Warns and closes those whose token ends. Call it every second.
    pub fn expire_tokens(&self, unix_seconds: u64) {
        self.expiry
            .run(unix_seconds, &self.outbox, self.settings.server.language);
    }

    /// Closes the connections whose login was ended. Call it when some were.
    pub fn end_revoked(&self) {
        for link in self.outbox.all() {
            self.end_if_revoked(&link);
        }
    }

    fn end_if_revoked(&self, link: &peer::Link) {
        if self.verifier.revoked(&link.peer.identity()) {
            let language = self.settings.server.language;
            let error = WireError::new(Code::AuthError, &Text::BadToken, language);
            expiry::dismiss(link, &self.outbox, &error, DisconnectCause::TokenRevoked);
        }
    }

    /// Closes the connections from blocked addresses. Call it when one was blocked.
    pub fn end_blocked(&self) {
        for link in self.outbox.all() {
            self.end_if_blocked(&link);
        }
    }

    fn end_if_blocked(&self, link: &peer::Link) {
        let address = link.peer.transport.address();
        if self.blocks.blocked(&address, Instant::now()) {
            let language = self.settings.server.language;
            let error = WireError::new(Code::Forbidden, &Text::Blocked, language);
            expiry::dismiss(link, &self.outbox, &error, DisconnectCause::Blocked);
        }
    }

    /// Sends everybody elsewhere, spread over `period`: phones first, so that what they have scanned
    /// still reaches the monitors, then everybody else. Clients see a transport close and reconnect by
    /// themselves. Returns how many were still connected at the end.
    pub async fn drain(&self, period: Duration) -> usize {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Draining {
            retry_after_ms: u128,
        }
        let notice = Payload::of(&Draining {
            retry_after_ms: period.as_millis(),
        });
        let links = self.outbox.phones_first();
        for link in &links {
            self.outbox.send(link, PushName::ServerDraining, &notice);
        }
        let step = period / STEPS;
        let batch = links.len().div_ceil(STEPS as usize - 1).max(1);
        for links in links.chunks(batch) {
            tokio::time::sleep(step).await;
            for link in links {
                link.peer.close(DisconnectCause::Draining);
            }
        }
        // Those that came in meanwhile, and the last ones' farewell.
        let end = Instant::now() + step.max(Duration::from_secs(2));
        while self.outbox.len() > 0 && Instant::now() < end {
            for link in self.outbox.phones_first() {
                link.peer.close(DisconnectCause::Draining);
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        self.outbox.len()
    }
}

/// For the scrape: how everybody is connected.
fn gauge(peer: &peer::Peer) -> ConnectionGauge {
    ConnectionGauge {
        role: peer.role(),
        transport: peer.transport.kind(),
    }
}
