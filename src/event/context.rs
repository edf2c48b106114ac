//! What a handler is given, and the trait that makes a payload an event.

use super::{
    Decision, EventName, Identity, Namespace, PeerId, PushName, Rejection, SessionId, TraceContext,
};
use async_trait::async_trait;
use serde::de::DeserializeOwned;
use std::{
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};
use time::OffsetDateTime;

/// A point in time, on both clocks. Rules are given one; they never look at a clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// For durations.
    pub instant: Instant,
    /// For people and tokens: milliseconds since 1970.
    pub unix_ms: u64,
}

/// A duration in whole milliseconds.
pub fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Milliseconds since 1970 as a date; what is beyond all dates is 1970.
pub fn utc(unix_ms: u64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(unix_ms) * 1_000_000)
        .unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

/// What is known about one event besides its payload.
#[derive(Debug)]
pub struct Context {
    /// Who asks.
    pub peer: PeerId,
    /// Who that is, by its token.
    pub identity: Arc<Identity>,
    /// Where it comes from, through the trusted proxies.
    pub address: IpAddr,
    /// Whether that address may be blocked: others may not be behind it.
    pub blockable: bool,
    /// When it arrived.
    pub now: Moment,
    /// The trace it belongs to.
    pub trace: TraceContext,
    /// Whether the client asked for an acknowledgement. A reply that goes nowhere else need not be made.
    pub acknowledged: bool,
}

/// Which limiter an event counts against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QuotaClass {
    /// `EVENT_RATE`.
    Event,
    /// `SIGNAL_RATE`: a mesh of ten trickles many candidates at once.
    Signal,
}

/// What an event is about. It leaves the process only hashed.
#[derive(Debug, Clone, Copy, Default)]
pub struct About<'a> {
    /// The order number.
    pub order: Option<&'a str>,
    /// The scan session.
    pub session: Option<&'a str>,
}

impl<'a> About<'a> {
    /// About a scan session.
    pub fn session(session: &'a SessionId) -> Self {
        Self {
            session: Some(session.as_str()),
            ..Self::default()
        }
    }
}

/// How an event is answered. An acknowledgement is sent whenever the client asked for one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reply {
    /// By acknowledgement only.
    Ack,
    /// By an event as well.
    Event(PushName),
}

/// What a family does when a socket comes or goes, by itself.
#[async_trait]
pub trait Visits: Send + Sync + 'static {
    /// A client was let in. Carried out before anything that it says; the reply goes nowhere.
    ///
    /// # Errors
    ///
    /// They are counted; the client stays.
    async fn arrived(&self, _: &Context) -> Result<Decision, Rejection> {
        Ok(Decision::default())
    }

    /// A client is gone for good, and everything that it said has been handled: there is nobody left to answer.
    async fn departed(&self, cx: &Context) -> Decision;
}

/// One thing that a client can ask for. The implementing type is its payload; `S` is what its family
/// needs to decide.
pub trait ClientEvent<S>: DeserializeOwned + Send + 'static {
    /// Name on the wire, in labels and in spans.
    const NAME: EventName;
    /// Where it may be said.
    const NAMESPACES: &'static [Namespace];
    /// Which limiter it counts against.
    const QUOTA: QuotaClass = QuotaClass::Event;
    /// Largest payload, in bytes of JSON.
    const MAX_BYTES: usize;
    /// How it is answered.
    const REPLY: Reply;
    /// By which event a refusal or failure is told.
    const ERROR: PushName = PushName::Error;
    /// Whether a client without a token may say it (`SIGNALING_AUTH=optional`).
    const GUESTS: bool = false;
    /// A field that tells it from another family's event of the same name, which has none.
    const MARK: Option<&'static str> = None;
    /// Whether its payload may be a list. Left alone, serde takes one for an object, its elements for the fields.
    const LISTS: bool = false;
    /// Whether a phone may say it that was paired without an account.
    const PAIRED: bool = false;

    /// The trace that the client says this belongs to.
    fn traceparent(&self) -> Option<&str> {
        None
    }

    /// What it is about, so that it can be found again.
    fn about(&self) -> About<'_> {
        About::default()
    }

    /// Decides. Must not block; what it awaits, it awaits inside this socket's turn.
    ///
    /// # Errors
    ///
    /// A refusal changes nothing. A failure says which part let us down.
    fn handle(
        self,
        cx: &Context,
        services: &S,
    ) -> impl Future<Output = Result<Decision, Rejection>> + Send;
}
