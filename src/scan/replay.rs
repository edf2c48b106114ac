//! Joining a session, and catching up: subscribe, read, merge, so that no scan falls between what is replayed
//! and what comes live.

use super::{
    handle::{EVERYWHERE, MAX_BYTES, ScanServices},
    pairing::paired,
    payload::{ClientJoined, JoinSession, JoinedSession, placed},
};
use crate::{
    event::{
        About, ClientEvent, Code, Context, Decision, Device, Effect, EventName, Fact, Moment,
        Namespace, Payload, PeerId, PushName, Refusal, Rejection, Reply, Room, Sequel, SessionId,
        Target, Text, utc,
    },
    live::{Deed, Joined},
    store::KeptScan,
};
use smallvec::smallvec;
use std::{collections::VecDeque, sync::Arc};

/// So many scans are replayed at once, in the end up to twice as many; then the client takes its time. The
/// smallest send queue holds 64.
const PART: usize = 25;

impl ClientEvent<ScanServices> for JoinSession {
    const NAME: EventName = EventName::JoinSession;
    const NAMESPACES: &'static [Namespace] = EVERYWHERE;
    const MAX_BYTES: usize = MAX_BYTES;
    const REPLY: Reply = Reply::Event(PushName::JoinedSession);
    const PAIRED: bool = true;

    fn about(&self) -> About<'_> {
        About::session(&self.session_id)
    }

    async fn handle(self, cx: &Context, scan: &ScanServices) -> Result<Decision, Rejection> {
        let identity = &cx.identity;
        if identity
            .scope
            .as_ref()
            .is_some_and(|only| *only != self.session_id)
        {
            return Err(Refusal::new(Code::Forbidden, Text::OtherSession).into());
        }
        let session = self.session_id.clone();
        let decision = self.join(cx, scan, identity.device).await?;
        let pass = identity.pass();
        if pass.is_some_and(|pass| scan.pairing.invitations.arrived(pass)) {
            let room = Target::Room(Room::Session(session.clone()));
            return Ok(decision.then(paired(cx, &session, room)));
        }
        Ok(decision)
    }
}

impl JoinSession {
    /// Into a session, with nothing to catch up with.
    pub(super) fn plain(session_id: SessionId) -> Self {
        Self {
            session_id,
            last_seq: None,
            epoch: None,
        }
    }

    /// Takes the caller in. `fallback` is its device where it has not registered.
    pub(super) async fn join(
        self,
        cx: &Context,
        scan: &ScanServices,
        fallback: Option<Device>,
    ) -> Result<Decision, Rejection> {
        let turn = scan.turns.of(&self.session_id).await;
        let pass = cx.identity.pass();
        let joined = scan
            .sessions
            .join(cx.peer, fallback, pass, &self.session_id, cx.now)
            .await?;
        let deed = Deed::EnteredSession(self.session_id.clone());
        scan.restores.did(&cx.identity, deed, cx.now).await;
        let claims = joined.device == Device::Monitor && self.last_seq.is_none();
        let view = self.view(cx, scan, claims).await;
        let reply = JoinedSession {
            session_id: &self.session_id,
            status: joined.status,
            seq: view.as_ref().map(|view| view.seq),
            last_seq: view.as_ref().map(View::before),
            // Of what cannot be read, whoever has seen nothing has missed nothing either.
            recovered: view.as_ref().map_or(self.last_seq.is_none(), |v| v.whole),
            epoch: view.as_ref().map(|view| &*view.epoch),
        };
        let mut decision = Decision::reply(&reply).then(Effect::ActAs(joined.device.into()));
        if self.last_seq.is_some() {
            let whole = reply.recovered;
            decision = decision.noting(Fact::Reconnected { whole });
        }
        let entrance = Entrance {
            announcement: (!joined.again).then(|| announcement(cx, &joined)),
            session: self.session_id,
            at: cx.now,
            sent: view.as_ref().map_or(0, |view| view.seq),
            claims: claims.then_some(cx.peer),
            scan: scan.clone(),
        };
        let missed = view.map_or_else(VecDeque::new, |view| view.missed);
        if missed.is_empty() {
            // Nothing to catch up with: in, before anybody else has a turn.
            entrance
                .scan
                .sessions
                .settle(cx.peer, &entrance.session)
                .await;
            return Ok(entrance.enter(decision).during(turn));
        }
        // It is not to see what is new before what is old.
        decision = decision
            .then(Effect::Exit(entrance.room(), cx.peer))
            .during(turn);
        decision.sequel = Some(catch_up(entrance, missed));
        Ok(decision)
    }

    /// Where the session's sequence is, and what of it the caller has missed; nothing while the ledger cannot
    /// be read. Whoever `claims` gets what no monitor was there for, unless another one gets it already.
    async fn view(&self, cx: &Context, scan: &ScanServices, claims: bool) -> Option<View> {
        let (ledger, session) = (&scan.ledger, &self.session_id);
        let epoch = ledger.epoch().await?;
        let at = ledger.sequence(session).await.ok()?;
        scan.sessions.know(session, at.seq).await;
        let from = match self.last_seq {
            Some(last) if self.knows(&epoch) => last,
            Some(_) => 0,
            None if claims && scan.sessions.claim(cx.peer, session).await => at.seen,
            None => at.seq,
        };
        let mut missed = VecDeque::new();
        if from < at.seq {
            let kept = ledger.after(session, from, utc(cx.now.unix_ms)).await;
            missed = kept.ok()?.into();
        }
        let knew_all = self.last_seq.is_none_or(|last| last <= at.seq) && self.knows(&epoch);
        let mut view = View {
            whole: knew_all,
            epoch,
            seq: at.seq,
            missed,
        };
        view.whole &= from == view.before();
        Some(view)
    }

    fn knows(&self, epoch: &str) -> bool {
        self.epoch.as_deref().is_none_or(|known| known == epoch)
    }
}

/// A session's sequence as somebody sees it who joins.
struct View {
    epoch: Arc<str>,
    seq: u64,
    missed: VecDeque<KeptScan>,
    /// Nothing was missed for good.
    whole: bool,
}

impl View {
    /// The place before what the caller is sent.
    fn before(&self) -> u64 {
        self.missed.front().map_or(self.seq, |scan| scan.seq - 1)
    }
}

fn announcement(cx: &Context, joined: &Joined) -> Payload {
    Payload::of(&ClientJoined {
        socket_id: cx.peer.socket,
        role: joined.device,
        status: joined.status,
    })
}

/// What is left to do when somebody has caught up.
struct Entrance {
    scan: ScanServices,
    session: SessionId,
    at: Moment,
    /// Everything up to this place was sent.
    sent: u64,
    /// Who was sent what no monitor was there for: that is to be remembered.
    claims: Option<PeerId>,
    announcement: Option<Payload>,
}

impl Entrance {
    fn room(&self) -> Room {
        Room::Session(self.session.clone())
    }

    fn enter(self, decision: Decision) -> Decision {
        let room = self.room();
        let decision = decision.then(Effect::Enter(room.clone()));
        let Some(payload) = self.announcement else {
            return decision;
        };
        let announce = Effect::Emit {
            to: Target::Others(room),
            event: PushName::ClientJoined,
            payload,
        };
        decision.then(announce).noting(Fact::SessionJoined)
    }
}

/// What was missed, in parts, and then, in the session's turn, what was scanned meanwhile.
fn catch_up(mut entrance: Entrance, mut missed: VecDeque<KeptScan>) -> Sequel {
    Box::pin(async move {
        let mut turn = None;
        if missed.len() <= PART {
            turn = Some(entrance.scan.turns.of(&entrance.session).await);
            let now = utc(entrance.at.unix_ms);
            let newer = entrance
                .scan
                .ledger
                .after(&entrance.session, entrance.sent, now)
                .await?;
            entrance.sent = newer.last().map_or(entrance.sent, |scan| scan.seq);
            missed.extend(newer);
            if missed.len() > 2 * PART {
                // So many came meanwhile that nobody is to wait for them.
                turn = None;
            }
        }
        let now = if turn.is_some() { missed.len() } else { PART };
        let part: Vec<KeptScan> = missed.drain(..now.min(missed.len())).collect();
        let mut decision = Decision {
            effects: part
                .iter()
                .map(|scan| again(scan, Target::Caller))
                .collect(),
            facts: smallvec![Fact::ScansReplayed { scans: part.len() }],
            ..Decision::default()
        };
        let Some(turn) = turn else {
            decision.sequel = Some(catch_up(entrance, missed));
            return Ok(decision);
        };
        if let Some(peer) = entrance.claims {
            let ledger = &entrance.scan.ledger;
            ledger.mark_seen(&entrance.session, entrance.sent).await?;
            entrance.scan.sessions.settle(peer, &entrance.session).await;
        }
        Ok(entrance.enter(decision).during(turn))
    })
}

/// A scan that was missed.
pub(super) fn again(scan: &KeptScan, to: Target) -> Effect {
    Effect::Emit {
        to,
        event: PushName::Navigate,
        payload: placed(&scan.navigate, Some(scan.seq), true),
    }
}
