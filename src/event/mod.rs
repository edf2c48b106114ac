//! The vocabulary: what clients ask (events), who they are, and what is decided about it.
//!
//! Nothing in here knows a socket, a lock or a clock. Families speak it, the gateway carries it out,
//! telemetry writes it down.

mod context;
mod decision;
mod name;
mod peer;
mod refusal;
mod room;
mod store;
mod text;
mod trace;
mod wire;

pub use context::{About, ClientEvent, Context, Moment, QuotaClass, Reply, utc};
pub use decision::{
    Decision, Departed, Effect, Fact, Payload, Room, Sequel, SignalKind, Target, Turn,
};
pub use name::{EventName, PushName};
pub(crate) use peer::is_label;
pub use peer::{
    Device, DisconnectCause, Identity, Namespace, PeerId, Role, RoomId, SessionId, SocketId, UserId,
};
pub use refusal::{Code, Component, Failure, FailureKind, Outcome, Refusal, Rejection};
pub use room::RoomChange;
pub use store::{StoreOp, StoreResult};
pub use text::Text;
pub use trace::{Hex, SpanId, TraceContext, TraceId, Traceparent};
pub use wire::{ErrorEvent, WireError};
