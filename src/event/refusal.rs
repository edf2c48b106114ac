//! How an event can end: `ok`, `refused` (the client's doing) or `failed` (ours), each with a closed code.

use super::Text;

/// Error codes on the wire (contract, section 3); also span attribute, log field and label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are the contract's own")]
pub enum Code {
    ValidationError,
    AuthError,
    TokenExpired,
    Forbidden,
    NotFound,
    RoomFull,
    Conflict,
    RateLimit,
    PayloadTooLarge,
    UnknownEvent,
    Unavailable,
    InvalidToken,
    SidMismatch,
    PairingFailed,
    Internal,
}

impl Code {
    /// All of them.
    pub const ALL: [Self; 15] = [
        Self::ValidationError,
        Self::AuthError,
        Self::TokenExpired,
        Self::Forbidden,
        Self::NotFound,
        Self::RoomFull,
        Self::Conflict,
        Self::RateLimit,
        Self::PayloadTooLarge,
        Self::UnknownEvent,
        Self::Unavailable,
        Self::InvalidToken,
        Self::SidMismatch,
        Self::PairingFailed,
        Self::Internal,
    ];

    /// The code on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ValidationError => "VALIDATION_ERROR",
            Self::AuthError => "AUTH_ERROR",
            Self::TokenExpired => "TOKEN_EXPIRED",
            Self::Forbidden => "FORBIDDEN",
            Self::NotFound => "NOT_FOUND",
            Self::RoomFull => "ROOM_FULL",
            Self::Conflict => "CONFLICT",
            Self::RateLimit => "RATE_LIMIT",
            Self::PayloadTooLarge => "PAYLOAD_TOO_LARGE",
            Self::UnknownEvent => "UNKNOWN_EVENT",
            Self::Unavailable => "UNAVAILABLE",
            Self::InvalidToken => "INVALID_TOKEN",
            Self::SidMismatch => "SID_MISMATCH",
            Self::PairingFailed => "PAIRING_FAILED",
            Self::Internal => "INTERNAL",
        }
    }

    /// The HTTP status that goes with the code.
    pub const fn http_status(self) -> u16 {
        match self {
            Self::ValidationError | Self::UnknownEvent => 400,
            Self::AuthError | Self::TokenExpired => 401,
            Self::Forbidden
            | Self::RoomFull
            | Self::InvalidToken
            | Self::SidMismatch
            | Self::PairingFailed => 403,
            Self::NotFound => 404,
            Self::Conflict => 409,
            Self::PayloadTooLarge => 413,
            Self::RateLimit => 429,
            Self::Unavailable => 503,
            Self::Internal => 500,
        }
    }
}

/// The three ends of everything that a client asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Done.
    Ok,
    /// Not done, because of the client.
    Refused,
    /// Not done, because of us. The only one that spends error budget.
    Failed,
}

impl Outcome {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Ok, Self::Refused, Self::Failed];

    /// The label value.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }
}

/// The client asked for something that it does not get.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What programs read.
    pub code: Code,
    /// What people read.
    pub text: Text,
}

impl Refusal {
    /// A refusal with a text.
    pub fn new(code: Code, text: Text) -> Self {
        Self { code, text }
    }
}

/// The part of the server that a failure is counted under.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Component {
    /// An event handler.
    Handler,
    /// Sending to clients.
    Outbox,
    /// The HTTP side.
    Http,
    /// Logs, metrics, traces.
    Telemetry,
    /// A background job.
    Job,
    /// The database.
    Store,
}

impl Component {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Handler,
        Self::Outbox,
        Self::Http,
        Self::Telemetry,
        Self::Job,
        Self::Store,
    ];

    /// The label value.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Handler => "handler",
            Self::Outbox => "outbox",
            Self::Http => "http",
            Self::Telemetry => "telemetry",
            Self::Job => "job",
            Self::Store => "store",
        }
    }
}

/// What kind of failure it was: a label, so closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FailureKind {
    /// Code of ours panicked.
    Panic,
    /// A part behind the handler did not do its work.
    Dependency,
    /// Something could not be read or written.
    Io,
}

impl FailureKind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Panic, Self::Dependency, Self::Io];

    /// The label value.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Panic => "panic",
            Self::Dependency => "dependency",
            Self::Io => "io",
        }
    }
}

/// We could not do what we should. The client learns only an error id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Where.
    pub component: Component,
    /// What.
    pub kind: FailureKind,
    /// File and line, or other fixed words; it is logged, so nothing of the client's is in it.
    pub detail: Box<str>,
}

impl Failure {
    /// A part behind `component` did not do its work.
    pub fn dependency(component: Component, detail: impl Into<Box<str>>) -> Self {
        Self {
            component,
            kind: FailureKind::Dependency,
            detail: detail.into(),
        }
    }
}

/// Why an event did not get what it asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rejection {
    /// The client's doing.
    Refused(Refusal),
    /// Ours.
    Failed(Failure),
}

impl Rejection {
    /// What the client is told: of a failure, only that it was one.
    pub fn told(&self) -> (Code, &Text) {
        match self {
            Self::Refused(refusal) => (refusal.code, &refusal.text),
            Self::Failed(_) => (Code::Internal, &Text::Internal),
        }
    }
}

impl From<Refusal> for Rejection {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<Failure> for Rejection {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}
