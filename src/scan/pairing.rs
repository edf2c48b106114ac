//! Pairing: a monitor invites, a phone comes in by token or code, with an account or without; the monitor
//! can send it away (contract, section 4).

use super::{
    handle::{EVERYWHERE, MAX_BYTES, ScanServices, farewell},
    payload::{
        Given, JoinSession, Paired, PairedAck, SessionCreate, SessionCreated, SessionJoin,
        SessionUnpair, Unpaired,
    },
};
use crate::{
    event::{
        About, ClientEvent, Code, Context, Decision, Device, Effect, EventName, Moment, Namespace,
        Payload, PushName, Refusal, Rejection, Reply, Room, SessionId, Target, Text, utc,
    },
    guard::{Claims, Keyed, Verifier},
    live::{Invitation, Invited, Pairings},
    store::Store,
};
use std::{net::IpAddr, sync::Arc, time::Duration};

/// Length of the name of a session that begins with pairing.
const NAME: usize = 8;
const LETTERS: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";

/// What pairing needs, on the socket and over HTTP.
#[derive(Debug)]
pub struct Pairing {
    /// Who is invited.
    pub invitations: Pairings,
    /// Signs and reads tokens.
    pub verifier: Arc<Verifier>,
    /// Codes that an address may try.
    pub tries: Keyed<IpAddr>,
    /// Remembers who was sent away.
    pub store: Arc<Store>,
    /// How long a phone without an account may stay.
    pub pass_ttl: Duration,
    /// Where the QR code leads to.
    pub url_base: Box<str>,
}

/// What a phone without an account gets.
#[derive(Debug)]
pub struct Pass {
    /// Opens sockets, for this session alone.
    pub token: String,
    /// The session.
    pub session_id: SessionId,
    /// How long it is good for, in seconds.
    pub expires_in: u64,
}

impl Pairing {
    /// Takes an invitation up.
    ///
    /// # Errors
    ///
    /// `INVALID_TOKEN`, `SID_MISMATCH`, `PAIRING_FAILED` for a wrong code, `RATE_LIMIT` for too many tries.
    pub fn accept(
        &self,
        given: &Given,
        address: IpAddr,
        now: Moment,
    ) -> Result<Invitation, Refusal> {
        match given {
            Given::Token { session, token } => {
                let invalid = || Refusal::new(Code::InvalidToken, Text::PairingToken);
                let said = self.verifier.read_pairing(token).map_err(|_| invalid())?;
                if said.session != session.as_str() {
                    return Err(Refusal::new(Code::SidMismatch, Text::PairingSession));
                }
                let id = said.id;
                let accepted = self
                    .invitations
                    .accept(Invited::Token { session, id }, now.instant);
                accepted.ok_or_else(invalid)
            }
            Given::Code(code) => {
                if !self.tries.check(&address).pass {
                    return Err(Refusal::new(Code::RateLimit, Text::TooManyCodes));
                }
                let accepted = self.invitations.accept(Invited::Code(*code), now.instant);
                accepted.ok_or_else(|| Refusal::new(Code::PairingFailed, Text::PairingCode))
            }
        }
    }

    /// A pass into the session that a phone was invited to.
    ///
    /// # Errors
    ///
    /// As [`Pairing::accept`]; a failure if it cannot be signed.
    pub fn pass(&self, given: &Given, address: IpAddr, now: Moment) -> Result<Pass, Rejection> {
        let invitation = self.accept(given, address, now)?;
        let login = format!("phone-{:032x}", rand::random::<u128>());
        let claims = Claims {
            sub: &login,
            role: Some(Device::Mobile.as_str()),
            login: Some(&login),
            session: Some(invitation.session.as_str()),
            ..Claims::lasting(now.unix_ms / 1000, self.pass_ttl)
        };
        let token = self.verifier.sign(&claims).map_err(|_| unsigned())?;
        self.invitations.expect(&login, now.instant);
        Ok(Pass {
            token,
            session_id: invitation.session,
            expires_in: self.pass_ttl.as_secs(),
        })
    }

    /// Forgets what has ended. Call it every few seconds.
    pub fn tidy(&self, now: Moment) {
        self.invitations.tidy(now.instant);
        self.tries.tidy();
    }
}

fn unsigned() -> Rejection {
    use crate::event::{Component, Failure};
    Failure::dependency(Component::Handler, "a token was not signed").into()
}

fn new_name() -> Option<SessionId> {
    let letter = || LETTERS.get(rand::random_range(0..LETTERS.len()));
    let letters = std::iter::repeat_with(letter).take(NAME).flatten();
    SessionId::parse(&letters.map(|b| char::from(*b)).collect::<String>())
}

impl ClientEvent<ScanServices> for SessionCreate {
    const NAME: EventName = EventName::SessionCreate;
    const NAMESPACES: &'static [Namespace] = EVERYWHERE;
    const MAX_BYTES: usize = MAX_BYTES;
    const REPLY: Reply = Reply::Event(PushName::SessionCreated);
    const ERROR: PushName = PushName::SessionError;

    async fn handle(self, cx: &Context, scan: &ScanServices) -> Result<Decision, Rejection> {
        let pairing = &scan.pairing;
        let busy = || Refusal::new(Code::Unavailable, Text::ServerBusy);
        let session = match self.session_id {
            // One more phone for a session that goes on.
            Some(session) => {
                scan.monitor_of(cx.peer, &session).await?;
                session
            }
            None => new_name().ok_or_else(busy)?,
        };
        let invitation = pairing
            .invitations
            .invite(session, cx.peer, cx.now.instant)
            .ok_or_else(busy)?;
        let expires_in = pairing.invitations.good_for().as_secs();
        let now = cx.now.unix_ms / 1000;
        let session = &invitation.session;
        let token = pairing
            .verifier
            .sign_pairing(session.as_str(), invitation.id, now, now + expires_in)
            .map_err(|_| unsigned())?;
        let query = form_urlencoded::Serializer::new(String::new())
            .append_pair("sid", session.as_str())
            .append_pair("t", &token)
            .finish();
        Ok(Decision::reply(&SessionCreated {
            pairing_url: format!("{}?{query}", pairing.url_base),
            session_id: session,
            pairing_token: token,
            pairing_code: invitation.code.to_string(),
            expires_in,
        }))
    }
}

impl ClientEvent<ScanServices> for SessionJoin {
    const NAME: EventName = EventName::SessionJoin;
    const NAMESPACES: &'static [Namespace] = EVERYWHERE;
    const MAX_BYTES: usize = MAX_BYTES;
    const REPLY: Reply = Reply::Ack;
    const ERROR: PushName = PushName::SessionError;

    fn about(&self) -> About<'_> {
        let session = self.given.session();
        session.map_or_else(About::default, About::session)
    }

    async fn handle(self, cx: &Context, scan: &ScanServices) -> Result<Decision, Rejection> {
        let invitation = scan.pairing.accept(&self.given, cx.address, cx.now)?;
        let session = invitation.session.clone();
        let device = cx.identity.device.unwrap_or(Device::Mobile);
        let joined = JoinSession::plain(session.clone()).join(cx, scan, Some(device));
        let mut decision = joined.await?;
        decision.reply = Payload::of(&PairedAck::new(&session, cx.now));
        // Who invited is told, also where it has not joined its session.
        if scan
            .sessions
            .device(invitation.by, &session)
            .await
            .is_none()
        {
            decision = decision.then(paired(cx, &session, Target::Peer(invitation.by)));
        }
        let room = Target::Room(Room::Session(session.clone()));
        Ok(decision.then(paired(cx, &session, room)))
    }
}

impl ClientEvent<ScanServices> for SessionUnpair {
    const NAME: EventName = EventName::SessionUnpair;
    const NAMESPACES: &'static [Namespace] = EVERYWHERE;
    const MAX_BYTES: usize = MAX_BYTES;
    const REPLY: Reply = Reply::Ack;
    const ERROR: PushName = PushName::SessionError;

    fn about(&self) -> About<'_> {
        About::session(&self.session_id)
    }

    async fn handle(self, cx: &Context, scan: &ScanServices) -> Result<Decision, Rejection> {
        scan.monitor_of(cx.peer, &self.session_id).await?;
        let phone = scan.sessions.phone(&self.session_id, &self.socket_id).await;
        let phone = phone.ok_or_else(|| Refusal::new(Code::NotFound, Text::PeerGone))?;
        if let Some(login) = scan.sessions.pass_of(phone).await {
            // Its token is good for nothing else, and is to open nothing any more, here or elsewhere.
            scan.pairing
                .store
                .end_pass(&login, utc(cx.now.unix_ms))
                .await?;
        }
        let left = scan.sessions.leave(phone, &self.session_id, cx.now).await?;
        let goodbye = Effect::emit(
            Target::Peer(phone),
            PushName::SessionUnpaired,
            &Unpaired {
                session_id: &self.session_id,
                at: cx.now.unix_ms,
            },
        );
        let mut decision = Decision::reply(&PairedAck::new(&self.session_id, cx.now)).then(goodbye);
        decision.effects.extend(farewell(phone, left));
        Ok(decision)
    }
}

/// The news that the caller is paired.
pub(super) fn paired(cx: &Context, session: &SessionId, to: Target) -> Effect {
    Effect::emit(
        to,
        PushName::SessionPaired,
        &Paired {
            session_id: session,
            at: cx.now.unix_ms,
            socket_id: cx.peer.socket,
        },
    )
}
