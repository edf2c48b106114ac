//! A scan's way: into the ledger, to the monitors, back to the phone. And the news that it was shown.

use super::{
    handle::{EVERYWHERE, MAX_BYTES, ScanServices},
    payload::{Displayed, Navigate, NavigateDisplayed, Receipt, ScanAck, ScanOrder, placed},
    replay::again,
};
use crate::{
    event::{
        About, ClientEvent, Code, Context, Decision, Effect, EventName, Fact, Namespace, Payload,
        PushName, QuotaClass, Refusal, Rejection, Reply, Room, Target, Text, milliseconds, utc,
    },
    live::{Scanned, Shown},
    settings::WithoutStore,
    store::{Entry, NewScan},
};

impl ClientEvent<ScanServices> for ScanOrder {
    const NAME: EventName = EventName::ScanOrder;
    const NAMESPACES: &'static [Namespace] = EVERYWHERE;
    const MAX_BYTES: usize = MAX_BYTES;
    const REPLY: Reply = Reply::Ack;
    const PAIRED: bool = true;

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
        let turn = scan.turns.of(&self.session_id).await;
        let scanned = scan
            .sessions
            .scan(cx.peer, &self.session_id, cx.now)
            .await?;
        let navigate = Payload::of(&Navigate {
            order_no: &self.order_no,
            ts: &self.ts,
            nonce: self.nonce.as_deref(),
            from: scanned.device,
            from_socket_id: cx.peer.socket,
            traceparent: cx.trace.outgoing().to_string(),
        });
        let written = scan.ledger.enter(NewScan {
            session: self.session_id.as_str().into(),
            user: cx.identity.user.clone(),
            nonce: self.nonce.clone(),
            order: self.order_no.clone(),
            navigate: navigate.raw().get().into(),
            seen: scanned.seen,
            at: utc(cx.now.unix_ms),
        });
        let written = written.await;
        let entry = match written.entry {
            Ok(Entry::Conflict) => {
                return Err(Refusal::new(Code::Conflict, Text::NonceTaken).into());
            }
            Ok(entry) => Some(entry),
            Err(_) if scan.without_store == WithoutStore::Relay => None,
            Err(error) => return Err(error.into()),
        };
        let reply = if cx.acknowledged {
            self.acknowledged(cx, scan, scanned, entry).await
        } else {
            Payload::null()
        };
        let mut decision = match entry {
            Some(Entry::New(seq)) => self.left_out(cx, scan, seq).await,
            _ => Decision::default(),
        };
        let (effect, fact) = self.relayed(cx, scan, scanned, entry, &navigate).await;
        decision.reply = reply;
        decision.effects.extend(effect);
        decision.persisted = Some((written.from, written.to));
        Ok(decision.noting(fact).during(turn))
    }
}

impl ScanOrder {
    /// Scans before this place that the session was not told of: they were written, and the database was away
    /// before it said so. Were they not sent now, monitors would see a gap.
    async fn left_out(&self, cx: &Context, scan: &ScanServices, seq: u64) -> Decision {
        let Some(told) = scan.sessions.tell(&self.session_id, seq).await else {
            return Decision::default();
        };
        let now = utc(cx.now.unix_ms);
        let missed = scan.ledger.after(&self.session_id, told, now).await;
        let mut missed = missed.unwrap_or_default();
        missed.retain(|kept| kept.seq < seq);
        let scans = missed.len();
        let room = Target::Room(Room::Session(self.session_id.clone()));
        let again = missed.iter().map(|kept| again(kept, room.clone()));
        Decision {
            effects: again.collect(),
            ..Decision::default()
        }
        .noting(Fact::ScansReplayed { scans })
    }

    async fn acknowledged(
        &self,
        cx: &Context,
        scan: &ScanServices,
        scanned: Scanned,
        entry: Option<Entry>,
    ) -> Payload {
        Payload::of(&ScanAck {
            received: true,
            nonce: self.nonce.as_deref(),
            epoch: scan.ledger.epoch().await.as_deref(),
            seq: entry.and_then(Entry::seq),
            duplicate: matches!(entry, Some(Entry::Again(_))),
            durable: entry.is_some(),
            monitors: scanned.monitors,
            flow: cx.trace.trace.flow_code(),
            trace_id: cx.trace.trace.to_string(),
        })
    }

    /// What is sent to the session, and what there is to tell: a scan that is sent again is relayed no more.
    async fn relayed(
        &self,
        cx: &Context,
        scan: &ScanServices,
        scanned: Scanned,
        entry: Option<Entry>,
        navigate: &Payload,
    ) -> (Option<Effect>, Fact) {
        if let Some(Entry::Again(seq)) = entry {
            return (None, Fact::ScanRepeated { seq });
        }
        let seq = entry.and_then(Entry::seq);
        let relayed = Fact::ScanRelayed {
            seq,
            monitors: scanned.monitors,
        };
        let to = Target::Room(Room::Session(self.session_id.clone()));
        let (event, payload) = (PushName::Navigate, placed(navigate.raw().get(), seq, false));
        let Some(seq) = seq else {
            // Without a place nobody can say that it was shown.
            return (Some(Effect::Emit { to, event, payload }), relayed);
        };
        let shown = Shown {
            seq,
            phone: cx.peer,
            nonce: self.nonce.clone(),
            arrived: cx.now.instant,
            trace: cx.trace.sampled.then_some(cx.trace.trace),
        };
        scan.sessions.show(&self.session_id, shown).await;
        if !cx.acknowledged {
            // Who does not wait for the server waits for no monitor either.
            return (Some(Effect::Emit { to, event, payload }), relayed);
        }
        let receipt = Receipt {
            session_id: &self.session_id,
            seq,
            traceparent: cx.trace.outgoing().to_string(),
        };
        let ask = Effect::Ask {
            to,
            event,
            payload,
            answer: (EventName::NavigateDisplayed, Payload::of(&receipt)),
        };
        (Some(ask), relayed)
    }
}

impl ClientEvent<ScanServices> for NavigateDisplayed {
    const NAME: EventName = EventName::NavigateDisplayed;
    const NAMESPACES: &'static [Namespace] = EVERYWHERE;
    // One for each scan of every phone in the session.
    const QUOTA: QuotaClass = QuotaClass::Signal;
    const MAX_BYTES: usize = MAX_BYTES;
    const REPLY: Reply = Reply::Ack;
    const PAIRED: bool = true;

    fn traceparent(&self) -> Option<&str> {
        self.traceparent.as_deref()
    }

    fn about(&self) -> About<'_> {
        let session = self.session_id.as_ref();
        session.map_or_else(About::default, About::session)
    }

    async fn handle(self, cx: &Context, scan: &ScanServices) -> Result<Decision, Rejection> {
        let session = match self.session_id {
            Some(session) => Some(session),
            None => scan.sessions.only_session(cx.peer).await,
        };
        let session = session.ok_or_else(|| {
            let which = "sessionId is needed by whoever is not in exactly one session";
            Refusal::new(Code::ValidationError, Text::InvalidPayload(which.into()))
        })?;
        scan.monitor_of(cx.peer, &session).await?;
        let shown = scan.sessions.displayed(cx.peer, &session, self.seq).await?;
        let decision = Decision::default();
        let Some(shown) = shown else {
            return Ok(decision);
        };
        let took = cx.now.instant.saturating_duration_since(shown.arrived);
        let displayed = Displayed {
            session_id: &session,
            seq: shown.seq,
            nonce: shown.nonce.as_deref(),
            socket_id: cx.peer.socket,
            latency_ms: milliseconds(took),
        };
        let news = Effect::emit(
            Target::Peer(shown.phone),
            PushName::ScanDisplayed,
            &displayed,
        );
        let fact = Fact::ScanDisplayed {
            took,
            trace: shown.trace,
            painted: self.painted_ms,
        };
        Ok(decision.then(news).noting(fact))
    }
}
