//! The vocabulary: what clients ask (events), who they are, and what is decided about it.
//!
//! Nothing in here knows a socket, a lock or a clock. Families speak it, the gateway carries it out,
//! telemetry writes it down.

mod context;
mod decision;
mod id;
mod name;
mod object;
mod peer;
mod refusal;
mod room;
mod seat;
mod store;
mod text;
mod trace;
mod wire;

pub use context::{
    About, ClientEvent, Context, Moment, QuotaClass, Reply, Visits, milliseconds, utc,
};
pub use decision::{
    BlockReason, ChatResult, Decision, Effect, Fact, Payload, QueueExit, RestoreResult, Room,
    SeatResult, Sequel, SignalKind, Target, Turn,
};
pub(crate) use id::MOST_INTEGER;
pub use id::{EventId, SeatId, UserId, whole};
pub use name::{EventName, PushName};
pub use object::Object;
pub(crate) use peer::is_label;
pub use peer::{
    ChatRoomId, Device, DisconnectCause, Identity, Namespace, PeerId, RefreshToken, Role, RoomId,
    SessionId, SocketId,
};
pub use refusal::{Code, Component, Failure, FailureKind, Outcome, Refusal, Rejection};
pub use room::RoomChange;
pub use seat::{SeatRecord, SeatState};
pub use store::{StoreOp, StoreResult};
pub use text::Text;
pub use trace::{Hex, SpanId, TraceContext, TraceId, Traceparent};
pub use wire::{ErrorEvent, WireError};
