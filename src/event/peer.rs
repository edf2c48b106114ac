//! Who is speaking: namespaces, socket ids, devices, identities and session ids.

use super::{Text, UserId};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::{borrow::Cow, fmt, sync::Arc};

/// The namespaces that clients may connect to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Namespace {
    /// `/`, where every family is spoken.
    Root,
    /// `/scan`, the scan relay alone.
    Scan,
    /// `/rtc`, the signaling alone.
    Rtc,
    /// `/queue`, waiting queues and seats alone.
    Queue,
    /// `/chat`, the chat alone.
    Chat,
}

impl Namespace {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Root, Self::Scan, Self::Rtc, Self::Queue, Self::Chat];

    /// The path on the wire.
    pub const fn path(self) -> &'static str {
        match self {
            Self::Root => "/",
            Self::Scan => "/scan",
            Self::Rtc => "/rtc",
            Self::Queue => "/queue",
            Self::Chat => "/chat",
        }
    }
}

/// The public Socket.IO id: what the client sees as `socket.id`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SocketId([u8; 16]);

impl SocketId {
    /// From the 16 characters that the engine hands out.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes: [u8; 16] = text.as_bytes().try_into().ok()?;
        text.is_ascii().then_some(Self(bytes))
    }

    /// The id as clients see it.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Debug for SocketId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for SocketId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for SocketId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// One connection to one namespace. The library gives a transport the same socket id in each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PeerId {
    /// Where it is connected.
    pub namespace: Namespace,
    /// What the client sees as its id.
    pub socket: SocketId,
}

/// What a device is in a scan session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Device {
    /// The phone that scans.
    Mobile,
    /// The screen that shows.
    Monitor,
}

impl Device {
    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Mobile => "mobile",
            Self::Monitor => "monitor",
        }
    }
}

/// As what a connection is shown in the telemetry. Nothing is decided by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// A phone of the scan relay.
    Mobile,
    /// A monitor of the scan relay.
    Monitor,
    /// A peer of a signaling room, and no device.
    Peer,
    /// Somebody who chats, and nothing of the above.
    Chat,
    /// It has not shown yet what it is.
    Unknown,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Mobile,
        Self::Monitor,
        Self::Peer,
        Self::Chat,
        Self::Unknown,
    ];

    /// The label value.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Mobile => "mobile",
            Self::Monitor => "monitor",
            Self::Peer => "peer",
            Self::Chat => "chat",
            Self::Unknown => "unknown",
        }
    }
}

impl From<Device> for Role {
    fn from(device: Device) -> Self {
        match device {
            Device::Mobile => Self::Mobile,
            Device::Monitor => Self::Monitor,
        }
    }
}

/// Who a token says the client is. The only source of identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// `userId`, else `sub`.
    pub user: Box<str>,
    /// The token has it as an integer.
    pub integer_user: bool,
    /// Its name, if the token has one.
    pub username: Option<Box<str>>,
    /// The device role that the token carries, if any.
    pub device: Option<Device>,
    /// When the token ends, in seconds since 1970; `None` where the issuer sets no end.
    pub expires_at: Option<u64>,
    /// Opens the admin endpoints.
    pub admin: bool,
    /// The address of a guest, who came without a token.
    pub guest: Option<Box<str>>,
    /// The login that the token descends from, where this server issued it.
    pub login: Option<Box<str>>,
    /// The only scan session that the token is good for: that of a phone that was paired without an account.
    pub scope: Option<SessionId>,
    /// It is this process's own canary, which counts as nobody.
    pub canary: bool,
    /// What it came with besides, if it came as a chat client does.
    pub chat: Option<RefreshToken>,
}

/// A refresh token that is kept as long as its connection. It is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct RefreshToken(pub Box<str>);

impl fmt::Debug for RefreshToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RefreshToken(not shown)")
    }
}

impl Identity {
    /// What limits per user count by: the user or, as guests are made up at will, their address.
    pub fn account(&self) -> Box<str> {
        self.guest.as_ref().unwrap_or(&self.user).clone()
    }

    /// The user, if what it does is kept for when it comes back: guests have new names each time.
    pub fn kept(&self) -> Option<&str> {
        (self.guest.is_none() && !self.canary).then_some(&*self.user)
    }

    /// The login of a token that is good for one scan session and nothing else.
    pub fn pass(&self) -> Option<&str> {
        self.scope.as_ref().and(self.login.as_deref())
    }

    /// The user, as others see it.
    pub fn user_id(&self) -> UserId {
        UserId::new(&self.user, self.integer_user)
    }
}

/// A scan session's name: 1 to 100 characters, no control characters (contract, section 4).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId(Arc<str>);

impl SessionId {
    /// Longest session id, in characters.
    pub const MAX_CHARS: usize = 100;

    /// Checks and takes a session id.
    pub fn parse(text: &str) -> Option<Self> {
        is_label(text, Self::MAX_CHARS).then(|| Self(text.into()))
    }

    /// The id as the client sent it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Serialize for SessionId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// A signaling room's name: 3 to 100 of `A-Z a-z 0-9 _ -` (contract, section 5).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RoomId(Arc<str>);

impl RoomId {
    /// Checks and takes a room id.
    ///
    /// # Errors
    ///
    /// The text that the contract has for what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, Text> {
        if text.is_empty() {
            return Err(Text::InvalidRoomId);
        }
        let fine = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
        if !text.bytes().all(fine) {
            return Err(Text::RoomIdCharacters);
        }
        if !(3..=100).contains(&text.len()) {
            return Err(Text::RoomIdLength);
        }
        Ok(Self(text.into()))
    }

    /// The id as the client sent it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Serialize for RoomId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// A chat room's id, as the server made it up: 1 to 100 characters, no control characters.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChatRoomId(Arc<str>);

impl ChatRoomId {
    /// One that nobody can guess.
    pub fn random() -> Self {
        Self(format!("{:032x}", rand::random::<u128>()).into())
    }

    /// Checks and takes a room id.
    pub fn parse(text: &str) -> Option<Self> {
        is_label(text, 100).then(|| Self(text.into()))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Serialize for ChatRoomId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for ChatRoomId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        let wrong = "a room's id must be 1 to 100 characters without control characters";
        Self::parse(&text).ok_or_else(|| de::Error::custom(wrong))
    }
}

/// Whether `text` has 1 to `most` characters and no control character.
pub(crate) fn is_label(text: &str, most: usize) -> bool {
    // Counting characters of a text that is far too long is work for nothing.
    !text.is_empty()
        && text.len() <= most * 4
        && text.chars().count() <= most
        && !text.chars().any(char::is_control)
}

/// Why a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DisconnectCause {
    /// The client closed the transport.
    TransportClose,
    /// The transport broke.
    TransportError,
    /// No answer to a ping.
    PingTimeout,
    /// Something that is not the protocol was received.
    ParseError,
    /// Two polling requests at once.
    ConcurrentPolling,
    /// The client left the namespace.
    ClientLeft,
    /// The server closed it: the send queue was full.
    SendQueueFull,
    /// The server closed it: far too many events.
    Flood,
    /// The server closed it: the token ended.
    TokenExpired,
    /// The server closed it: its login was ended.
    TokenRevoked,
    /// The server closed it: its address is blocked.
    Blocked,
    /// The server closed it: it is stopping.
    Draining,
    /// The server closed it for another reason.
    ServerClosed,
}

impl DisconnectCause {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::TransportClose,
        Self::TransportError,
        Self::PingTimeout,
        Self::ParseError,
        Self::ConcurrentPolling,
        Self::ClientLeft,
        Self::SendQueueFull,
        Self::Flood,
        Self::TokenExpired,
        Self::TokenRevoked,
        Self::Blocked,
        Self::Draining,
        Self::ServerClosed,
    ];

    /// The label value.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TransportClose => "transport_close",
            Self::TransportError => "transport_error",
            Self::PingTimeout => "ping_timeout",
            Self::ParseError => "parse_error",
            Self::ConcurrentPolling => "concurrent_polling",
            Self::ClientLeft => "client_left",
            Self::SendQueueFull => "send_queue_full",
            Self::Flood => "flood",
            Self::TokenExpired => "token_expired",
            Self::TokenRevoked => "token_revoked",
            Self::Blocked => "blocked",
            Self::Draining => "draining",
            Self::ServerClosed => "server_closed",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn session_ids_are_1_to_100_characters_without_controls() {
        assert!(SessionId::parse("s").is_some());
        assert!(SessionId::parse(&"세".repeat(100)).is_some());
        for wrong in ["", "a\0b", "a\nb", "\u{1b}[31m", &"x".repeat(101)] {
            assert!(SessionId::parse(wrong).is_none(), "{wrong:?}");
        }
    }

    #[test]
    fn socket_ids_are_16_ascii_characters() {
        assert_eq!(
            SocketId::parse("AA9AAA0AAzAAAAHs").unwrap().as_str(),
            "AA9AAA0AAzAAAAHs"
        );
        assert!(SocketId::parse("short").is_none());
        assert!(SocketId::parse("가가가가가A").is_none());
    }
}
