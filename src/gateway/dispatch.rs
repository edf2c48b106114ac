//! An event's way: its turn, observe( guard ▶ decide ▶ effects ▶ answer ).

use super::{
    Gateway,
    inbox::Offer,
    peer::{Item, Link, Peer},
    table::{Parsed, Row},
};
use crate::{
    event::{
        About, Code, Component, Context, Decision, DisconnectCause, Effect, EventName, Fact,
        Failure, Payload, PushName, QuotaClass, Refusal, Rejection, Reply, Role, Sequel, Target,
        Text, WireError,
    },
    guard::Verdict,
    settings::{EventFault, Fault},
    telemetry::{Arrival, Ending, LimitLayer, Stage},
};
use serde::{
    Deserialize, Deserializer,
    de::{self, IgnoredAny},
};
use serde_json::value::RawValue;
use smallvec::SmallVec;
use socketioxide::{AckError, extract::AckSender, handler::FromMessageParts, socket::Socket};
use socketioxide_core::Value;
use std::{
    borrow::Cow,
    fmt,
    sync::Arc,
    task::{self, Waker},
    time::{Duration, Instant},
};

/// A client that takes nothing of what follows for so long is as good as gone.
const SLOWEST: Duration = Duration::from_secs(10);

/// The arguments of an event: its name and the first one; later ones are not looked at.
struct Arguments<'a> {
    name: Cow<'a, str>,
    first: Option<&'a RawValue>,
}

impl<'de> Deserialize<'de> for Arguments<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Arguments<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an event name and its arguments")
            }

            fn visit_seq<A: de::SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let name = seq
                    .next_element::<Name<'de>>()?
                    .ok_or_else(|| de::Error::custom("no event name"))?;
                let first = seq.next_element::<&'de RawValue>()?;
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Arguments {
                    name: name.0,
                    first,
                })
            }
        }
        deserializer.deserialize_seq(Visitor)
    }
}

impl Arguments<'_> {
    /// The JSON of the first argument; empty without one.
    fn payload(&self) -> &str {
        self.first.map_or("", RawValue::get)
    }
}

impl Gateway {
    /// Something arrived at a socket: handle it now or when its turn comes. Without a socket there is
    /// nobody left to answer.
    pub(super) fn accept(
        self: &Arc<Self>,
        peer: &Arc<Peer>,
        socket: Option<Arc<Socket>>,
        item: Item,
    ) {
        let last = matches!(item, Item::Gone(_));
        match peer.inbox.offer(item, self.settings.limits.inbox, last) {
            Offer::Run(item) => self.work(peer.clone(), socket, item),
            Offer::Full(Item::Event {
                value,
                ack,
                arrived,
                ..
            }) => {
                self.telemetry.metrics.inbox_overflow.inc();
                self.overflow(peer, socket.as_ref(), &value, ack, arrived);
            }
            // The end is always taken.
            Offer::Queued | Offer::Full(Item::Arrived | Item::Gone(_)) => {}
        }
    }

    /// Handles `item` and whatever waits behind it. The first poll is here, in the task that read the
    /// event: what needs no waiting needs no task.
    pub(super) fn work(self: &Arc<Self>, peer: Arc<Peer>, socket: Option<Arc<Socket>>, item: Item) {
        let gateway = self.clone();
        let link = socket.map(|socket| {
            let peer = peer.clone();
            Arc::new(Link { socket, peer })
        });
        let mut turn = Box::pin(async move {
            let mut next = Some(item);
            while let Some(item) = next {
                match item {
                    Item::Event {
                        value,
                        ack,
                        arrived,
                        asked,
                    } => {
                        if let Some(link) = &link {
                            gateway.handle(link, value, ack, arrived, asked).await;
                        }
                    }
                    Item::Arrived => {
                        if let Some(link) = &link {
                            gateway.welcome(link).await;
                        }
                    }
                    Item::Gone(reason) => gateway.farewell(&peer, reason).await,
                }
                next = peer.inbox.next();
            }
        });
        let mut cx = task::Context::from_waker(Waker::noop());
        if turn.as_mut().poll(&mut cx).is_pending() {
            // Polled again at once by its task, it registers a waker that works.
            tokio::spawn(turn);
        }
    }

    /// The row of an event, if it is one.
    fn row<E>(&self, peer: &Peer, arguments: &Result<Arguments<'_>, E>) -> Option<&Row> {
        let arguments = arguments.as_ref().ok()?;
        let name = &arguments.name;
        self.table.row(peer.id.namespace, name, arguments.payload())
    }

    async fn handle(
        self: &Arc<Self>,
        link: &Arc<Link>,
        value: Value,
        ack: Option<i64>,
        arrived: Instant,
        asked: bool,
    ) {
        let peer = &link.peer;
        let started = Instant::now();
        let json = value.as_str().map_or("", |s| s.as_str());
        let arguments = serde_json::from_str::<Arguments<'_>>(json);
        let payload = arguments.as_ref().map_or("", Arguments::payload);
        let row = self.row(peer, &arguments);
        let parsed = row.map(|row| understand(row, payload));
        let (traceparent, about) = match &parsed {
            Some(Ok(parsed)) => (parsed.traceparent(), parsed.about()),
            _ => (None, About::default()),
        };
        let seen = self.telemetry.observe(&Arrival {
            event: row.map_or(EventName::Unknown, |row| row.name),
            subject: peer.subject(),
            traceparent,
            about,
            arrived,
            started,
            bytes: payload.len(),
        });
        let turn = async {
            let guard = || self.guard(peer, row, parsed, asked);
            let (row, parsed) = seen.stage(Stage::Guard, guard)?;
            let cx = peer.context(arrived, seen.trace, ack.is_some());
            let Decision {
                reply,
                effects,
                mut facts,
                turn,
                sequel,
                ..
            } = seen.decide(self.decide(row, parsed, &cx, payload)).await?;
            if let Reply::Event(event) = row.reply {
                self.outbox.send(link, event, &reply);
            }
            if !effects.is_empty() {
                seen.stage(Stage::Deliver, || self.deliver(link, effects));
            }
            drop(turn);
            self.acknowledge(link, ack, &reply);
            if let Some(sequel) = sequel {
                self.follow(link, sequel, &mut facts).await?;
            }
            Ok(facts)
        };
        let ended = seen.contain(turn).await;
        let ended = ended.unwrap_or_else(|panic| Err(Rejection::from(panic)));
        match ended {
            Ok(facts) => {
                seen.finish(&Ending {
                    rejection: None,
                    facts: &facts,
                });
            }
            Err(rejection) => {
                let flow = seen.trace.trace.flow_code();
                let error_id = seen.finish(&Ending {
                    rejection: Some(&rejection),
                    facts: &[],
                });
                // Nobody waits for the answer to what we asked for.
                if !asked {
                    let event = row.map_or(PushName::Error, |row| row.error);
                    self.refuse(link, (ack, event), &rejection, (flow, error_id));
                }
            }
        }
    }

    /// Carries out what follows a decision, part by part: the next one when the client has taken the one
    /// before, so that its queue never fills. What fails ends the connection; the client comes again.
    async fn follow(
        self: &Arc<Self>,
        link: &Arc<Link>,
        mut sequel: Sequel,
        facts: &mut SmallVec<[Fact; 1]>,
    ) -> Result<(), Rejection> {
        loop {
            let part = match sequel.await {
                Ok(part) => part,
                Err(rejection) => {
                    link.peer.close(DisconnectCause::ServerClosed);
                    return Err(rejection);
                }
            };
            let before = link.peer.transport.taken();
            let bytes = sent_to_caller(&part.effects);
            self.deliver(link, part.effects);
            facts.extend(part.facts);
            drop(part.turn);
            let Some(next) = part.sequel else {
                return Ok(());
            };
            if !self.taken(link, before + bytes).await {
                return Ok(());
            }
            sequel = next;
        }
    }

    /// Waits until the client's side has taken so many bytes. False when there is no client any more.
    async fn taken(&self, link: &Link, bytes: u64) -> bool {
        let end = Instant::now() + SLOWEST;
        tokio::task::yield_now().await;
        while link.peer.transport.taken() < bytes {
            if !link.socket.connected() {
                return false;
            }
            if Instant::now() > end {
                link.peer.close(DisconnectCause::SendQueueFull);
                return false;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        link.socket.connected()
    }

    /// Limits, then whether it is an event at all, then whether it makes sense.
    fn guard<'r>(
        &self,
        peer: &Peer,
        row: Option<&'r Row>,
        parsed: Option<Result<Box<dyn Parsed>, Refusal>>,
        asked: bool,
    ) -> Result<(&'r Row, Box<dyn Parsed>), Refusal> {
        let quota = row.map_or(QuotaClass::Event, |row| row.quota);
        let verdict = match quota {
            _ if asked => Verdict::Pass,
            QuotaClass::Event => peer.events.check(),
            QuotaClass::Signal => peer.signals.check(),
        };
        if verdict != Verdict::Pass {
            self.telemetry.metrics.rate_limited(LimitLayer::Event);
            if verdict == Verdict::Close {
                peer.close(DisconnectCause::Flood);
            }
            return Err(Refusal::new(Code::RateLimit, Text::TooManyRequests));
        }
        let unknown = || Refusal::new(Code::UnknownEvent, Text::UnknownEvent);
        let row = row.ok_or_else(unknown)?;
        if !row.guests && peer.identity().guest.is_some() {
            return Err(Refusal::new(Code::Forbidden, Text::GuestsNotAllowed));
        }
        if !row.paired && peer.identity().scope.is_some() {
            return Err(Refusal::new(Code::Forbidden, Text::PairedOnly));
        }
        let parsed = parsed.ok_or_else(unknown)??;
        Ok((row, parsed))
    }

    async fn decide(
        &self,
        row: &Row,
        parsed: Box<dyn Parsed>,
        cx: &Context,
        payload: &str,
    ) -> Result<Decision, Rejection> {
        self.inject(row.name, payload).await?;
        parsed.decide(cx).await
    }

    /// Fails where the settings say so (`FAULT_INJECTION`).
    pub(super) async fn inject(&self, name: EventName, payload: &str) -> Result<(), Rejection> {
        if let Some(Fault::Event { event, kind }) = &self.settings.fault
            && event == name.as_str()
        {
            match *kind {
                EventFault::Slow(time) => tokio::time::sleep(time).await,
                EventFault::Fail => return Err(failed("injected")),
                EventFault::Leak => return Err(failed(payload)),
                // With the payload in it, as a careless panic would: none of it may get out.
                EventFault::Panic => panic!("injected panic on {payload}"),
            }
        }
        Ok(())
    }

    pub(super) fn deliver(self: &Arc<Self>, link: &Arc<Link>, effects: SmallVec<[Effect; 2]>) {
        for effect in effects {
            self.apply(&link.peer, Some(link), effect);
        }
    }

    /// Carries one effect out.
    pub(super) fn apply(
        self: &Arc<Self>,
        peer: &Arc<Peer>,
        caller: Option<&Arc<Link>>,
        effect: Effect,
    ) {
        match effect {
            Effect::Emit { to, event, payload } => {
                let send = |link: &Arc<Link>| self.outbox.send(link, event, &payload);
                self.outbox.reach(&to, Some(peer.id), caller, send);
            }
            Effect::Ask {
                to,
                event,
                payload,
                answer,
            } => {
                let ask = |link: &Arc<Link>| {
                    if link.peer.role() == Role::Monitor && link.peer.asks().ask() {
                        self.ask(link, event, &payload, answer.clone());
                    } else {
                        self.outbox.send(link, event, &payload);
                    }
                };
                self.outbox.reach(&to, Some(peer.id), caller, ask);
            }
            Effect::Enter(room) => self.outbox.enter(room, peer.id),
            Effect::Exit(room, leaving) => self.outbox.exit(&room, leaving),
            Effect::Expel(room, user) => self.outbox.expel(&room, &user),
            Effect::Close(room) => self.outbox.close(&room),
            Effect::Identify(identity) => {
                peer.identify(identity);
                self.expiry.watch(peer);
            }
            Effect::ActAs(role) => peer.act_as(role),
        }
    }

    /// Sends an event that the client may acknowledge, which is then as if it had sent `answer`.
    fn ask(
        self: &Arc<Self>,
        link: &Arc<Link>,
        event: PushName,
        payload: &Payload,
        answer: (EventName, Payload),
    ) {
        let sent = link
            .socket
            .emit_with_ack::<_, Said>(event.as_str(), payload.raw());
        let answered = match sent {
            Ok(answered) => answered,
            Err(error) => {
                self.outbox
                    .account(&link.peer, event, payload.len(), &Err(error));
                return;
            }
        };
        self.outbox
            .account(&link.peer, event, payload.len(), &Ok(()));
        // What waits for an answer must not keep a connection that is over.
        let (gateway, link) = (self.clone(), Arc::downgrade(link));
        tokio::spawn(async move {
            let answered = answered.await;
            let Some(link) = link.upgrade() else { return };
            let said = match answered {
                Ok(said) => said,
                // It says nothing, or nothing that we ask for.
                Err(AckError::Decode(_)) => Said::default(),
                Err(_) => return link.peer.asks().unanswered(),
            };
            link.peer.asks().answered();
            let item = Item::Event {
                value: said.as_event(answer),
                ack: None,
                arrived: Instant::now(),
                asked: true,
            };
            gateway.accept(&link.peer, Some(link.socket.clone()), item);
        });
    }

    fn acknowledge(&self, link: &Link, ack: Option<i64>, reply: &Payload) {
        if ack.is_none() {
            return;
        }
        let Ok(sender) = AckSender::from_message_parts(
            &link.socket,
            &mut Value::Bytes(bytes::Bytes::new()),
            &ack,
        );
        let sent = sender.send(reply.raw());
        self.outbox
            .account(&link.peer, PushName::Ack, reply.len(), &sent);
    }

    /// Answers a refusal or failure: by acknowledgement if one was asked for, else by an `error` event; by an
    /// event of its own in any case, where there is one.
    fn refuse(
        &self,
        link: &Link,
        (ack, event): (Option<i64>, PushName),
        rejection: &Rejection,
        (flow, error_id): (String, Option<String>),
    ) {
        let language = self.settings.server.language;
        let (code, text) = rejection.told();
        let error = WireError::new(code, text, language)
            .with_id(error_id)
            .of_flow(flow);
        self.acknowledge(link, ack, &Payload::of(&error));
        if ack.is_none() || event != PushName::Error {
            self.outbox.send(link, event, &Payload::of(&error.event()));
        }
    }

    /// The inbox is full: refused at once, out of turn.
    fn overflow(
        &self,
        peer: &Arc<Peer>,
        socket: Option<&Arc<Socket>>,
        value: &Value,
        ack: Option<i64>,
        arrived: Instant,
    ) {
        let json = value.as_str().map_or("", |s| s.as_str());
        let arguments = serde_json::from_str::<Arguments<'_>>(json);
        let row = self.row(peer, &arguments);
        let event = row.map_or(EventName::Unknown, |row| row.name);
        let seen = self.telemetry.observe(&Arrival {
            arrived,
            started: arrived,
            bytes: json.len(),
            ..Arrival::now(event, peer.subject())
        });
        let flow = seen.trace.trace.flow_code();
        let rejection = Refusal::new(Code::RateLimit, Text::TooManyRequests).into();
        seen.finish(&Ending {
            rejection: Some(&rejection),
            facts: &[],
        });
        // Waiting events count against the limit when their turn comes; these never have one.
        if peer.events.check() == Verdict::Close {
            peer.close(DisconnectCause::Flood);
        }
        if let Some(socket) = socket {
            let link = Link {
                socket: socket.clone(),
                peer: peer.clone(),
            };
            let event = row.map_or(PushName::Error, |row| row.error);
            self.refuse(&link, (ack, event), &rejection, (flow, None));
        }
    }
}

/// What a client may say in an acknowledgement: an object. Of a type with one field serde would take a list as well.
#[derive(Default, Deserialize)]
#[serde(transparent)]
struct Said(serde_json::Map<String, serde_json::Value>);

impl Said {
    /// As if the client had sent `event` by itself.
    fn as_event(&self, (event, answer): (EventName, Payload)) -> Value {
        // How long it took, from the packet to the paint.
        let painted = self.0.get("paintedMs").and_then(serde_json::Value::as_f64);
        let answer = match painted {
            Some(ms) => Payload::extended(answer.raw().get(), format_args!("\"paintedMs\":{ms}")),
            None => answer,
        };
        let json = format!("[\"{}\",{}]", event.as_str(), answer.raw());
        Value::Str(json.into(), None)
    }
}

/// How many bytes these send to whoever asked, at least.
fn sent_to_caller(effects: &[Effect]) -> u64 {
    let bytes = effects.iter().map(|effect| match effect {
        Effect::Emit {
            to: Target::Caller,
            payload,
            ..
        }
        | Effect::Ask {
            to: Target::Caller,
            payload,
            ..
        } => payload.len() as u64,
        _ => 0,
    });
    bytes.sum()
}

/// A failure of ours, without a more telling component.
pub(super) fn failed(detail: &str) -> Rejection {
    Failure::dependency(Component::Handler, detail).into()
}

/// The payload as its type, or why it is not one. The reason goes back to the client that sent it, and
/// nowhere else: it may quote the payload.
fn understand(row: &Row, payload: &str) -> Result<Box<dyn Parsed>, Refusal> {
    if payload.len() > row.max_bytes {
        return Err(Refusal::new(Code::PayloadTooLarge, Text::TooLarge));
    }
    (row.parse)(payload).map_err(|error| {
        let why: String = error.to_string().chars().take(200).collect();
        Refusal::new(Code::ValidationError, Text::InvalidPayload(why))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_a_name_and_a_payload() {
        let a: Arguments<'_> = serde_json::from_str(r#"["scan\u004frder",{"a":1},[2],3]"#).unwrap();
        assert_eq!(a.name, "scanOrder");
        assert_eq!(a.first.unwrap().get(), r#"{"a":1}"#);

        let a: Arguments<'_> = serde_json::from_str(r#"["heartbeat"]"#).unwrap();
        assert!(a.first.is_none());
        for wrong in ["[]", "[1]", "[null]", "{}", "", "[\"a\",", "[{}]"] {
            assert!(
                serde_json::from_str::<Arguments<'_>>(wrong).is_err(),
                "{wrong}"
            );
        }
    }
}
