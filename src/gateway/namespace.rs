//! The handshake of a namespace: who are you, may you come in. Everything is ready before the client is
//! told that it is connected, so nothing it sends at once can be lost.

use super::{
    Gateway,
    dispatch::failed,
    peer::{Item, Link, Peer},
    transport::TransportHandle,
};
use crate::{
    clock,
    event::{
        Code, DisconnectCause, EventName, Fact, Identity, Namespace, Payload, PeerId, PushName,
        Refusal, Rejection, RestoreResult, Role, SocketId, Text,
    },
    guard::{Profile, Renewal, SocketQuota, TokenFault},
    telemetry::{Arrival, Ending, HandshakeResult, LimitLayer, Stage, Subject},
};
use serde::{Deserialize, Deserializer, de::IgnoredAny};
use smallvec::{SmallVec, smallvec};
use socketioxide::{
    adapter::LocalAdapter,
    extract::SocketRef,
    handler::{ConnectHandler, MessageHandler},
    socket::{DisconnectReason, Socket},
};
use socketioxide_core::Value;
use std::{
    fmt::Display,
    net::IpAddr,
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant},
};

type Admission<'a> = Pin<Box<dyn Future<Output = Result<(), Box<dyn Display + Send>>> + Send + 'a>>;

/// The door of one namespace.
#[derive(Clone)]
pub(super) struct Entrance {
    gateway: Arc<Gateway>,
    namespace: Namespace,
}

/// A client that was told to go closes the connection by itself; one that does not is cut off after this.
/// Over polling, it comes for what it is told.
const FAREWELL: Duration = Duration::from_secs(1);

/// Marks our handlers for the library's traits.
pub(super) struct Ours;

/// What the handshake may bring along (contract, sections 2 and 6). Anything else in it is ignored.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Auth {
    #[serde(deserialize_with = "text")]
    token: Option<String>,
    #[serde(deserialize_with = "text")]
    access_token: Option<String>,
    #[serde(deserialize_with = "text")]
    refresh_token: Option<String>,
    #[serde(deserialize_with = "text")]
    user_agent: Option<String>,
    #[serde(deserialize_with = "text")]
    username: Option<String>,
}

/// What is no text, or an empty one, is as if it were not there.
fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Lenient {
        Text(String),
        Other(IgnoredAny),
    }
    Ok(match Lenient::deserialize(deserializer)? {
        Lenient::Text(text) => Some(text).filter(|text| !text.is_empty()),
        Lenient::Other(_) => None,
    })
}

impl Auth {
    /// What cannot be read is as if it were not there.
    fn read(given: Option<&Value>) -> Self {
        let json = given.and_then(Value::as_str);
        json.and_then(|json| serde_json::from_str(json).ok())
            .unwrap_or_default()
    }

    fn token<'a>(&'a self, transport: &'a TransportHandle) -> Option<&'a str> {
        let given = self.token.as_deref().or(self.access_token.as_deref());
        given.or(transport.bearer().filter(|token| !token.is_empty()))
    }

    /// What a chat client brings along, if it is one.
    fn profile(&self, namespace: Namespace) -> Option<Profile<'_>> {
        let profile = Profile {
            access_token: self.access_token.as_deref(),
            refresh_token: self.refresh_token.as_deref(),
            user_agent: self.user_agent.as_deref(),
            username: self.username.as_deref(),
        };
        let more = [profile.refresh_token, profile.user_agent, profile.username];
        let chats = profile.access_token.is_some() && more.iter().any(Option::is_some);
        (chats || namespace == Namespace::Chat).then_some(profile)
    }
}

impl Entrance {
    pub(super) fn new(gateway: Arc<Gateway>, namespace: Namespace) -> Self {
        Self { gateway, namespace }
    }

    async fn admit(&self, socket: &Arc<Socket>, auth: Option<&Value>) -> Result<(), Rejection> {
        let began = Instant::now();
        let gateway = &self.gateway;
        let transport = socket.req_parts().extensions.get::<Arc<TransportHandle>>();
        let identity = async {
            let transport = transport.ok_or_else(|| broken("no transport handle"))?;
            let id = SocketId::parse(socket.id.as_str())
                .ok_or_else(|| broken("a socket id of an unknown form"))?;
            let (identity, renewal) = self.check(transport, id, auth).await?;
            Ok((transport, id, renewal, identity))
        };
        let identity = identity.await;
        let subject = Subject {
            role: Role::Unknown,
            transport: transport.map_or(crate::telemetry::Transport::Polling, |t| t.kind()),
            connection: None,
            canary: identity.as_ref().is_ok_and(|(.., who)| who.canary),
        };
        let seen = gateway.telemetry.observe(&Arrival {
            arrived: began,
            started: began,
            ..Arrival::now(EventName::Connect, subject)
        });
        let connection = seen
            .trace
            .sampled
            .then_some((seen.trace.trace, seen.trace.process));
        let admitted = identity.and_then(|(transport, id, renewal, identity)| {
            let user = gateway
                .user_sockets
                .take(identity.account())
                .ok_or_else(limited)?;
            transport.authenticated();
            Ok(Peer::new(
                PeerId {
                    namespace: self.namespace,
                    socket: id,
                },
                (identity, renewal),
                transport.clone(),
                (
                    SocketQuota::new(gateway.settings.limits.events),
                    SocketQuota::new(gateway.settings.limits.signals),
                ),
                connection,
                user,
            ))
        });
        let (result, rejection) = match admitted {
            Ok(peer) => {
                self.listen(socket, Arc::new(peer));
                (HandshakeResult::Ok, None)
            }
            Err((result, rejection)) => {
                if result == HandshakeResult::Limited {
                    gateway
                        .telemetry
                        .metrics
                        .rate_limited(LimitLayer::Handshake);
                }
                (result, Some(rejection))
            }
        };
        if !subject.canary {
            gateway.telemetry.metrics.handshake(result);
        }
        seen.finish(&Ending {
            rejection: rejection.as_ref(),
            facts: &[],
        });
        rejection.map_or(Ok(()), Err)
    }

    /// Gives the verifier the chance to learn a new key, which may wait; without other issuers, at no cost.
    async fn learn(&self, socket: &Arc<Socket>, auth: Option<&Value>) {
        if self.gateway.settings.auth.jwks.is_none() {
            return;
        }
        let Some(transport) = socket.req_parts().extensions.get::<Arc<TransportHandle>>() else {
            return;
        };
        if let Some(token) = Auth::read(auth).token(transport) {
            self.gateway.verifier.learn(token).await;
        }
    }

    /// Who it is, with a new token if it needs one; or what is told to it and counted.
    async fn check(
        &self,
        transport: &TransportHandle,
        id: SocketId,
        auth: Option<&Value>,
    ) -> Result<(Identity, Option<Renewal>), Turned> {
        let gateway = &self.gateway;
        let address = transport.address();
        if gateway.blocks.blocked(&address, Instant::now()) {
            let banned = Refusal::new(Code::Forbidden, Text::Blocked);
            return Err((HandshakeResult::Blocked, banned.into()));
        }
        let auth = Auth::read(auth);
        let verified = match auth.profile(self.namespace) {
            Some(profile) => self.check_profile(profile, transport).await,
            None => match auth.token(transport) {
                None if gateway.settings.rtc.guests => Ok((guest(id, address), None)),
                None => Err((TokenFault::Missing, None)),
                Some(token) => gateway
                    .verifier
                    .verify(token)
                    .map(|who| (who, None))
                    .map_err(|fault| (fault, None)),
            },
        };
        let (mut identity, renewal) = verified.map_err(|(fault, told)| {
            // Only failures count: whoever shares an address with a broken client still gets in.
            if !gateway.failed_handshakes.check(&address).pass {
                return limited();
            }
            let (result, text) = match fault {
                TokenFault::Missing => (HandshakeResult::NoToken, Text::NoToken),
                TokenFault::Bad | TokenFault::Expired => {
                    (HandshakeResult::BadToken, Text::BadToken)
                }
            };
            let told = told.unwrap_or_else(|| Refusal::new(Code::AuthError, text).into());
            (result, told)
        })?;
        if !identity.canary && !gateway.user_handshakes.check(&identity.account()).pass {
            return Err(limited());
        }
        // Let in within the leeway, it may stay for the leeway.
        let now = clock::unix_seconds();
        if let Some(at) = &mut identity.expires_at
            && *at <= now
        {
            *at = at.saturating_add(gateway.settings.auth.leeway.as_secs());
        }
        Ok((identity, renewal))
    }

    /// Who a chat client is; what counts against its address is counted.
    async fn check_profile(
        &self,
        profile: Profile<'_>,
        transport: &TransportHandle,
    ) -> Result<(Identity, Option<Renewal>), (TokenFault, Option<Rejection>)> {
        let gateway = &self.gateway;
        let application = gateway.settings.chat.application.as_deref();
        let checked = profile
            .check(
                &gateway.verifier,
                gateway.renewals.as_ref(),
                application,
                clock::now(),
            )
            .await;
        checked.map_err(|fault| {
            if fault.strike {
                gateway.telemetry.metrics.strikes.inc();
                if transport.blockable() {
                    gateway.blocks.strike(transport.address(), clock::now());
                }
            }
            (fault.fault, Some(fault.told))
        })
    }

    /// Hears the socket from now on. Events wait until [`ConnectHandler::call`] opens the inbox.
    fn listen(&self, socket: &Arc<Socket>, peer: Arc<Peer>) {
        socket.extensions.insert(peer.clone());
        socket.on_fallback(Events {
            gateway: self.gateway.clone(),
            peer: peer.clone(),
        });
        let gateway = self.gateway.clone();
        socket.on_disconnect(move |socket: SocketRef, reason: DisconnectReason| {
            let (gateway, peer) = (gateway.clone(), peer.clone());
            async move {
                drop(socket);
                gateway.accept(&peer, None, Item::Gone(reason));
            }
        });
    }
}

impl ConnectHandler<LocalAdapter, Ours> for Entrance {
    /// The client has been told that it is connected.
    fn call(&self, socket: Arc<Socket>, _: Option<Value>) {
        let Some(peer) = socket.extensions.get::<Arc<Peer>>() else {
            return;
        };
        let gateway = &self.gateway;
        gateway.outbox.add(Arc::new(Link {
            socket: socket.clone(),
            peer: peer.clone(),
        }));
        gateway.expiry.watch(&peer);
        gateway.telemetry.opened(peer.id, peer.subject());
        if let Some(link) = gateway.outbox.get(peer.id) {
            // Before anything else: it is what the client has to come back with.
            if let Some(renewal) = peer.take_renewal() {
                let renewal = Payload::of(&renewal);
                gateway.outbox.send(&link, PushName::TokenRefresh, &renewal);
            }
            // Its login may have been ended between the check and now, or its address blocked.
            gateway.end_if_revoked(&link);
            gateway.end_if_blocked(&link);
        }
        peer.inbox.open();
        gateway.work(peer, Some(socket), Item::Arrived);
    }

    /// Before it is told: let it in, or say why not.
    fn call_middleware<'a>(
        &'a self,
        socket: Arc<Socket>,
        auth: &'a Option<Value>,
    ) -> Admission<'a> {
        let language = self.gateway.settings.server.language;
        Box::pin(async move {
            self.learn(&socket, auth.as_ref()).await;
            self.admit(&socket, auth.as_ref())
                .await
                .map_err(|rejection| {
                    Box::new(rejection.told().1.render(language)) as Box<dyn Display + Send>
                })
        })
    }
}

/// Everything that a socket says, in arrival order.
struct Events {
    gateway: Arc<Gateway>,
    peer: Arc<Peer>,
}

impl MessageHandler<LocalAdapter, Ours> for Events {
    fn call(&self, socket: Arc<Socket>, value: Value, ack: Option<i64>) {
        let item = Item::Event {
            value,
            ack,
            arrived: Instant::now(),
            asked: false,
        };
        self.gateway.accept(&self.peer, Some(socket), item);
    }
}

impl Gateway {
    /// The connection has begun, and nothing that was sent on it has been handled.
    pub(super) async fn welcome(self: &Arc<Self>, link: &Arc<Link>) {
        let peer = &link.peer;
        let restoring = Arrival::now(EventName::Restore, peer.subject());
        let seen = self.telemetry.observe(&restoring);
        let cx = peer.context(restoring.arrived, seen.trace, false);
        let turn = async {
            let decide = async {
                self.inject(EventName::Restore, "").await?;
                self.table.arrived(&cx).await
            };
            let decision = seen.decide(decide).await?;
            if !decision.effects.is_empty() {
                seen.stage(Stage::Deliver, || self.deliver(link, decision.effects));
            }
            Ok(decision.facts)
        };
        let restored = seen.contain(turn).await;
        let restored = restored.unwrap_or_else(|panic| Err(Rejection::from(panic)));
        let (facts, rejection) = match restored {
            Ok(facts) => (facts, None),
            Err(rejection) => {
                let failed = Fact::Restored(RestoreResult::Error);
                (smallvec![failed], Some(rejection))
            }
        };
        seen.finish(&Ending {
            rejection: rejection.as_ref(),
            facts: &facts,
        });
    }

    /// The connection is over, and everything it sent has been handled.
    pub(super) async fn farewell(self: &Arc<Self>, peer: &Arc<Peer>, reason: DisconnectReason) {
        let began = Instant::now();
        let cause = peer.cause(reason);
        let lasted = peer.since.elapsed();
        let ended = Arrival::now(EventName::Disconnect, peer.subject());
        let seen = self.telemetry.observe(&ended);
        self.outbox.remove(peer.id);
        self.expiry.forget(peer);
        let cx = peer.context(began, seen.trace, false);
        let turn = async {
            let departed = self.table.departed(&cx).await;
            for effect in departed.effects {
                self.apply(peer, None, effect);
            }
            departed.facts
        };
        let (facts, rejection) = match seen.contain(turn).await {
            Ok(facts) => (facts, None),
            Err(panic) => (SmallVec::new(), Some(panic.into())),
        };
        self.telemetry
            .closed(peer.id, peer.subject(), cause, lasted);
        seen.finish(&Ending {
            rejection: rejection.as_ref(),
            facts: &facts,
        });
        if matches!(
            cause,
            DisconnectCause::TokenExpired
                | DisconnectCause::TokenRevoked
                | DisconnectCause::Blocked
        ) {
            peer.transport.close(FAREWELL);
        }
    }
}

/// Somebody without a token. The name is made up, the address is what limits count by.
fn guest(id: SocketId, address: IpAddr) -> Identity {
    Identity {
        user: format!("guest-{}", id.as_str()).into(),
        integer_user: false,
        username: None,
        device: None,
        expires_at: None,
        admin: false,
        guest: Some(address.to_string().into()),
        login: None,
        scope: None,
        canary: false,
        chat: None,
    }
}

/// Turned away: how it is counted, and why.
type Turned = (HandshakeResult, Rejection);

fn limited() -> Turned {
    (
        HandshakeResult::Limited,
        Refusal::new(Code::RateLimit, Text::TooManyAttempts).into(),
    )
}

fn broken(detail: &str) -> Turned {
    (HandshakeResult::Error, failed(detail))
}
