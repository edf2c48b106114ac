//! What is done with the database, and how it ends: labels.

/// What is done with the database: the values of a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreOp {
    /// Opening, migrating, announcing this node.
    Prepare,
    /// Writing what happened in rooms and to seats.
    Record,
    /// Closing what a dead node left open.
    Reap,
    /// Reading rooms, participants and seats.
    Rooms,
    /// Reading an account.
    Account,
    /// Creating an account.
    Register,
    /// Beginning a login.
    Login,
    /// Replacing a refresh token.
    Refresh,
    /// Ending a login, and reading which were ended.
    Revoke,
    /// Writing scans.
    Enter,
    /// Reading scans and sequences.
    Replay,
    /// Deleting old scans and messages.
    Prune,
    /// Writing messages, edits and who takes part.
    Say,
    /// Reading chat rooms and messages.
    Chat,
}

impl StoreOp {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::Prepare,
        Self::Record,
        Self::Reap,
        Self::Rooms,
        Self::Account,
        Self::Register,
        Self::Login,
        Self::Refresh,
        Self::Revoke,
        Self::Enter,
        Self::Replay,
        Self::Prune,
        Self::Say,
        Self::Chat,
    ];

    /// The label value.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Prepare => "prepare",
            Self::Record => "record",
            Self::Reap => "reap",
            Self::Rooms => "rooms",
            Self::Account => "account",
            Self::Register => "register",
            Self::Login => "login",
            Self::Refresh => "refresh",
            Self::Revoke => "revoke",
            Self::Enter => "enter",
            Self::Replay => "replay",
            Self::Prune => "prune",
            Self::Say => "say",
            Self::Chat => "chat",
        }
    }
}

/// How an operation ended: the values of a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreResult {
    /// Done.
    Ok,
    /// The database said no.
    Error,
    /// It took too long.
    Timeout,
}

impl StoreResult {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Ok, Self::Error, Self::Timeout];

    /// The label value.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Error => "error",
            Self::Timeout => "timeout",
        }
    }
}
