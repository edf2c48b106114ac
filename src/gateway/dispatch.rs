//! An event's way: its turn, observe( guard ▶ decide ▶ effects ▶ answer ).

use super::{
    Gateway,
    inbox::Offer,
    peer::{Item, Link, Peer},
    table::{Parsed, Row},
};
use crate::{
    clock,
    event::{
        About, Code, Component, Context, Decision, DisconnectCause, Effect, EventName, Failure,
        Payload, PushName, QuotaClass, Refusal, Rejection, Reply, Target, Text,
        WireError,
    },
    guard::Verdict,
    settings::FaultKind,
    telemetry::{Arrival, Ending, LimitLayer, Stage},
};
use serde::{Deserialize, Deserializer, de};
use serde_json::value::RawValue;
use socketioxide::{extract::AckSender, handler::FromMessageParts, socket::Socket};
use socketioxide_core::Value;
use std::{
    borrow::Cow,
    fmt,
    sync::Arc,
    task::{self, Waker},
    time::Instant,
};

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
                while seq.next_element::<de::IgnoredAny>()?.is_some() {}
                Ok(Arguments {
                    name: name.0,
                    first,
                })
            }
        }
        deserializer.deserialize_seq(Visitor)
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
            }) => {
                self.telemetry.metrics.inbox_overflow.inc();
                self.overflow(peer, socket.as_ref(), &value, ack, arrived);
            }
            // The end is always taken.
            Offer::Queued | Offer::Full(Item::Gone(_)) => {}
        }
    }

    /// Handles `item` and whatever waits behind it. The first poll is here, in the task that read the
    /// event: what needs no waiting needs no task.
    pub(super) fn work(self: &Arc<Self>, peer: Arc<Peer>, socket: Option<Arc<Socket>>, item: Item) {
        let gateway = self.clone();
        let mut turn = Box::pin(async move {
            let mut next = Some(item);
            while let Some(item) = next {
                match item {
                    Item::Event {
                        value,
                        ack,
                        arrived,
                    } => {
                        if let Some(socket) = &socket {
                            gateway.handle(&peer, socket, value, ack, arrived).await;
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

    async fn handle(
        &self,
        peer: &Arc<Peer>,
        socket: &Arc<Socket>,
        value: Value,
        ack: Option<i64>,
        arrived: Instant,
    ) {
        let started = Instant::now();
        let json = value.as_str().map_or("", |s| s.as_str());
        let arguments = serde_json::from_str::<Arguments<'_>>(json);
        let (row, payload) = match &arguments {
            Ok(a) => (
                self.table.row(peer.id.namespace, &a.name),
                a.first.map_or("", RawValue::get),
            ),
            Err(_) => (None, ""),
        };
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
        let link = Link {
            socket: socket.clone(),
            peer: peer.clone(),
        };
        let turn = async {
            let (row, parsed) = seen.stage(Stage::Guard, || self.guard(peer, row, parsed))?;
            let cx = Context {
                peer: peer.id,
                identity: peer.identity(),
                now: clock::moment(arrived),
                trace: seen.trace,
                acknowledged: ack.is_some(),
            };
            let step = self.decide(row, parsed, &cx, payload);
            let Decision {
                reply,
                effects,
                facts,
            } = seen.stage_async(Stage::Decide, step).await?;
            if let Reply::Event(event) = row.reply {
                self.outbox.send(&link, event, &reply);
            }
            if !effects.is_empty() {
                seen.stage(Stage::Deliver, || {
                    for effect in effects {
                        self.apply(peer, Some(&link), effect);
                    }
                });
            }
            self.acknowledge(&link, ack, &reply);
            Ok(facts)
        };
        let ended: Result<_, Rejection> = match seen.contain(turn).await {
            Ok(ended) => ended,
            Err(panic) => Err(panic.into()),
        };
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
                self.refuse(&link, ack, &rejection, (flow, error_id));
            }
        }
    }

    /// Limits, then whether it is an event at all, then whether it makes sense.
    fn guard<'r>(
        &self,
        peer: &Peer,
        row: Option<&'r Row>,
        parsed: Option<Result<Box<dyn Parsed>, Refusal>>,
    ) -> Result<(&'r Row, Box<dyn Parsed>), Refusal> {
        let quota = row.map_or(QuotaClass::Event, |row| row.quota);
        let verdict = match quota {
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
        if let Some(fault) = &self.settings.telemetry.fault
            && fault.event == row.name.as_str()
        {
            match fault.kind {
                FaultKind::Slow(time) => tokio::time::sleep(time).await,
                FaultKind::Fail => return Err(injected("injected")),
                FaultKind::Leak => return Err(injected(payload)),
                // With the payload in it, as a careless panic would: none of it may get out.
                FaultKind::Panic => panic!("injected panic on {payload}"),
            }
        }
        parsed.decide(cx).await
    }

    /// Carries one effect out.
    pub(super) fn apply(&self, peer: &Arc<Peer>, caller: Option<&Link>, effect: Effect) {
        match effect {
            Effect::Emit { to, event, payload } => match to {
                Target::Caller => {
                    if let Some(link) = caller {
                        self.outbox.send(link, event, &payload);
                    }
                }
                Target::Peer(other) => {
                    if let Some(link) = self.outbox.get(other) {
                        self.outbox.send(&link, event, &payload);
                    }
                }
                Target::Peers(others) => {
                    for link in others.iter().filter_map(|other| self.outbox.get(*other)) {
                        self.outbox.send(&link, event, &payload);
                    }
                }
                Target::Room(room) => self.outbox.broadcast(&room, None, event, &payload),
                Target::Others(room) => {
                    self.outbox.broadcast(&room, Some(peer.id), event, &payload);
                }
            },
            Effect::Enter(room) => self.outbox.enter(room, peer.id),
            Effect::Exit(room) => self.outbox.exit(&room, peer.id),
            Effect::Identify(identity) => {
                peer.identify(identity);
                self.expiry.watch(peer);
            }
            Effect::ActAs(role) => peer.act_as(role),
        }
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

    /// Answers a refusal or failure: by acknowledgement if one was asked for, else by an `error` event.
    fn refuse(
        &self,
        link: &Link,
        ack: Option<i64>,
        rejection: &Rejection,
        (flow, error_id): (String, Option<String>),
    ) {
        let language = self.settings.server.language;
        let (code, text) = rejection.told();
        let error = WireError::new(code, text, language)
            .with_id(error_id)
            .of_flow(flow);
        if ack.is_some() {
            self.acknowledge(link, ack, &Payload::of(&error));
        } else {
            self.outbox
                .send(link, PushName::Error, &Payload::of(&error.event()));
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
        let row = arguments
            .ok()
            .and_then(|a| self.table.row(peer.id.namespace, &a.name));
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
            self.refuse(&link, ack, &rejection, (flow, None));
        }
    }
}

fn injected(detail: &str) -> Rejection {
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
